//! What becomes of a pass when Sensu or the log takes nothing, and where lines of the log go; with simulated
//! Marathon, Mesos and Chronos, and a real ZooKeeper.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::os::unix::net::UnixDatagram;

use end_to_end::{
    Chronos, Marathon, MesosMaster, Place, ZooKeeper, chronos,
    marathon::Settings,
    place::Ended,
    ports::Port,
    sensu::{Full, Silent},
};
use serde_json::{Value, json};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
/// More than would do if each waited for Sensu.
const MANY: usize = 40;

struct Scene {
    place: Place,
    marathon: Marathon,
    chronos: Chronos,
    _mesos: MesosMaster,
    _zookeeper: ZooKeeper,
}

impl Scene {
    /// Many instances of a service, and as many jobs of another one.
    async fn new() -> Self {
        let settings = Settings::default();
        let mesos = MesosMaster::start(&settings.hosts).await.unwrap();
        let marathon = Marathon::start(settings).await.unwrap();
        let zookeeper = ZooKeeper::start().await.unwrap();
        let chronos = Chronos::start(chronos::Settings::default()).await.unwrap();
        let place = Place::new().unwrap();
        let master = json!({"profile": "default", "default": {"master": mesos.leader()}});
        place.file("mesos.json", &master.to_string()).unwrap();
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "zookeeper": zookeeper.hosts(),
            "marathon_servers": [{"url": [marathon.url()], "user": "u", "password": "p"}],
            "chronos_config": {"url": [chronos.url()], "user": "u", "password": "p"},
            "mesos_config": {"path": place.path().join("mesos.json")},
        });
        place.file("etc/all.json", &system.to_string()).unwrap();
        let scene = Self { place, marathon, chronos, _mesos: mesos, _zookeeper: zookeeper };
        scene.service("web", "marathon", &json!({}));
        let hourly = json!({"schedule": "R/2030-01-01T00:00:00Z/PT1H", "cmd": "run"});
        scene.service("batch", "chronos", &hourly);
        scene
    }

    fn service(&self, service: &str, kind: &str, instance: &Value) {
        let file = |name: &str, text: &str| {
            self.place.file(&format!("soa/{service}/{name}"), text).unwrap();
        };
        let names: Vec<String> = (0..MANY).map(|at| format!("i{at:02}")).collect();
        let all: serde_json::Map<String, Value> =
            names.iter().map(|name| (name.clone(), instance.clone())).collect();
        file(&format!("{kind}-c1.yaml"), &Value::Object(all).to_string());
        file("monitoring.yaml", "team: search\n");
        let image = json!({
            "docker_image": format!("services-{service}:paasta-{SHA}"), "desired_state": "start",
            "force_bounce": null,
        });
        let v1: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| (format!("{service}:paasta-c1.{name}"), image.clone()))
            .collect();
        file("deployments.json", &json!({"v1": v1}).to_string());
    }

    /// Over what `etc` says beside.
    fn tells(&self, sensu: &Value, log: &Value) {
        let mut over = sensu.clone();
        over["log_writer"] = log.clone();
        self.place.file("etc/z.json", &over.to_string()).unwrap();
    }

    async fn run(&self, words: &[&str]) -> Ended {
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), words).await.unwrap()
    }

    async fn deploy(&self) -> Ended {
        self.run(&["deploy", "-d", "soa", "--at-once", "1"]).await
    }

    /// Of which Marathon has an app, and Chronos a job.
    fn made(&self) -> (usize, usize) {
        let apps = self.marathon.read(|machine| machine.app_ids().len());
        (apps, self.chronos.read(|machine| machine.jobs().count()))
    }
}

fn at(port: u16) -> Value {
    json!({"sensu_host": "127.0.0.1", "sensu_port": port})
}

fn nobody() -> Value {
    json!({"sensu_host": null})
}

