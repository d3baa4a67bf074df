//! `paasta-master deploy` and its old names, with simulated Marathon and Mesos, a real ZooKeeper, and a Sensu
//! that only listens. What clients see of a bounce is in the end-to-end tests.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::symlink,
};

use end_to_end::{
    Marathon, MesosMaster, Place, ZooKeeper, eventually,
    marathon::{Adopted, Behaviour, Fault, Host, Script, Settings},
    place::Ended,
};
use paasta_master::zookeeper::Sessions;
use serde_json::{Value, json};
use soa_configs::paasta;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zookeeper_client::{Acls, CreateMode};

const OLD: &str = "web.main.gitold.configold";

struct Scene {
    place: Place,
    marathon: Marathon,
    zookeeper: ZooKeeper,
    sensu: TcpListener,
    _mesos: MesosMaster,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let mesos = MesosMaster::start(&settings.hosts).await.unwrap();
        let marathon = Marathon::start(settings).await.unwrap();
        let zookeeper = ZooKeeper::start().await.unwrap();
        let sensu = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sensu.set_nonblocking(true).unwrap();
        let place = Place::new().unwrap();
        let master = json!({"profile": "default", "default": {"master": mesos.leader()}});
        place.file("mesos.json", &master.to_string()).unwrap();
        let log = json!({"path_format": place.path().join("{service}.log")});
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "zookeeper": zookeeper.hosts(),
            "marathon_servers": [{"url": [marathon.url()], "user": "u", "password": "p"}],
            "sensu_host": "127.0.0.1", "sensu_port": sensu.local_addr().unwrap().port(),
            "log_writer": {"driver": "file", "options": log},
            "mesos_config": {"path": place.path().join("mesos.json")},
        });
        place.file("etc/all.json", &system.to_string()).unwrap();
        Self { place, marathon, zookeeper, sensu, _mesos: mesos }
    }

    /// A service with these instances, each with an image.
    fn service(&self, service: &str, instances: &[(&str, &str)]) {
        let file = |name: &str, text: &str| {
            self.place.file(&format!("soa/{service}/{name}"), text).unwrap();
        };
        let lines: String =
            instances.iter().map(|(name, config)| format!("{name}: {config}\n")).collect();
        file("marathon-c1.yaml", &lines);
        file("monitoring.yaml", "team: search\n");
        let image = json!({"docker_image": format!("services-{service}:paasta-0123456789abcdef")});
        let branch = |name: &str| (format!("{service}:paasta-c1.{name}"), image.clone());
        let v1: serde_json::Map<String, Value> =
            instances.iter().map(|(name, _)| branch(name)).collect();
        file("deployments.json", &json!({"v1": v1}).to_string());
    }

    async fn deploy(&self, arguments: &[&str]) -> Ended {
        let all: Vec<&str> = ["deploy", "-d", "soa"].iter().chain(arguments).copied().collect();
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), &all).await.unwrap()
    }

    fn apps(&self) -> Vec<String> {
        self.marathon.read(|machine| machine.app_ids().iter().map(ToString::to_string).collect())
    }

    fn adopt(&self, id: &str, hosts: &[(&str, u16)]) {
        let tasks: Vec<_> =
            hosts.iter().map(|(host, port)| Adopted::on(host, *port).alive(true)).collect();
        let body = json!({
            "id": id, "cmd": "run", "instances": hosts.len(), "healthChecks": [{"path": "/"}],
        });
        self.marathon.change(|machine| machine.adopt(&body.to_string(), &tasks)).unwrap();
    }

    fn changes(&self) -> Vec<String> {
        let calls = self.marathon.calls().into_iter().filter(|call| call.method != "GET");
        calls.map(|call| format!("{} {}", call.method, call.path)).collect()
    }

    /// All events so far: name, status and output.
    fn events(&self) -> Vec<(String, u64, String)> {
        let mut events = Vec::new();
        while let Ok((mut stream, _)) = self.sensu.accept() {
            stream.set_nonblocking(false).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            let event: Value = serde_json::from_str(&text).unwrap();
            let fixed = json!([event["team"], event["interval"], event["alert_after"]]);
            assert_eq!(fixed, json!(["search", 10, 600]));
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            events.push((text("name"), event["status"].as_u64().unwrap(), text("output")));
        }
        events
    }

    async fn lock(&self, name: &str) -> zookeeper_client::Client {
        let client = self.zookeeper.client().await.unwrap();
        let open = Acls::anyone_all();
        client
            .mkdir(&format!("/bounce/{name}"), &CreateMode::Persistent.with_acls(open))
            .await
            .unwrap();
        let node = format!("/bounce/{name}/0123456789abcdef0123456789abcdef__lock__");
        let mode = CreateMode::EphemeralSequential.with_acls(open);
        client.create(&node, b"", &mode).await.unwrap();
        client
    }
}

