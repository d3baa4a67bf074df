//! `paasta-master instances --minimal`, with a simulated Marathon and a real ZooKeeper.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use end_to_end::{
    Marathon, ZooKeeper,
    marathon::{Fault, Settings},
    ports::Port,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use zookeeper_client::{Acls, CreateMode};

/// A Marathon that has these apps with so many tasks, and lets nobody in without the password.
async fn marathon(apps: &[(&str, usize)]) -> Marathon {
    let login = Some(("paasta".to_owned(), "secret".to_owned()));
    let marathon = Marathon::start(Settings { login, ..Settings::default() }).await.unwrap();
    for (id, instances) in apps {
        let body = json!({"id": id, "cmd": "run", "instances": instances}).to_string();
        marathon.change(|machine| machine.adopt(&body, &[])).unwrap();
    }
    marathon
}

/// Nobody listens there.
fn nobody() -> String {
    // Kept until the end, so that no other test's server gets it.
    let port = Box::leak(Box::new(Port::free().unwrap()));
    format!("http://127.0.0.1:{}", port.number)
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

    async fn minimal(self) -> (i32, String, String) {
        let run = move || self.run(&["instances", "--minimal", "-d", "soa"]);
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn id(&self, name: &str) -> String {
        let (_, out, _) = self.run(&["render", "marathon", name, "-d", "soa"]);
        let rendered: Value = serde_json::from_str(&out).unwrap();
        rendered["id"].as_str().unwrap().to_owned()
    }
}

fn server(urls: &[String], password: &str) -> Value {
    json!({"url": urls, "user": "paasta", "password": password})
}

#[tokio::test]
async fn only_what_marathon_does_not_have_as_asked_is_listed() {
    // The ids first, from a host without a Marathon.
    let names = Host::new(&json!([]), "");
    let yaml = "same: {instances: 2}\nfewer: {instances: 3}\nnew_one: {}\nnever: {}\nstopped: {}\n";
    let deployed = ["same", "fewer", "new_one", "stopped"];
    names.service("web", yaml, &deployed);
    let ids = ["web.same", "web.fewer", "web.stopped"].map(|name| names.id(name));
    let there = marathon(&[
        (&ids[0], 2),
        (&ids[1], 1),
        (&ids[2], 1),
        ("web.stopped.git00000000.config00000000", 1),
        ("web.gone--for--good.git1.config1", 1),
        ("toolbox", 1),
    ])
    .await;
    let host = Host::new(&json!([server(&[nobody(), there.url()], "secret")]), "");
    host.service("web", yaml, &deployed);
    let (code, out, complaint) = host.minimal().await;
    assert_eq!(out, "web.fewer\nweb.gone_for_good\nweb.new_one\nweb.stopped\n");
    assert_eq!(
        (code, complaint.as_str()),
        (0, "error: /toolbox in Marathon is no instance of a service; it is left alone\n")
    );
    let calls: Vec<_> = there.calls().into_iter().map(|call| (call.method, call.path)).collect();
    assert_eq!(calls, [("GET".to_owned(), "/v2/apps".to_owned())]);
}

#[tokio::test]
async fn an_app_on_a_previous_shard_is_one_too_many() {
    let names = Host::new(&json!([]), "");
    names.service("web", "main: {}\n", &["main"]);
    let id = names.id("web.main");
    let (now, before) = (marathon(&[(&id, 1)]).await, marathon(&[(&id, 1)]).await);
    for (previous, listed) in [(&now, ""), (&before, "web.main\n")] {
        let host = Host::new(&json!([server(&[now.url()], "secret")]), "");
        let previous = json!({"previous_marathon_servers": [server(&[previous.url()], "secret")]});
        host.file("etc/previous.json", &previous.to_string());
        host.service("web", "main: {}\n", &["main"]);
        assert_eq!(host.minimal().await, (0, listed.to_owned(), String::new()));
    }
}

#[test]
fn the_old_command_is_a_link() {
    let host = Host::new(&json!([server(&[nobody()], "secret")]), "");
    host.service("web", "main: {}\nother: {}\n", &["main"]);
    let link = host.0.path().join("list_marathon_service_instances");
    symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
    let all = host.command(&link, &["-d", "soa"]);
    assert_eq!(all, (0, "web.main\nweb.other\n".to_owned(), String::new()));
    let (code, _, complaint) = host.command(&link, &["-m", "-d", "soa"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("cannot connect to http://127.0.0.1:"), "{complaint}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_not_taken_for_removed() {
    let there = marathon(&[("web.bad.git1.config1", 1), ("web.main.git1.config1", 1)]).await;
    let host = Host::new(&json!([server(&[there.url()], "secret")]), "");
    host.service("web", "main: {}\nbad: {net: [x]}\n", &["main", "bad"]);
    let (code, out, complaint) = host.minimal().await;
    assert_eq!((code, out.as_str()), (1, "web.main\n"));
    assert_eq!(complaint, "error: web.bad: net: expected a text\n");
}

#[tokio::test]
async fn a_marathon_that_does_not_answer_is_one_line_and_no_list() {
    let there = marathon(&[]).await;
    let sick = marathon(&[]).await;
    sick.fault(Fault::status("GET", "/v2/apps", 500, "out of order"));
    for (servers, said) in [
        (json!([server(&[nobody()], "secret")]), "cannot connect to http://127.0.0.1:"),
        (
            json!([server(&[there.url()], "wrong")]),
            "401 Unauthorized: Invalid username or password.",
        ),
        (
            json!([server(&[sick.url(), there.url()], "secret")]),
            "500 Internal Server Error: out of order",
        ),
        (json!([]), "`marathon_servers` of the system configuration names no Marathon"),
    ] {
        let host = Host::new(&servers, "");
        host.service("web", "main: {}\n", &["main"]);
        let (code, out, complaint) = host.minimal().await;
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
        let there = marathon(&[(&ids[0], few), (&ids[1], most)]).await;
        let host = Host::new(&json!([server(&[there.url()], "secret")]), &chroot);
        host.service("web", yaml, &deployed);
        let (code, out, complaint) = host.minimal().await;
        assert_eq!((code, out.as_str()), (1, listed));
        let said =
            "/autoscaling/web/odd/instances in ZooKeeper: expected a whole number, found `many`";
        assert_eq!(complaint, format!("error: web.odd: {said}\n"));
    }
}
