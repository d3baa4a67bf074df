//! `paasta-master autoscale`, with simulated Marathon and Mesos, a real ZooKeeper, and tasks that say how busy
//! they are.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{fs, os::unix::fs::symlink};

use end_to_end::{
    Marathon, MesosMaster, Place, ZooKeeper,
    marathon::{Adopted, Behaviour, Host, Script, Settings},
    mesos_master::{AgentOfHost, Trouble, Usage},
    place::Ended,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use zookeeper_client::{Acls, Client, CreateMode};

struct Scene {
    place: Place,
    marathon: Marathon,
    mesos: MesosMaster,
    host: Host,
    client: Client,
    _zookeeper: ZooKeeper,
}

impl Scene {
    /// A service with these instances.
    async fn new(instances: &[(&str, &str)]) -> Self {
        let host = Host::some(1).remove(0);
        let settings = Settings {
            hosts: vec![host.clone()],
            script: Script::all(Behaviour::frozen()),
            ..Settings::default()
        };
        let mesos = MesosMaster::start(&settings.hosts).await.unwrap();
        let marathon = Marathon::start(settings).await.unwrap();
        let zookeeper = ZooKeeper::start().await.unwrap();
        let client = zookeeper.client().await.unwrap();
        let place = Place::new().unwrap();
        let log = json!({"path_format": place.path().join("log")});
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "zookeeper": zookeeper.hosts(), "sensu_host": null,
            "marathon_servers": [{"url": [marathon.url()], "user": "u", "password": "p"}],
            "log_writer": {"driver": "file", "options": log},
        });
        place.file("etc/all.json", &system.to_string()).unwrap();
        let lines: String =
            instances.iter().map(|(name, config)| format!("{name}: {config}\n")).collect();
        place.file("soa/web/marathon-c1.yaml", &lines).unwrap();
        let image = json!({"docker_image": "services-web:paasta-0123456789abcdef"});
        let v1: serde_json::Map<String, Value> = instances
            .iter()
            .map(|(name, _)| (format!("web:paasta-c1.{name}"), image.clone()))
            .collect();
        place.file("soa/web/deployments.json", &json!({"v1": v1}).to_string()).unwrap();
        Self { place, marathon, mesos, host, client, _zookeeper: zookeeper }
    }

    /// An instance with a healthy task on each of these ports.
    fn runs(&self, name: &str, ports: &[u16]) {
        let tasks: Vec<_> =
            ports.iter().map(|port| Adopted::on(&self.host.name, *port).alive(true)).collect();
        let body = json!({
            "id": format!("web.{name}.git1.config1"), "cmd": "run", "instances": ports.len(),
            "healthChecks": [{"path": "/"}],
        });
        self.marathon.change(|machine| machine.adopt(&body.to_string(), &tasks)).unwrap();
    }

    /// Each task has used so many processor seconds of one processor.
    fn uses(&self, seconds: f64) {
        let tasks = self.marathon.read(|machine| machine.tasks().cloned().collect::<Vec<_>>());
        self.mesos.run(&tasks);
        let used = Usage { cpus_limit: 1.1, user_seconds: seconds, system_seconds: 0.0, memory: 0 };
        tasks.iter().for_each(|task| self.mesos.set_usage(&task.id, used));
    }

    async fn autoscale(&self, arguments: &[&str]) -> Ended {
        let all: Vec<&str> = ["autoscale", "-d", "soa"].iter().chain(arguments).copied().collect();
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), &all).await.unwrap()
    }

    async fn node(&self, path: &str) -> Option<String> {
        let data = self.client.get_data(&format!("/autoscaling/{path}")).await.ok()?.0;
        Some(String::from_utf8_lossy(&data).into_owned())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    async fn write(&self, path: &str, text: &str) {
        let mode = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let path = format!("/autoscaling/{path}");
        self.client.mkdir(path.rsplit_once('/').unwrap().0, &mode).await.unwrap();
        self.client.create(&path, text.as_bytes(), &mode).await.unwrap();
    }

    /// A task that answers with this, or not at all.
    async fn task(&self, answer: Option<&str>) -> u16 {
        let listener = TcpListener::bind((self.host.address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer.map(str::to_owned);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Some(body) = &answer {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let head = format!("Content-Length: {}\r\nConnection: close", body.len());
                    let all = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
                    stream.write_all(all.as_bytes()).await.unwrap();
                } else {
                    open.push(stream);
                }
            }
        });
        port
    }
}

