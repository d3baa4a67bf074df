//! `paasta-master instances --minimal`, with a Marathon that is played and a real ZooKeeper.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
    thread,
};

use end_to_end::ZooKeeper;
use serde_json::{Value, json};
use tempfile::TempDir;
use zookeeper_client::{Acls, CreateMode};

/// `paasta:secret`, as RFC 7617 has it.
const LOGIN: &str = "authorization: Basic cGFhc3RhOnNlY3JldA==";

/// Answers `GET /v2/apps` with these apps, and everything else as Marathon does. It ends with the test.
fn marathon(apps: Value) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            let request = String::from_utf8(request).unwrap();
            let (status, body) = if !request.contains(LOGIN) {
                (401, json!({"message": "Invalid username or password."}))
            } else if request.starts_with("GET /v2/apps HTTP/1.1\r\n") {
                (200, json!({"apps": apps}))
            } else {
                (404, json!({"message": "not found"}))
            };
            let body = body.to_string();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    address
}

/// Nobody listens there.
fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn app(id: &str, instances: u32) -> Value {
    json!({"id": format!("/{id}"), "instances": instances, "cmd": null, "tasksRunning": instances})
}

struct Host(TempDir);

impl Host {
    fn new(servers: &Value, zookeeper: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "zookeeper": zookeeper, "marathon_servers": servers,
        });
        host.file("etc/all.json", &system.to_string());
        host
    }

    fn file(&self, name: &str, text: &str) {
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// A service of which `deployed` instances have an image.
    fn service(&self, name: &str, marathon: &str, deployed: &[&str]) {
        self.file(&format!("soa/{name}/marathon-c1.yaml"), marathon);
        let image = format!("services-{name}:paasta-0123456789abcdef0123456789abcdef01234567");
        let entry = |i: &&str| (format!("{name}:paasta-c1.{i}"), json!({"docker_image": image}));
        let v1: serde_json::Map<_, _> = deployed.iter().map(entry).collect();
        self.file(&format!("soa/{name}/deployments.json"), &json!({"v1": v1}).to_string());
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).env("PAASTA_SYSTEM_CONFIG_DIR", "etc").args(arguments);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.command(Path::new(env!("CARGO_BIN_EXE_paasta-master")), arguments)
    }

    fn minimal(&self) -> (i32, String, String) {
        self.run(&["instances", "--minimal", "-d", "soa"])
    }

    fn id(&self, name: &str) -> String {
        let (_, out, _) = self.run(&["render", "marathon", name, "-d", "soa"]);
        let rendered: Value = serde_json::from_str(&out).unwrap();
        rendered["id"].as_str().unwrap().to_owned()
    }
}

fn server(urls: &[SocketAddr], password: &str) -> Value {
    let urls: Vec<_> = urls.iter().map(|address| format!("http://{address}")).collect();
    json!({"url": urls, "user": "paasta", "password": password})
}

#[test]
fn only_what_marathon_does_not_have_as_asked_is_listed() {
    // The ids first, from a host without a Marathon.
    let names = Host::new(&json!([]), "");
    let yaml = "same: {instances: 2}\nfewer: {instances: 3}\nnew_one: {}\nnever: {}\nstopped: {}\n";
    let deployed = ["same", "fewer", "new_one", "stopped"];
    names.service("web", yaml, &deployed);
    let ids = ["web.same", "web.fewer", "web.stopped"].map(|name| names.id(name));
    let there = marathon(json!([
        app(&ids[0], 2),
        app(&ids[1], 1),
        app(&ids[2], 1),
        app("web.stopped.git00000000.config00000000", 1),
        app("web.gone--for--good.git1.config1", 1),
        app("toolbox", 1),
    ]));
    let host = Host::new(&json!([server(&[nobody(), there], "secret")]), "");
    host.service("web", yaml, &deployed);
    let (code, out, complaint) = host.minimal();
    assert_eq!(out, "web.fewer\nweb.gone_for_good\nweb.new_one\nweb.stopped\n");
    assert_eq!(
        (code, complaint.as_str()),
        (0, "error: /toolbox in Marathon is no instance of a service; it is left alone\n")
    );
    let link = host.0.path().join("list_marathon_service_instances");
    symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
    assert_eq!(host.command(&link, &["-m", "-d", "soa"]).1, out);
    let all = host.command(&link, &["-d", "soa"]);
    assert_eq!(all.1, "web.fewer\nweb.never\nweb.new_one\nweb.same\nweb.stopped\n");
}

#[test]
fn what_cannot_be_read_is_told_and_not_taken_for_removed() {
    let there = marathon(json!([app("web.bad.git1.config1", 1), app("web.main.git1.config1", 1)]));
    let host = Host::new(&json!([server(&[there], "secret")]), "");
    host.service("web", "main: {}\nbad: {net: [x]}\n", &["main", "bad"]);
    let (code, out, complaint) = host.minimal();
    assert_eq!((code, out.as_str()), (1, "web.main\n"));
    assert_eq!(complaint, "error: web.bad: net: expected a text\n");
}

#[test]
fn a_marathon_that_does_not_answer_is_one_line_and_no_list() {
    let wrong = marathon(json!([]));
    for (servers, said) in [
        (json!([server(&[nobody()], "secret")]), "cannot connect to http://127.0.0.1:"),
        (json!([server(&[wrong], "wrong")]), "401 Unauthorized: Invalid username or password."),
        (json!([]), "`marathon_servers` of the system configuration names no Marathon"),
    ] {
        let host = Host::new(&servers, "");
        host.service("web", "main: {}\n", &["main"]);
        let (code, out, complaint) = host.minimal();
        assert_eq!((code, out.as_str(), complaint.lines().count()), (1, "", 1), "{complaint}");
        assert!(complaint.contains(said), "{complaint}");
    }
}

#[tokio::test]
async fn autoscaled_instances_are_wanted_as_often_as_zookeeper_says() {
    let zookeeper = ZooKeeper::start().await.unwrap();
    let client = zookeeper.client().await.unwrap();
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for path in ["/paasta/autoscaling/web/few", "/paasta/autoscaling/web/odd"] {
        client.mkdir(path, &open).await.unwrap();
    }
    client.create("/paasta/autoscaling/web/few/instances", b"2", &open).await.unwrap();
    client.create("/paasta/autoscaling/web/odd/instances", b"many", &open).await.unwrap();
    let yaml = "few: {max_instances: 5}\nmost: {max_instances: 5}\nodd: {max_instances: 5}\n";
    let deployed = ["few", "most", "odd"];
    let names = Host::new(&json!([]), "");
    names.service("web", yaml, &deployed);
    let ids = ["web.few", "web.most"].map(|name| names.id(name));
    let chroot = format!("zk://{}/paasta", zookeeper.hosts());
    for (few, most, listed) in [(2, 5, ""), (5, 2, "web.few\nweb.most\n")] {
        let there = marathon(json!([app(&ids[0], few), app(&ids[1], most)]));
        let host = Host::new(&json!([server(&[there], "secret")]), &chroot);
        host.service("web", yaml, &deployed);
        let (code, out, complaint) =
            tokio::task::spawn_blocking(move || host.minimal()).await.unwrap();
        assert_eq!((code, out.as_str()), (1, listed));
        let said =
            "/autoscaling/web/odd/instances in ZooKeeper: expected a whole number, found `many`";
        assert_eq!(complaint, format!("error: web.odd: {said}\n"));
    }
}
