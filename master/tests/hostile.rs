//! What `paasta-master` makes of servers that answer oddly: each by a script of answers, byte for byte.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use end_to_end::{Place, place::Ended};
use serde_json::{Value, json};

/// Answers of a server: what a path begins with, and the whole answer. The first that fits counts.
type Answers = Vec<(&'static str, String)>;

fn ok(body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// A server that ends with the test.
fn serve(answers: Answers, sender: &Sender<String>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let sender = sender.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = answers.clone();
            let sender = sender.clone();
            thread::spawn(move || answer(&stream, &answers, &sender));
        }
    });
    port
}

/// Whoever asks may be gone already.
fn answer(stream: &TcpStream, answers: &Answers, sender: &Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(given) = line.strip_prefix("content-length:") {
            length = given.trim().parse().ok()?;
        }
        if line.starts_with("authorization:") {
            sender.send(format!("{} {line}", first.split(' ').nth(1)?)).ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    let path = first.split(' ').nth(1)?;
    let found = answers.iter().find(|(begin, _)| path.starts_with(begin));
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let text = found.map_or(missing, |(_, text)| text);
    let mut writer = stream;
    writer.write_all(text.as_bytes()).ok()
}

struct Scene {
    place: Place,
    /// Paths that were asked for, each with who asked.
    logins: Receiver<String>,
}

impl Scene {
    /// One server for Marathon, Mesos and Chronos; services `web`, `odd` and `api`, each with an instance `main`.
    fn new(answers: Answers) -> Self {
        let place = Place::new().unwrap();
        let (sender, logins) = mpsc::channel();
        let port = serve(answers, &sender);
        let master =
            json!({"profile": "default", "default": {"master": format!("127.0.0.1:{port}")}});
        place.file("mesos.json", &master.to_string()).unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [], "sensu_host": null,
            "marathon_servers": [{"url": [url], "user": "u", "password": "p"}],
            "chronos_config": {"url": [url], "user": "u", "password": "p"},
            "log_writer": {"driver": "null"},
            "mesos_config": {"path": place.path().join("mesos.json")},
        });
        place.file("etc/all.json", &system.to_string()).unwrap();
        for service in ["web", "odd", "api"] {
            let image =
                json!({"docker_image": format!("services-{service}:paasta-0123456789abcdef")});
            let name = format!("{service}:paasta-c1.main");
            let deployments = json!({"v1": {name: image}}).to_string();
            place.file(&format!("soa/{service}/deployments.json"), &deployments).unwrap();
            place.file(&format!("soa/{service}/marathon-c1.yaml"), "main: {}\n").unwrap();
        }
        Self { place, logins }
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let (command, rest) = arguments.split_first().unwrap();
        let all: Vec<&str> = [*command, "-d", "soa"].iter().chain(rest).copied().collect();
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), &all).await.unwrap()
    }
}

/// A Mesos with no host to be emptied, and these agents.
fn mesos(agents: &Value) -> Answers {
    vec![
        ("/master/maintenance/status", ok(&json!({}))),
        ("/master/slaves", ok(&json!({"slaves": agents}))),
    ]
}

fn task(app: &str, ports: &Value) -> Value {
    json!({"id": format!("{app}.t"), "appId": format!("/{app}.main.g.c"), "host": "127.0.0.1", "ports": ports,
        "state": "TASK_RUNNING", "startedAt": "2018-01-01T00:00:00.000Z"})
}

fn app(service: &str, tasks: &Value) -> Value {
    json!({"id": format!("/{service}.main.g.c"), "instances": 1, "tasks": tasks})
}

#[tokio::test]
async fn an_odd_app_hides_no_other() {
    let apps = json!([
        app("web", &json!([task("web", &json!([31_000]))])),
        app("odd", &json!([task("odd", &json!([99_999_999]))])),
        app("api", &Value::Null),
        {"id": 5}, null,
    ]);
    let mut answers = mesos(&json!([]));
    answers.push(("/v2/apps/", ok(&json!({"app": {"id": "/web.main.g.c"}}))));
    answers.push(("/v2/apps", ok(&json!({"apps": apps}))));
    let scene = Scene::new(answers);

    let planned = scene.run(&["plan", "--json"]).await;
    assert_eq!(planned.0, 1, "{planned:?}");
    let text = planned.1.as_str();
    assert!(text.contains("web.main") && text.contains("api.main"), "{planned:?}");
    let told = "odd.main: what Marathon says of /odd.main.g.c is not understood";
    assert!(planned.2.contains(told), "{planned:?}");
    assert!(!text.contains("odd.main"), "{planned:?}");

    // Chronos, which is the same server, answers 404: that hides nothing.
    let said: Value = serde_json::from_str(&planned.1).unwrap();
    assert_eq!((said["instances"].as_array().unwrap().len(), &said["jobs"]), (2, &Value::Null));
    assert!(planned.2.contains("answers 404"), "{planned:?}");

    let listed = scene.run(&["instances", "--minimal"]).await;
    assert_eq!(listed.1, "api.main\nodd.main\nweb.main\n", "{listed:?}");
    let cleaned = scene.run(&["cleanup", "--dry-run"]).await;
    assert_eq!((cleaned.0, cleaned.1.as_str()), (0, ""), "{cleaned:?}");
}

