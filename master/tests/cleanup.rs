//! `paasta-master cleanup`, with a simulated Marathon, a real ZooKeeper, and a Sensu that only listens.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::symlink,
    path::PathBuf,
};

use end_to_end::{
    Marathon, Place, ZooKeeper,
    marathon::{Fault, Settings},
    place::Ended,
};
use serde_json::{Value, json};
use zookeeper_client::{Acls, CreateMode};

const STALE: &str = "web.gone--for--good.git1.config1";

struct Scene {
    place: Place,
    marathon: Marathon,
    zookeeper: ZooKeeper,
    sensu: TcpListener,
}

impl Scene {
    /// A service `web` with the instance `main`, and these apps in Marathon.
    async fn new(apps: &[&str]) -> Self {
        let marathon = Marathon::start(Settings::default()).await.unwrap();
        for id in apps {
            let body = json!({"id": id, "cmd": "run", "instances": 2}).to_string();
            marathon.change(|machine| machine.adopt(&body, &[])).unwrap();
        }
        let zookeeper = ZooKeeper::start().await.unwrap();
        let sensu = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let place = Place::new().unwrap();
        let scene = Self { place, marathon, zookeeper, sensu };
        let system = json!({
            "cluster": "c1",
            "zookeeper": scene.zookeeper.hosts(),
            "marathon_servers": [{"url": [scene.marathon.url()], "user": "u", "password": "p"}],
            "sensu_host": "127.0.0.1",
            "sensu_port": scene.sensu.local_addr().unwrap().port(),
            "log_writer": {"driver": "file", "options": {
                "path_format": format!("{}/{{service}}.log", scene.place.path().display()),
            }},
        });
        scene.file("etc/all.json", &system.to_string());
        scene.file("soa/web/marathon-c1.yaml", "main: {}\n_template: {}\n");
        scene.file("soa/web/monitoring.yaml", "team: search\nalert_after: 1h\n");
        scene
    }

    fn file(&self, name: &str, text: &str) {
        self.place.file(name, text).unwrap();
    }

    async fn run_as(&self, program: PathBuf, arguments: &[&str]) -> Ended {
        self.place.run(program, arguments).await.unwrap()
    }

    async fn cleanup(&self, arguments: &[&str]) -> Ended {
        let all: Vec<&str> = ["cleanup", "-d", "soa"].iter().chain(arguments).copied().collect();
        self.run_as(env!("CARGO_BIN_EXE_paasta-master").into(), &all).await
    }

    fn apps(&self) -> Vec<String> {
        self.marathon.read(|machine| machine.app_ids().iter().map(ToString::to_string).collect())
    }

    fn changes(&self) -> Vec<String> {
        let calls = self.marathon.calls().into_iter().filter(|call| call.method != "GET");
        calls.map(|call| format!("{} {}?{}", call.method, call.path, call.query)).collect()
    }

