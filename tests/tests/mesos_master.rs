//! The simulators of a Mesos master and its agents. No real Mesos was asked.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{net::SocketAddr, time::Duration};

use end_to_end::{
    Marathon, MesosMaster,
    marathon::{Host, Settings, Task},
    mesos_master::{Listing, Trouble, Usage},
    web,
};
use hyper::Method;
use serde_json::{Value, json};

async fn get(port: u16, path: &str) -> Value {
    let (status, body) = web::get(port, path).await.unwrap();
    assert_eq!(status, 200, "{path}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn machines_under_maintenance_are_listed_in_both_ways_and_not_at_all() {
    let hosts = Host::some(3);
    let master = MesosMaster::start(&hosts).await.unwrap();
    let path = "/master/maintenance/status";
    assert_eq!(get(master.port(), path).await, json!({}));
    let (first, second) = (hosts[0].name.as_str(), hosts[1].name.as_str());
    let machine = json!({"hostname": first, "ip": first});
    master.drain(&[first]);
    let told = get(master.port(), path).await;
    assert_eq!(told["draining_machines"][0]["id"], machine);
    assert_eq!(told.get("down_machines"), None);
    master.list_machines(Listing::Direct);
    master.take_down(&[second]);
    let told = get(master.port(), path).await;
    assert_eq!(told["draining_machines"], json!([machine]));
    assert_eq!(told["down_machines"][0]["hostname"], second);
}

#[tokio::test]
async fn slaves_and_tasks_are_told_by_master_and_agents_alike() {
    let hosts = vec![Host::some(1).remove(0).with_attribute("region", "r1")];
    let settings = Settings { hosts: hosts.clone(), ..Settings::default() };
    let marathon = Marathon::start(settings).await.unwrap();
    let app = r#"{"id": "web.main", "cmd": "run"}"#;
    web::send(marathon.port(), Method::POST, "/v2/apps", &[], app).await.unwrap();
    let tasks: Vec<Task> = marathon.read(|machine| machine.tasks().cloned().collect());
    let id = tasks[0].id.as_str();

    let master = MesosMaster::start(&hosts).await.unwrap();
    master.run(&tasks);
    let told = get(master.port(), "/master/slaves").await;
    let slave = &told["slaves"][0];
    assert_eq!(slave["hostname"], hosts[0].name);
    assert_eq!(slave["attributes"], json!({"pool": "default", "region": "r1"}));
    assert_eq!(slave["id"], tasks[0].slave);
    for path in ["/master/state", "/master/state.json", "/master/frameworks"] {
        let told = get(master.port(), path).await;
        assert_eq!(told["frameworks"][0]["tasks"][0]["id"], id, "{path}");
    }
    let summary = get(master.port(), "/master/state-summary").await;
    assert_eq!(summary["slaves"][0]["TASK_RUNNING"], 1);
    assert_eq!(summary["frameworks"][0]["name"], "marathon");

    let usage = Usage { cpus_limit: 1.1, user_seconds: 2.5, ..Usage::default() };
    master.set_usage(&tasks[0].id, usage);
    let agent = master.agent(&hosts[0], 0).await.unwrap();
    let ask = async |path: &str| -> Value {
        let address = SocketAddr::from(agent.address());
        let answer = web::exchange(address, Method::GET, path, &[], "").await.unwrap();
        assert_eq!(answer.0, 200, "{path}");
        serde_json::from_str(&answer.2).unwrap()
    };
    for path in ["/state", "/state.json", "/slave(1)/state.json"] {
        let told = ask(path).await;
        assert_eq!(told["frameworks"][0]["executors"][0]["tasks"][0]["id"], id, "{path}");
    }
    let statistics = ask("/monitor/statistics.json").await;
    assert_eq!(statistics[0]["source"], id);
    assert_eq!(statistics[0]["statistics"]["cpus_user_time_secs"], 2.5);
}

#[tokio::test]
async fn a_master_in_trouble_fails_or_hangs() {
    let master = MesosMaster::start(&Host::some(1)).await.unwrap();
    let status = async |path: &str| web::get(master.port(), path).await.unwrap().0;
    assert_eq!(status("/master/nothing").await, 404);
    master.set_trouble(Some(Trouble::Status(503)));
    assert_eq!(status("/master/slaves").await, 503);
    master.set_trouble(Some(Trouble::Hang));
    let asking = web::get(master.port(), "/master/slaves");
    tokio::time::timeout(Duration::from_millis(100), asking).await.unwrap_err();
    master.set_trouble(None);
    assert_eq!(status("/master/slaves").await, 200);
}