#[tokio::test]
async fn an_odd_task_makes_its_own_instance_unseen_and_an_odd_agent_nobody() {
    let mut answers = mesos(&json!([null, {"id": "a"}, {"hostname": "h", "attributes": null}]));
    let tasks = json!([task("web", &Value::Null), task("odd", &json!({})), null]);
    answers.push(("/v2/tasks", ok(&json!({"tasks": tasks}))));
    let scene = Scene::new(answers);
    let checked = scene.run(&["check-replication", "--dry-run"]).await;
    assert_eq!(checked.0, 1, "{checked:?}");
    for line in ["Service web.main has 1 out of 1", "Service api.main has 0 out of 1"] {
        assert!(checked.1.contains(line), "{checked:?}");
    }
    assert!(!checked.1.contains("odd.main"), "{checked:?}");
    assert!(
        checked.2.starts_with("error: odd.main: what Marathon says of /odd.main.g.c"),
        "{checked:?}"
    );
}

#[tokio::test]
async fn a_plan_shows_of_chronos_what_it_can_when_marathon_is_away() {
    let jobs = json!([null, {"name": 5}, {"name": "gone job", "description": "config0123abcd", "parents": {}}]);
    let mut answers = mesos(&json!([]));
    answers.push(("/scheduler/jobs", ok(&jobs)));
    let scene = Scene::new(answers);
    let planned = scene.run(&["plan"]).await;
    assert_eq!(
        (planned.0, planned.1.as_str()),
        (1, "gone job: remove from Chronos\n"),
        "{planned:?}"
    );
    assert!(planned.2.contains("answers 404"), "{planned:?}");
}

#[tokio::test]
async fn a_broken_file_is_told_by_whoever_looks_at_a_whole_cluster() {
    let mut answers = mesos(&json!([]));
    answers.push(("/v2/tasks", ok(&json!({"tasks": []}))));
    let apps = json!([app("web", &json!([])), app("odd", &json!([]))]);
    answers.push(("/v2/apps", ok(&json!({"apps": apps}))));
    answers.push(("/scheduler/jobs", ok(&json!([]))));
    let scene = Scene::new(answers);
    scene.place.file("soa/odd/marathon-c1.yaml", "main: [\n").unwrap();
    for command in [
        &["plan"][..],
        &["deploy", "--dry-run"],
        &["instances", "--minimal"],
        &["check-replication", "--dry-run"],
    ] {
        let ended = scene.run(command).await;
        assert_eq!(ended.0, 1, "{command:?}: {ended:?}");
        let first = "error: soa/odd/marathon-c1.yaml:1:7: unclosed bracket '['";
        assert!(ended.2.starts_with(first), "{command:?}: {ended:?}");
        assert!(!ended.1.contains("odd"), "{command:?}: {ended:?}");
        // All others are told of.
        assert!(ended.1.contains("api.main"), "{command:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_disabled_job_is_disabled_by_who_says_so() {
    let mut answers = mesos(&json!([]));
    answers.push(("/v2/apps", ok(&json!({"apps": []}))));
    answers.push(("/scheduler/jobs", ok(&json!([]))));
    let scene = Scene::new(answers);
    let job = "job:\n  schedule: '0 3 * * *'\n  disabled: true\n";
    scene.place.file("soa/web/chronos-c1.yaml", job).unwrap();
    for (state, from) in [
        ("start", "disabled: true (disabled in web/chronos-c1.yaml:3)"),
        ("stop", "disabled: true (web:paasta-c1.job.desired_state in web/deployments.json:1)"),
    ] {
        let image = json!({"docker_image": "services-web:paasta-0", "desired_state": state});
        let v1 = json!({"v1": {"web:paasta-c1.job": image}});
        scene.place.file("soa/web/deployments.json", &v1.to_string()).unwrap();
        let planned = scene.run(&["plan", "web.job"]).await;
        assert!(planned.1.contains(from), "{planned:?}");
    }
}

#[tokio::test]
async fn mesos_is_told_who_asks_where_hosts_have_a_secret() {
    let mut answers = mesos(&json!([]));
    answers.push(("/v2/apps", ok(&json!({"apps": []}))));
    let scene = Scene::new(answers);
    let config = fs::read_to_string(scene.place.path().join("mesos.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["default"]["secret_file"] = json!(scene.place.path().join("secret"));
    scene.place.file("mesos.json", &config.to_string()).unwrap();
    assert_eq!(scene.run(&["plan", "web.main"]).await.0, 0);
    let asked = |path: &str| scene.logins.try_iter().find(|line| line.starts_with(path));
    assert_eq!(asked("/master"), None);

    scene.place.file("secret", r#"{"principal": "a", "secret": "b"}"#).unwrap();
    assert_eq!(scene.run(&["plan", "web.main"]).await.0, 0);
    let line = "/master/maintenance/status authorization: basic ytpi";
    assert_eq!(asked("/master").as_deref(), Some(line));

    scene.place.file("secret", "{}").unwrap();
    let planned = scene.run(&["plan", "web.main"]).await;
    assert_eq!(planned.0, 1);
    assert!(planned.2.contains("secret has no `principal` and `secret`: "), "{planned:?}");
}
