//! Marathon under the daemon.

use std::fs;

use end_to_end::{marathon::Fault, web};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leads_and_the_other_goes_on_where_it_was_killed() {
    let scene = Scene::new().await;
    scene.want("web", "{instances: 2}", "1111111111111111");
    let mut first = scene.daemon();
    first.until("the first one leads", |status| status["leads"] == true).await;
    let second = scene.daemon();
    second.until("the second one waits", |status| status["leads"] == false).await;
    scene.until_runs("web", "1111111111111111").await;
    scene.want("web", "{instances: 2, bounce_method: brutal}", "2222222222222222");
    scene.until_runs("web", "2222222222222222").await;
    // Stopped where it stands: the second one must not lead before the lock is free.
    let pid = Pid::from_raw(first.child.id().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    first.child.wait().await.unwrap();
    second.until("the second one leads", |status| status["leads"] == true).await;
    scene.want("web", "{instances: 2, bounce_method: brutal}", "3333333333333333");
    scene.until_runs("web", "3333333333333333").await;
    let mut second = second;
    kill(Pid::from_raw(second.child.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(second.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_stop_a_cluster_stops_the_daemon_until_it_is_taken_back() {
    let scene = Scene::new().await;
    scene.want("web", "{instances: 2}", "1111111111111111");
    scene.want("api", "{instances: 1}", "1111111111111111");
    scene.want("odd", "{cmd: a, args: [b]}", "1111111111111111");
    let daemon = scene.daemon();
    for service in ["web", "api"] {
        scene.until_runs(service, "1111111111111111").await;
    }
    let both = "Instance configuration can specify cmd or args, but not both.";
    let complaint = |status: &Value| status["complaints"]["odd.main"][0] == both;
    daemon.until("the fault is told", complaint).await;
    scene.want("web", "{instances: 0}", "1111111111111111");
    let why = "2 of 3 running tasks would be stopped for good, which is more than 0.5 of them";
    let is_held =
        |status: &Value| status["held"].as_str().is_some_and(|held| held.starts_with(why));
    daemon.until("it is held", is_held).await;
    let (_, metrics) = web::get(daemon.port.number, "/metrics").await.unwrap();
    assert!(metrics.contains("paasta_master_held 1\n"), "{metrics}");
    scene.want("web", "{instances: 2}", "1111111111111111");
    scene.want("api", "{instances: 2, bounce_method: brutal}", "2222222222222222");
    scene.until_runs("api", "2222222222222222").await;
    daemon.until("it goes on", |status| status["held"].is_null()).await;
    let running = scene.marathon.read(|machine| {
        machine.tasks().filter(|task| task.app.to_string().starts_with("/web.")).count()
    });
    assert_eq!(running, 2);
    let (status, _) = web::get(daemon.port.number, "/other").await.unwrap();
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_on_a_host_that_is_to_go_get_others_elsewhere() {
    let scene = Scene::new().await;
    scene.want("web", "{instances: 2}", "1111111111111111");
    let first = scene.daemon();
    scene.until_runs("web", "1111111111111111").await;
    // Another one finds everything as it should be: nothing brings it back to the instance but the host.
    drop(first);
    let daemon = scene.daemon();
    let rests = |s: &Value| s["passes"] == 1 && s["under_way"] == json!([]) && s["waiting"] == 0;
    daemon.until("it rests", rests).await;
    let host = scene.marathon.read(|machine| machine.tasks().next().unwrap().host.clone());
    let there = scene.marathon.read(|machine| machine.tasks().filter(|t| t.host == host).count());
    assert!(scene.hosts.iter().any(|one| one.name == host));
    // A Marathon that stumbles just then is asked again.
    scene.marathon.fault(Fault::status("GET", "/v2/apps", 503, "not now"));
    scene.mesos.drain(&[&host]);
    scene
        .marathon
        .until("there are others", |machine| {
            let mut wanted =
                machine.app_ids().into_iter().filter_map(|app| machine.instances(&app));
            wanted.next().filter(|count| *count == 2 + there)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_gone_is_forgotten() {
    let scene = Scene::new().await;
    scene.want("web", "{instances: 1}", "1111111111111111");
    scene.want("odd", "{cmd: a, args: [b]}", "1111111111111111");
    let daemon = scene.daemon();
    let is_told = |s: &Value| s["complaints"]["odd.main"].is_array() && s["waiting"] != 0;
    daemon.until("the fault is told and tried again", is_told).await;
    fs::remove_dir_all(scene.place.path().join("soa/odd")).unwrap();
    let is_forgotten = |s: &Value| s["complaints"] == json!({}) && s["instances"] == 1;
    let status = daemon.until("it is forgotten", is_forgotten).await;
    assert!(status["under_way"].as_array().unwrap().iter().all(|name| name != "odd.main"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_told_and_what_was_read_of_it_stands() {
    let scene = Scene::new().await;
    scene.want("web", "{instances: 1}", "1111111111111111");
    scene.place.file("soa/odd/marathon-c1.yaml", "main: [\n").unwrap();
    let daemon = scene.daemon();
    let begins = |s: &Value, line: &str| {
        s["broken"][0].as_str().is_some_and(|broken| broken.starts_with(line))
    };
    daemon.until("it is told", |s| begins(s, "soa/odd/marathon-c1.yaml: ")).await;
    scene.place.file("soa/odd/marathon-c1.yaml", "{}\n").unwrap();
    scene.place.file("soa/web/marathon-c1.yaml", "main: {\n").unwrap();
    let status =
        daemon.until("the other is told", |s| begins(s, "soa/web/marathon-c1.yaml: ")).await;
    assert_eq!((&status["instances"], status["broken"].as_array().unwrap().len()), (&json!(1), 1));
    let (_, metrics) = web::get(daemon.port.number, "/metrics").await.unwrap();
    assert!(metrics.contains("paasta_master_broken_files 1\n"), "{metrics}");
}