    /// The next event that Sensu was handed.
    fn event(&self) -> Value {
        let (mut stream, _) = self.sensu.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("}\n"), "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn said(lines: &str) -> Ended {
    (0, lines.to_owned(), String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_of_nobody_are_removed_and_people_are_told() {
    let scene = Scene::new(&["web.main.git0.config0", STALE]).await;
    assert_eq!(scene.cleanup(&["--dry-run"]).await, said(&format!("would remove /{STALE}\n")));
    assert_eq!(scene.changes(), [""; 0]);
    assert_eq!(scene.cleanup(&[]).await, said(&format!("removed /{STALE}\n")));
    assert_eq!(scene.apps(), ["/web.main.git0.config0"]);
    let path = format!("/v2/apps//{STALE}?force=True");
    assert_eq!(scene.changes(), [format!("PUT {path}"), format!("DELETE {path}")]);
    for check in ["check_marathon_services_replication", "setup_marathon_job"] {
        let event = scene.event();
        assert_eq!(event["name"], format!("{check}.web.gone_for_good"));
        // What is in monitoring.yaml for alert_after counts only among the overrides.
        let told = json!([event["status"], event["team"], event["source"], event["alert_after"]]);
        assert_eq!(told, json!([0, "search", "paasta-c1", 300]));
    }
    let line = fs::read_to_string(scene.place.path().join("web.log")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["message"], format!("Deleted stale marathon job that looks lost: {STALE}"));
    assert_eq!(line["instance"], "gone_for_good");
    let client = scene.zookeeper.client().await.unwrap();
    assert_eq!(client.list_children("/bounce/web.gone--for--good").await.unwrap(), [""; 0]);
    assert_eq!(scene.cleanup(&[]).await, said(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_checkout_removes_nothing_unless_somebody_insists() {
    let scene = Scene::new(&["web.main.git0.config0", "api.main.git0.config0"]).await;
    fs::remove_file(scene.place.path().join("soa/web/marathon-c1.yaml")).unwrap();
    let (code, out, complaint) = scene.cleanup(&[]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(complaint.starts_with("error: 2 of 2 apps are of no instance"), "{complaint}");
    assert_eq!(scene.changes(), [""; 0]);
    let link = scene.place.path().join("cleanup_marathon_jobs");
    symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
    scene.file("etc/z.json", r#"{"sensu_host": null, "log_writer": {"driver": "null"}}"#);
    assert_eq!(scene.run_as(link, &["-d", "soa", "--force"]).await, said(""));
    assert_eq!(scene.apps(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deploys_or_nobody_can_read_stays() {
    let scene =
        Scene::new(&["web.main.git0.config0", "web.old.git0.config0", STALE, "toolbox"]).await;
    let client = scene.zookeeper.client().await.unwrap();
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir("/bounce/web.gone--for--good", &open).await.unwrap();
    let held = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let kazoo = "/bounce/web.gone--for--good/0123456789abcdef0123456789abcdef__lock__";
    client.create(kazoo, b"", &held).await.unwrap();
    let (code, out, complaint) = scene.cleanup(&["-t", "1"]).await;
    assert_eq!(code, 0);
    let waits = format!("/{STALE} is being deployed; it is left for the next time\n");
    assert_eq!(out, format!("{waits}removed /web.old.git0.config0\n"));
    assert_eq!(complaint, "error: /toolbox is no instance of a service; it is left alone\n");
    scene.file("soa/web/marathon-c1.yaml", "main: {\n");
    let (code, out, complaint) = scene.cleanup(&["-t", "1"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(complaint.contains("error: soa/web/marathon-c1.yaml:1:7"), "{complaint}");
    assert_eq!(
        scene.apps(),
        ["/toolbox", "/web.gone--for--good.git1.config1", "/web.main.git0.config0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_app_that_marathon_does_not_let_go_stops_no_other() {
    let scene =
        Scene::new(&["web.main.git0.config0", "web.a.git0.config0", "web.b.git0.config0"]).await;
    let fault = Fault::status("DELETE", "/v2/apps//web.a.git0.config0", 500, "out of order");
    scene.marathon.fault(fault);
    let (code, out, complaint) = scene.cleanup(&["-t", "0.7"]).await;
    assert_eq!((code, out.as_str()), (1, "removed /web.b.git0.config0\n"));
    assert!(complaint.starts_with("error: /web.a.git0.config0: http://127.0.0.1:"), "{complaint}");
    assert!(complaint.contains("500 Internal Server Error: out of order"), "{complaint}");
    scene.marathon.clear_faults();
    assert_eq!(scene.cleanup(&[]).await, said("removed /web.a.git0.config0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_two_places_is_removed_once_in_each() {
    let scene = Scene::new(&["web.main.git0.config0", STALE]).await;
    let other = Marathon::start(Settings::default()).await.unwrap();
    let body = json!({"id": STALE, "cmd": "run", "instances": 2}).to_string();
    other.change(|machine| machine.adopt(&body, &[])).unwrap();
    let previous = json!([{"url": [other.url()], "user": "u", "password": "p"}]);
    scene.file("etc/z.json", &json!({"previous_marathon_servers": previous}).to_string());
    let lines = format!("removed /{STALE}\n").repeat(2);
    assert_eq!(scene.cleanup(&["-t", "1"]).await, said(&lines));
    let path = format!("/v2/apps//{STALE}?force=True");
    assert_eq!(scene.changes(), [format!("PUT {path}"), format!("DELETE {path}")]);
}