const HTTP: &str = "{min_instances: 2, max_instances: 10, \
    autoscaling: {metrics_provider: http, decision_policy: threshold, endpoint: load}}";
const UWSGI: &str = "{max_instances: 10, autoscaling: {metrics_provider: uwsgi}}";

#[tokio::test(flavor = "multi_thread")]
async fn busy_tasks_get_others_beside_them_and_a_broken_instance_harms_nobody() {
    let odd = "{max_instances: 3, autoscaling: {decision_policy: odd}}";
    let bespoke = "{max_instances: 3, autoscaling: {decision_policy: bespoke}}";
    let scene = Scene::new(&[
        ("http", HTTP),
        ("uwsgi", UWSGI),
        ("odd", odd),
        ("own", bespoke),
        ("idle", UWSGI),
        ("fixed", "{instances: 2}"),
    ])
    .await;
    // One that does not answer in time has all it can do.
    let busy = [scene.task(Some(r#"{"utilization": 0.9}"#)).await, scene.task(None).await];
    scene.runs("http", &busy);
    scene.write("web/http/instances", "2").await;
    let workers = r#"{"workers": [{"status": "busy"}, {"status": "busy"}]}"#;
    scene.runs("uwsgi", &[scene.task(Some(workers)).await]);
    scene.write("web/uwsgi/instances", "1").await;
    scene.runs("own", &[1]);
    let (code, out, _) = scene.autoscale(&["--dry-run"]).await;
    assert_eq!(code, 1);
    let (code, told, complaints) = scene.autoscale(&[]).await;
    assert_eq!((code, &told), (1, &out));
    let expected = "web.http: Scaling from 2 to 3 instances (15% overutilized)\n\
        web.uwsgi: Staying at 1 instances (20% overutilized)\n";
    assert_eq!(told, expected);
    let mut lines: Vec<&str> = complaints.lines().collect();
    lines.sort_unstable();
    let policies = "`decision_policy`: expected proportional, threshold, pid or bespoke";
    let idle = "error: web.idle: Couldn't find any healthy marathon tasks".to_owned();
    assert_eq!(lines, [idle, format!("error: web.odd: autoscaling: {policies}")]);
    assert_eq!(scene.node("web/http/instances").await.as_deref(), Some("3"));
    assert_eq!(scene.node("web/uwsgi/instances").await.as_deref(), Some("1"));
    assert_eq!(
        scene.client.get_data("/autoscaling/web/uwsgi/historical_load").await.unwrap().0.len(),
        16
    );
    assert_eq!(scene.node("web/own/instances").await, None);
    let log = scene.log();
    assert!(log.contains("Scaling from 2 to 3 instances (15% overutilized)"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_processors_mean_fewer_tasks_the_second_time() {
    let (scene, _agent) = measured_once().await;
    // As if a minute had passed.
    let last: f64 = scene.node("web/main/cpu_last_time").await.unwrap().parse().unwrap();
    let earlier = (last - 60.0).to_string();
    let path = "/autoscaling/web/main/cpu_last_time";
    scene.client.set_data(path, earlier.as_bytes(), None).await.unwrap();
    scene.uses(11.0);
    let (code, out, complaints) = scene.autoscale(&["--json"]).await;
    assert_eq!((code, complaints.as_str()), (0, ""));
    let out: Value = serde_json::from_str(&out).unwrap();
    let change = &out["instances"][0];
    assert_eq!((&change["from"], &change["to"]), (&json!(10), &json!(9)));
    let utilization = change["utilization"].as_f64().unwrap();
    assert!(utilization > 0.0 && utilization <= 0.1, "{utilization}");
    assert_eq!(scene.node("web/main/instances").await.as_deref(), Some("9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_paused_or_another_one_works_nothing_is_done() {
    let scene = Scene::new(&[("http", HTTP)]).await;
    scene.runs("http", &[scene.task(Some(r#"{"utilization": 2}"#)).await]);
    let link = scene.place.path().join("autoscale_all_services");
    symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
    scene.write("paused", "99999999999.5").await;
    let (code, out, complaints) = scene.place.run(link.clone(), &["-d", "soa"]).await.unwrap();
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(complaints.contains("paused until 99999999999.5"), "{complaints}");
    scene.client.set_data("/autoscaling/paused", b"1.5", None).await.unwrap();
    let mode = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    scene.write("autoscaling.lock/x", "").await;
    let other = "/autoscaling/autoscaling.lock/0123456789abcdef0123456789abcdef__lock__";
    let (_, number) = scene.client.create(other, b"", &mode).await.unwrap();
    let (code, _, complaints) = scene.autoscale(&[]).await;
    assert_eq!(
        (code, complaints.as_str()),
        (0, "error: another autoscaler is at work; nothing is done\n")
    );
    assert_eq!(scene.node("web/http/instances").await, None);
    scene.client.delete(&format!("{other}{number}"), None).await.unwrap();
    assert_eq!(
        scene.place.run(link, &["-d", "soa"]).await.unwrap(),
        (0, String::new(), String::new())
    );
    // It has as many as it may; that it was looked at is in the log.
    assert_eq!(scene.node("web/http/instances").await, None);
    assert!(scene.log().contains("Staying at 10 instances (120% overutilized)"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_an_instance_is_in_the_log_of_its_service_unless_nothing_is_to_be_written() {
    let scene = Scene::new(&[("idle", UWSGI)]).await;
    let (code, _, complaints) = scene.autoscale(&["--dry-run"]).await;
    assert_eq!((code, scene.log().as_str()), (1, ""), "{complaints}");
    assert_eq!(scene.autoscale(&[]).await.0, 1);
    let caught = "Caught Exception Couldn't find any healthy marathon tasks";
    assert!(scene.log().contains(caught), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_few_of_its_tasks_are_healthy_an_instance_is_not_scaled_down() {
    let scene = Scene::new(&[("http", HTTP)]).await;
    scene.write("web/http/instances", "10").await;
    scene.runs("http", &[scene.task(Some(r#"{"utilization": 0}"#)).await]);
    let (code, out, _) = scene.autoscale(&["--json"]).await;
    let out: Value = serde_json::from_str(&out).unwrap();
    let change = &out["instances"][0];
    assert_eq!((code, &change["from"], &change["to"]), (0, &json!(10), &json!(10)));
    assert_eq!(scene.node("web/http/instances").await.as_deref(), Some("10"));
    assert!(scene.log().contains("Not scaling web.http down to 9"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_contradict_each_other_mean_the_same_to_whoever_deploys() {
    let odd = "{min_instances: 5, max_instances: 3, \
        autoscaling: {metrics_provider: http, decision_policy: threshold}}";
    let scene = Scene::new(&[("http", odd)]).await;
    scene.write("web/http/instances", "4").await;
    scene.runs("http", &[scene.task(Some(r#"{"utilization": 2}"#)).await]);
    let (code, out, _) = scene.autoscale(&[]).await;
    let stays = "web.http: Staying at 5 instances (120% overutilized)\n";
    assert_eq!((code, out.as_str()), (0, stays));
}

/// Ten tasks that the agent of their host counts, measured once.
async fn measured_once() -> (Scene, AgentOfHost) {
    let cpu = "{min_instances: 1, max_instances: 10, autoscaling: {decision_policy: threshold}}";
    let scene = Scene::new(&[("main", cpu)]).await;
    let agent = scene.mesos.agent(&scene.host, 5051).await.unwrap();
    scene.runs("main", &(31_000..31_010).collect::<Vec<u16>>());
    scene.uses(5.0);
    let (code, out, complaints) = scene.autoscale(&[]).await;
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(complaints.contains("no mesos stats found"), "{complaints}");
    (scene, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_time_of_the_last_measure_there_is_nothing_to_compare_with() {
    let (scene, _agent) = measured_once().await;
    scene.client.delete("/autoscaling/web/main/cpu_last_time", None).await.unwrap();
    let (code, out, complaints) = scene.autoscale(&[]).await;
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(complaints.contains("no mesos stats found"), "{complaints}");
    assert_eq!(scene.node("web/main/instances").await, None);
    assert!(scene.node("web/main/cpu_last_time").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_do_not_answer_do_not_make_the_last_measure_forgotten() {
    let (scene, _agent) = measured_once().await;
    let before = scene.node("web/main/cpu_data").await;
    assert_ne!(before.as_deref(), Some(""));
    scene.mesos.set_trouble(Some(Trouble::Status(503)));
    let (code, out, complaints) = scene.autoscale(&[]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(complaints.contains("Couldn't get any data from the Mesos agents"), "{complaints}");
    assert_eq!(scene.node("web/main/cpu_data").await, before);
}