/// One host, on which nothing happens by itself.
fn frozen() -> Settings {
    let hosts = vec![Host::at([127, 0, 0, 1].into())];
    Settings { hosts, script: Script::all(Behaviour::frozen()), ..Settings::default() }
}

const FINE: Ended = (0, String::new(), String::new());

fn deployed(name: &str) -> (String, u64, String) {
    (format!("setup_marathon_job.{name}"), 0, "Service deployed.".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_instance_is_told_of_and_all_others_are_deployed() {
    let scene = Scene::new().await;
    scene.service(
        "web",
        &[("main", "{}"), ("wrong", "{cmd: a, args: [b]}"), ("odd", "{bounce_method: x}")],
    );
    scene.service("api", &[("main", "{instances: 2}")]);
    let (code, out, complaints) = scene.deploy(&[]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    let mut lines: Vec<&str> = complaints.lines().collect();
    lines.sort_unstable();
    assert!(
        lines[0].starts_with("error: web.odd: ERROR: bounce_method not recognized: x"),
        "{lines:?}"
    );
    let both = "error: web.wrong: Instance configuration can specify cmd or args, but not both.";
    assert_eq!((lines[1], lines.len()), (both, 2));
    let apps = scene.apps();
    assert!(
        apps.len() == 2 && apps[0].starts_with("/api.main.") && apps[1].starts_with("/web.main.")
    );
    let mut events = scene.events();
    events.sort();
    assert_eq!(events[0], deployed("api.main"));
    assert_eq!(events[1], deployed("web.main"));
    assert_eq!((events[2].0.as_str(), events[2].1), ("setup_marathon_job.web.odd", 2));
    assert_eq!((events[3].0.as_str(), events[3].1), ("setup_marathon_job.web.wrong", 2));
    let log = fs::read_to_string(scene.place.path().join("web.log")).unwrap();
    assert!(log.contains("crossover bounce in progress on web.main. New marathon app web.main."));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_as_it_should_be_is_left_alone() {
    let scene = Scene::new().await;
    scene.service("web", &[("main", "{instances: 2}")]);
    assert_eq!(scene.deploy(&[]).await, FINE);
    scene
        .marathon
        .until("both run", |m| {
            (m.tasks().filter(|t| t.started_at.is_some()).count() == 2).then_some(())
        })
        .await;
    scene.marathon.forget_calls();
    assert_eq!(scene.deploy(&[]).await, FINE);
    assert_eq!(scene.changes(), [""; 0]);
    assert_eq!(scene.events(), [deployed("web.main"), deployed("web.main")]);
    let link = scene.place.path().join("setup_marathon_job");
    symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
    assert_eq!(scene.place.run(link.clone(), &["-d", "soa", "web.main"]).await.unwrap(), FINE);
    let (code, _, complaints) = scene.place.run(link.clone(), &["-d", "soa", "web"]).await.unwrap();
    assert_eq!((code, complaints.as_str()), (1, "error: `web` is not SERVICE.INSTANCE\n"));
    let all = scene.place.path().join("deploy_marathon_services");
    symlink(link, &all).unwrap();
    assert_eq!(scene.place.run(all, &["-d", "soa"]).await.unwrap(), FINE);
    assert_eq!(scene.changes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_not_stopped_by_mistake_and_one_instance_is_on_purpose() {
    let scene = Scene::with(frozen()).await;
    scene.service("web", &[("main", "{instances: 0}")]);
    scene.adopt(OLD, &[("127.0.0.1", 31_000), ("127.0.0.1", 31_001)]);
    let (code, _, complaints) = scene.deploy(&[]).await;
    assert_eq!(code, 1);
    let refused =
        "error: 2 of 2 running tasks would be stopped for good, which is more than 0.5 of them";
    assert!(complaints.starts_with(refused) && complaints.contains("--force"), "{complaints}");
    assert_eq!((scene.changes(), scene.events()), (Vec::new(), Vec::new()));
    assert_eq!(scene.deploy(&["web.main"]).await, FINE);
    assert!(scene.changes().contains(&"POST /v2/tasks/delete".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_another_master_bounces_is_left_to_it() {
    let scene = Scene::new().await;
    scene.service("web", &[("ma_in", "{}")]);
    let held = scene.lock("web.ma--in").await;
    let (code, _, complaints) = scene.deploy(&["web.ma_in"]).await;
    let said = "error: web.ma_in: Instance web.ma_in already being bounced. Exiting\n";
    assert_eq!((code, complaints.as_str()), (0, said));
    assert_eq!((scene.apps(), scene.events()), (Vec::new(), Vec::new()));
    drop(held);
    eventually("the lock is gone", async || {
        let ended = scene.deploy(&["web.ma_in"]).await;
        if ended == FINE { Ok(()) } else { Err(ended) }
    })
    .await;
    assert_eq!(scene.apps().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_marathon_refuses_is_told_to_owners_and_what_does_not_answer_to_the_caller() {
    let scene = Scene::new().await;
    scene.service("web", &[("main", "{}")]);
    scene.marathon.fault(Fault::status("POST", "/v2/apps", 422, "Object is not valid"));
    let (code, _, complaints) = scene.deploy(&["web.main"]).await;
    let said = "error: web.main: Marathon refuses the app: Object is not valid\n";
    assert_eq!((code, complaints.as_str()), (1, said));
    let output = "Marathon refuses the app: Object is not valid".to_owned();
    assert_eq!(scene.events(), [("setup_marathon_job.web.main".to_owned(), 2, output)]);
    scene.marathon.fault(Fault::status("POST", "/v2/apps", 500, "oops"));
    let (code, _, complaints) = scene.deploy(&["web.main"]).await;
    assert_eq!((code, complaints.lines().count()), (1, 1), "{complaints}");
    assert!(complaints.contains("answers 500 Internal Server Error: oops"), "{complaints}");
    assert_eq!((scene.apps(), scene.events()), (Vec::new(), Vec::new()));
    assert_eq!(scene.deploy(&["web.main"]).await, FINE);
    assert_eq!(scene.apps().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_drained_serves_on_unless_that_is_not_wanted() {
    let scene = Scene::with(frozen()).await;
    let params = "drain_method: hacheck, drain_method_params: {hacheck_port: 1}";
    scene
        .service("web", &[("main", &format!("{{instances: 1, bounce_method: brutal, {params}}}"))]);
    scene.adopt(OLD, &[("127.0.0.1", 31_000)]);
    let (code, _, complaints) = scene.deploy(&["web.main"]).await;
    assert_eq!(code, 0);
    assert!(complaints.contains("cannot be drained and goes on serving"), "{complaints}");
    assert!(complaints.contains("--kill-undrained"), "{complaints}");
    assert!(scene.apps().contains(&format!("/{OLD}")));
    assert!(!scene.changes().contains(&"POST /v2/tasks/delete".to_owned()));
    let events = scene.events();
    assert_eq!((events[0].1, events.len()), (2, 1));
    assert_eq!(scene.deploy(&["web.main", "--kill-undrained"]).await, FINE);
    assert!(!scene.apps().contains(&format!("/{OLD}")));
}

/// Somebody takes the lock away while a task is drained: it is not killed.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_the_lock_kills_nobody() {
    let drainer = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = drainer.local_addr().unwrap().port();
    let scene = Scene::with(frozen()).await;
    let call = |what: &str, codes: u16| {
        format!("{what}: {{url_format: 'http://127.0.0.1:{port}/{what}', success_codes: {codes}}}")
    };
    let calls = [
        call("drain", 200),
        call("stop_draining", 200),
        call("is_draining", 201),
        call("is_safe_to_kill", 200),
    ];
    let params = calls.join(", ");
    scene.service("web", &[(
        "main",
        &format!("{{instances: 1, bounce_method: brutal, drain_method: http, drain_method_params: {{{params}}}}}"),
    )]);
    scene.adopt(OLD, &[("127.0.0.1", 31_000)]);
    let client = scene.zookeeper.client().await.unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = drainer.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            if request[..read].starts_with(b"GET /drain ") {
                let names = client.list_children("/bounce/web.main").await.unwrap();
                client.delete(&format!("/bounce/web.main/{}", names[0]), None).await.unwrap();
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    let (code, _, complaints) = scene.deploy(&["web.main"]).await;
    serving.abort();
    assert_eq!(code, 1);
    assert!(complaints.contains("the lock in ZooKeeper is not held any more"), "{complaints}");
    assert!(scene.apps().contains(&format!("/{OLD}")));
    assert!(!scene.changes().contains(&"POST /v2/tasks/delete".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_marathon_zookeeper_or_mesos_there_is_one_line_each() {
    let mut scene = Scene::new().await;
    scene.service("web", &[("main", "{}"), ("other", "{}")]);
    scene.marathon.die().await;
    let (code, _, complaints) = scene.deploy(&[]).await;
    assert_eq!((code, complaints.lines().count()), (1, 1), "{complaints}");
    assert!(complaints.contains("cannot connect to http://127.0.0.1:"), "{complaints}");
    scene.marathon.revive().await.unwrap();
    scene.place.file("mesos.json", r#"{"default": {"master": "127.0.0.1:1"}}"#).unwrap();
    let (code, _, complaints) = scene.deploy(&["web.main"]).await;
    assert_eq!((code, complaints.lines().count()), (1, 1), "{complaints}");
    assert!(complaints.contains("127.0.0.1:1/master/maintenance/status"), "{complaints}");
    assert_eq!((scene.apps(), scene.events()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_session_that_was_given_up_is_not_used_again() {
    let zookeeper = ZooKeeper::start().await.unwrap();
    let place = Place::new().unwrap();
    place.file("etc/all.json", &json!({"zookeeper": zookeeper.hosts()}).to_string()).unwrap();
    let etc = place.path().join("etc");
    let settings = paasta::Settings::read(&paasta::load(&etc).unwrap().unwrap(), &etc).unwrap();
    let sessions = Sessions::new(&settings);
    let first = sessions.client().await.unwrap();
    assert_eq!(sessions.client().await.unwrap().session_id(), first.session_id());
    // What it could not let go is gone when the last one is done with it.
    let mode = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    first.create("/held", b"", &mode).await.unwrap();
    sessions.give_up(&first);
    let second = sessions.client().await.unwrap();
    assert_ne!(second.session_id(), first.session_id());
    sessions.give_up(&first);
    assert_eq!(sessions.client().await.unwrap().session_id(), second.session_id());
    drop(first);
    eventually("its nodes are gone", async || match second.check_stat("/held").await.unwrap() {
        None => Ok(()),
        Some(stat) => Err(format!("{stat:?}")),
    })
    .await;
}
