//! `paasta-master check-replication`, with a real HAProxy, simulated Marathon and Mesos, and a Sensu that only
//! listens.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use end_to_end::{
    Marathon, MesosMaster, Place, eventually,
    marathon::{Adopted, Behaviour, Host, Script, Settings},
    place::Ended,
    ports::Port,
    web,
};
use serde_json::{Value, json};

const YAML: &str = "main: {instances: 4, replication_threshold: 60}\nidle: {}\n";

struct Scene {
    place: Place,
    hosts: Vec<Host>,
    statistics: Port,
    marathon: Marathon,
    mesos: MesosMaster,
    sensu: TcpListener,
    haproxy: Option<Child>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut haproxy) = self.haproxy.take() {
            haproxy.kill().unwrap();
            haproxy.wait().unwrap();
        }
    }
}

impl Scene {
    /// Two regions with an agent each; `web` in SmartStack, and `api` with two tasks of which one is well.
    async fn new() -> Self {
        let mut hosts = Host::some(2).into_iter();
        let mut host = |region| hosts.next().unwrap().with_attribute("region", region);
        let hosts = vec![host("west"), host("east")];
        let script = Script::all(Behaviour::frozen());
        let settings = Settings { hosts: hosts.clone(), script, ..Settings::default() };
        let marathon = Marathon::start(settings).await.unwrap();
        let app = json!({
            "id": "api.main.git1.config1", "cmd": "run", "instances": 2,
            "healthChecks": [{"path": "/"}],
        });
        let tasks = [true, false].map(|alive| Adopted::on(&hosts[0].name, 31_000).alive(alive));
        marathon.change(|machine| machine.adopt(&app.to_string(), &tasks)).unwrap();
        let scene = Self {
            place: Place::new().unwrap(),
            mesos: MesosMaster::start(&hosts).await.unwrap(),
            hosts,
            statistics: Port::free().unwrap(),
            marathon,
            sensu: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            haproxy: None,
        };
        scene.files();
        scene
    }

    fn files(&self) {
        let mesos = json!({"profile": "default", "default": {"master": self.mesos.leader()}});
        self.file("mesos.json", &mesos.to_string());
        let system = json!({
            "cluster": "c1",
            "marathon_servers": [{"url": [self.marathon.url()], "user": "u", "password": "p"}],
            "mesos_config": {"path": self.place.path().join("mesos.json")},
            "synapse_port": self.statistics.number,
            "sensu_host": "127.0.0.1",
            "sensu_port": self.sensu.local_addr().unwrap().port(),
            "log_writer": {"driver": "file", "options": {
                "path_format": format!("{}/{{service}}.log", self.place.path().display()),
            }},
        });
        self.file("etc/all.json", &system.to_string());
        self.file("soa/web/marathon-c1.yaml", YAML);
        self.file("soa/web/smartstack.yaml", "main: {proxy_port: 20001}\n");
        self.file("soa/web/monitoring.yaml", "team: search\n");
        self.file("soa/api/marathon-c1.yaml", "main: {instances: 2}\n");
        self.file("soa/api/monitoring.yaml", "team: search\nalert_after: 9m\n");
        for service in ["web", "api"] {
            let image = json!({"docker_image": format!("services-{service}:paasta-0123")});
            let v1 = json!({"v1": {format!("{service}:paasta-c1.main"): image}});
            self.file(&format!("soa/{service}/deployments.json"), &v1.to_string());
        }
    }

    fn file(&self, name: &str, text: &str) {
        self.place.file(name, text).unwrap();
    }