fn null() -> Value {
    json!({"driver": "null"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensu_that_is_away_full_or_silent_delays_and_fails_no_pass() {
    let (full, silent) = (Full::start().await.unwrap(), Silent::start().await.unwrap());
    let away = Port::free().unwrap();
    for (port, complaints) in [(full.port, 1), (away.number, 1), (silent.port, 0)] {
        let scene = Scene::new().await;
        scene.tells(&at(port), &null());
        for command in [
            &["deploy", "-d", "soa", "--at-once", "1"][..],
            &["chronos", "deploy", "-d", "soa"],
            &["check-replication", "-d", "soa"],
            &["chronos", "check", "-d", "soa"],
        ] {
            // Each is given a minute, in which so many could not wait one after the other.
            let (code, _, complaint) = scene.run(command).await;
            assert_eq!(code, 0, "{command:?}: {complaint}");
            assert!(complaint.lines().count() <= complaints, "{command:?}: {complaint}");
        }
        assert_eq!(scene.made(), (MANY, MANY));
        let others: String = (2..MANY).map(|at| format!("i{at:02}: {{}}\n")).collect();
        scene.place.file("soa/web/marathon-c1.yaml", &others).unwrap();
        let (code, _, complaint) = scene.run(&["cleanup", "-d", "soa"]).await;
        assert_eq!((code, complaint.lines().count()), (0, complaints), "{complaint}");
        assert_eq!(scene.made(), (MANY - 2, MANY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_log_go_to_the_journal_or_to_standard_output() {
    let scene = Scene::new().await;
    let path = scene.place.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    scene.tells(&nobody(), &json!({"driver": "syslog", "options": {"socket": path}}));
    let words = ["deploy", "-d", "soa", "web.i00"];
    assert_eq!(scene.run(&words).await, (0, String::new(), String::new()));
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    let heard = std::str::from_utf8(&buffer[..length]).unwrap();
    let (head, line) = heard.split_once(": ").unwrap();
    assert!(head.starts_with("<14>") && head.contains(" paasta["), "{head}");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(json!([line["service"], line["component"]]), json!(["web", "deploy"]));
    scene.tells(&nobody(), &json!({"driver": "stdout"}));
    let (code, out, complaint) = scene.run(&["deploy", "-d", "soa", "web.i01"]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    let line: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(json!([line["instance"], line["cluster"]]), json!(["i01", "c1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_nothing_fails_no_pass_and_a_driver_that_is_not_known_is_one_line() {
    let scene = Scene::new().await;
    scene.tells(&nobody(), &json!({"driver": "scribe", "options": {}}));
    let (code, _, complaint) = scene.deploy().await;
    let expected =
        "log_writer: the driver `scribe` is not known; known are file, null, stdout and syslog";
    assert_eq!((code, complaint.lines().count()), (0, 1), "{complaint}");
    assert!(complaint.contains(expected), "{complaint}");
    for command in [&["chronos", "deploy", "-d", "soa"][..], &["check-replication", "-d", "soa"]] {
        let (code, _, complaint) = scene.run(command).await;
        assert_eq!((code, complaint.lines().count()), (0, 1), "{command:?}: {complaint}");
        assert!(complaint.contains(expected), "{command:?}: {complaint}");
    }
    assert_eq!(scene.made(), (MANY, MANY));
    // A journal that reads nothing, and is full after a few lines: each that is lost is told whole.
    let path = scene.place.path().join("log");
    let _socket = UnixDatagram::bind(&path).unwrap();
    scene.tells(&nobody(), &json!({"driver": "syslog", "options": {"socket": path}}));
    let mut lost = String::new();
    while lost.is_empty() {
        let (code, _, complaint) = scene.run(&["check-replication", "-d", "soa"]).await;
        assert_eq!(code, 0, "{complaint}");
        lost = complaint;
    }
    let line = lost.lines().next().unwrap();
    assert!(
        line.contains("temporarily unavailable (os error 11) -- would have logged: {\"cluster\": "),
        "{line}"
    );
}