    /// HAProxy on these hosts: of web.main one server is up, another one is down.
    async fn serve(&mut self, hosts: usize) {
        let port = self.statistics.number;
        let own = self.hosts[0].address;
        let binds: String = self.hosts[..hosts]
            .iter()
            .map(|host| format!(" bind {}:{port}\n", host.address))
            .collect();
        let text = format!(
            "defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
             listen stats\n{binds} stats enable\n stats uri /\n\
             backend web.main\n server a_{own}:{port} {own}:{port} check inter 100ms rise 1 fall 1\n \
             server b_{own}:1 {own}:1 check inter 100ms rise 1 fall 1\n"
        );
        self.file("haproxy.cfg", &text);
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(self.place.path().join("haproxy.cfg"));
        self.haproxy = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let address = (own, port).into();
        eventually("haproxy knows who is down", || async move {
            let asked =
                web::exchange(address, hyper::Method::GET, "/;csv;norefresh", &[], "").await;
            let (_, _, text) = asked.map_err(|error| error.to_string())?;
            let is_down = |line: &str| line.starts_with("web.main,b_") && line.contains(",DOWN,");
            if text.lines().any(is_down) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    async fn run_as(&self, program: PathBuf, arguments: &[&str]) -> Ended {
        self.place.run(program, arguments).await.unwrap()
    }

    async fn check(&self, arguments: &[&str]) -> Ended {
        let all: Vec<&str> =
            ["check-replication", "-d", "soa"].iter().chain(arguments).copied().collect();
        self.run_as(env!("CARGO_BIN_EXE_paasta-master").into(), &all).await
    }

    /// The next event that Sensu was handed.
    fn event(&self) -> Value {
        let (mut stream, _) = self.sensu.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sensu_hears_of_every_instance_what_haproxy_or_marathon_says() {
    let mut scene = Scene::new().await;
    scene.serve(2).await;
    let link = scene.place.path().join("check_marathon_services_replication");
    symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
    assert_eq!(scene.run_as(link, &["-d", "soa"]).await, (0, String::new(), String::new()));
    let (api, web) = (scene.event(), scene.event());
    assert_eq!(api["name"], "check_marathon_services_replication.api.main");
    assert_eq!(json!([api["status"], api["alert_after"], api["interval"]]), json!([0, 540, 60]));
    let said = "Service api.main has 1 out of 2 expected instances available!\n(threshold: 50%)";
    assert_eq!(api["output"], said);
    assert_eq!(web["name"], "check_marathon_services_replication.web.main");
    assert_eq!(json!([web["status"], web["alert_after"]]), json!([2, 120]));
    let said = "- Service web.main has 1 out of 2 expected instances in east (CRITICAL: 50%)\n\
                - Service web.main has 1 out of 2 expected instances in west (CRITICAL: 50%)\n";
    assert!(web["output"].as_str().unwrap().starts_with(said), "{web}");
    let line = fs::read_to_string(scene.place.path().join("web.log")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json!([line["component"], line["level"]]), json!(["monitoring", "debug"]));
    assert!(line["message"].as_str().unwrap().starts_with("Replication: - Service web.main"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_cannot_be_seen_nobody_is_told() {
    let mut scene = Scene::new().await;
    scene.serve(1).await;
    let (code, out, complaint) = scene.check(&[]).await;
    assert_eq!((code, out.lines().count()), (1, 2), "{out}");
    assert!(complaint.contains("error: cannot connect to http://127."), "{complaint}");
    assert!(complaint.ends_with("error: web.main: no HAProxy in east says what it serves\n"));
    assert_eq!(scene.event()["name"], "check_marathon_services_replication.api.main");
    scene.file("soa/api/marathon-c1.yaml", "main: {instances: two}\n");
    scene.file("soa/web/marathon-c1.yaml", "main: {monitoring_blacklist: [[region, east]]}\n");
    let (code, out, complaint) = scene.check(&["--dry-run"]).await;
    assert_eq!((code, complaint.as_str()), (1, "error: api.main: instances: expected a number\n"));
    assert_eq!(out, "- Service web.main has 1 out of 1 expected instances in west (OK: 100%)\n");
    scene.sensu.set_nonblocking(true).unwrap();
    assert!(scene.sensu.accept().is_err(), "a dry run tells nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_marathon_or_mesos_there_is_one_line() {
    let scene = Scene::new().await;
    scene.file("mesos.json", r#"{"profile": "default", "default": {"master": "127.0.0.1:1"}}"#);
    let (code, out, complaint) = scene.check(&[]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    let said = "error: cannot connect to http://127.0.0.1:1/master/slaves: Connection refused (os error 111)\n";
    assert_eq!(complaint, said);
}
