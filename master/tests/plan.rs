//! `paasta-master plan`, with simulated Marathon and Mesos, and the real hacheck.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use end_to_end::{
    Hacheck, Marathon, MesosMaster, Place, TlsFront, eventually,
    marathon::{Adopted, Behaviour, Host, Script, Settings},
    place::Ended,
    web,
};
use serde_json::{Value, json};

const OLD: &str = "web.main.gitold.configold";

struct Scene {
    place: Place,
    marathon: Marathon,
    mesos: MesosMaster,
}

impl Scene {
    /// One host, on which the instance `web.main` is to run as this says.
    async fn new(instance: &str) -> Self {
        let hosts = vec![Host::at([127, 0, 0, 1].into())];
        let script = Script::all(Behaviour::frozen());
        let settings = Settings { hosts: hosts.clone(), script, ..Settings::default() };
        let marathon = Marathon::start(settings).await.unwrap();
        let mesos = MesosMaster::start(&hosts).await.unwrap();
        let scene = Self { place: Place::new().unwrap(), marathon, mesos };
        let config = json!({"profile": "default", "default": {"master": scene.mesos.leader()}});
        scene.file("mesos.json", &config.to_string());
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "marathon_servers": [{"url": [scene.marathon.url()], "user": "u", "password": "p"}],
            "mesos_config": {"path": scene.place.path().join("mesos.json")},
        });
        scene.file("etc/all.json", &system.to_string());
        scene.file("soa/web/marathon-c1.yaml", &format!("main: {instance}\n"));
        let image = json!({"docker_image": "services-web:paasta-0123456789abcdef"});
        let v1 = json!({"v1": {"web:paasta-c1.main": image}});
        scene.file("soa/web/deployments.json", &v1.to_string());
        scene
    }

    fn file(&self, name: &str, text: &str) {
        self.place.file(name, text).unwrap();
    }

    /// An app with a running task on each of these ports.
    fn app(&self, id: &str, ports: &[u16]) {
        let tasks: Vec<_> =
            ports.iter().map(|port| Adopted::on("127.0.0.1", *port).alive(true)).collect();
        let body = json!({
            "id": id, "cmd": "run", "instances": ports.len(), "healthChecks": [{"path": "/"}],
        });
        self.marathon.change(|machine| machine.adopt(&body.to_string(), &tasks)).unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), arguments).await.unwrap()
    }

    async fn plan(&self) -> Value {
        let (code, out, complaint) = self.run(&["plan", "web.main", "-d", "soa", "--json"]).await;
        assert_eq!((code, complaint.as_str()), (0, ""));
        let planned: Value = serde_json::from_str(&out).unwrap();
        planned["instances"][0].clone()
    }

    async fn id(&self) -> String {
        self.rendered().await["id"].as_str().unwrap().to_owned()
    }

    /// The body of the request that creates the app.
    async fn rendered(&self) -> Value {
        let (_, out, _) = self.run(&["render", "marathon", "web.main", "-d", "soa"]).await;
        let rendered: Value = serde_json::from_str(&out).unwrap();
        rendered["app"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_is_said_in_words_and_nothing_is_done() {
    let scene = Scene::new("{instances: 2, bounce_method: brutal}").await;
    let id = scene.id().await;
    scene.app(OLD, &[31_000]);
    let (code, out, complaint) = scene.run(&["plan", "web.main", "-d", "soa"]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], format!("web.main: brutal, 2 tasks wanted; {id} is not created yet"));
    assert_eq!(lines[1], format!("  create {id} with 2 tasks"));
    assert!(lines[2].starts_with(&format!("  drain {OLD}.")), "{out}");
    assert!(lines[3].starts_with(&format!("  kill {OLD}.")), "{out}");
    assert!(lines[3].ends_with(" on 127.0.0.1:31000"), "{out}");
    assert_eq!(lines[4], format!("  remove /{OLD}"));
    assert_eq!(lines[5], format!("  beside /{OLD}:"));
    let count = "    instances: 1 -> 2 (instances in web/marathon-c1.yaml:1)";
    assert!(
        lines.contains(&count) && lines.contains(&"    cmd: \"run\" -> nothing (default of cmd)")
    );
    assert!(scene.marathon.calls().iter().all(|call| call.method == "GET"));
    scene.file("soa/web/marathon-c1.yaml", "main: {instances: 0, bounce_method: gentle}\n");
    let (code, _, complaint) = scene.run(&["plan", "web.main", "-d", "soa"]).await;
    assert_eq!(code, 1);
    let said = "error: web.main: ERROR: bounce_method not recognized: gentle. Must be one of (";
    assert!(complaint.starts_with(said), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hacheck_says_who_is_drained_and_who_may_go() {
    let hacheck = Hacheck::new().unwrap();
    let _running = hacheck.start(&[]).await.unwrap();
    let port = hacheck.port.number;
    let params = format!("{{hacheck_port: {port}, delay: 0}}");
    let scene = Scene::new(&format!(
        "{{instances: 2, drain_method: hacheck, drain_method_params: {params}}}"
    ))
    .await;
    let id = scene.id().await;
    scene.app(OLD, &[31_000, 31_001]);
    scene.app(&id, &[32_000, 32_001]);
    let plan = scene.plan().await;
    let counts = |plan: &Value| {
        ["undrain", "drain", "kill", "remove"].map(|key| plan[key].as_array().unwrap().len())
    };
    assert_eq!(counts(&plan), [0, 2, 0, 0], "{plan}");
    for port in ["31000", "32000"] {
        let marked = hacheck.run("hadown", &["-P", port, "-r", "test", "web.main"]).await.unwrap();
        assert!(marked.status.success(), "{marked:?}");
        let path = format!("/spool/web.main/{port}/status");
        eventually("hacheck has seen the mark", async || {
            let asked = web::get(hacheck.port.number, &path).await.map_err(|e| e.to_string())?;
            if asked.0 == 503 { Ok(()) } else { Err(asked.1) }
        })
        .await;
    }
    let plan = scene.plan().await;
    // The one that is down may go; the new one that is down comes back, and serves meanwhile as far as
    // Marathon knows.
    assert_eq!(counts(&plan), [1, 1, 1, 0], "{plan}");
    assert_eq!(plan["exists"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_answers_for_the_tasks_nothing_is_killed() {
    let scene =
        Scene::new("{instances: 1, drain_method: hacheck, drain_method_params: {hacheck_port: 1}}")
            .await;
    let id = scene.id().await;
    scene.app(OLD, &[31_000]);
    scene.app(&id, &[32_000]);
    let plan = scene.plan().await;
    assert_eq!(plan["drain"].as_array().unwrap().len(), 1);
    assert_eq!((&plan["kill"], &plan["remove"]), (&json!([]), &json!([])));
}

/// The origin of a difference, as `layer place`.
fn told(plan: &Value, field: &str) -> Vec<String> {
    let all = plan["differences"].as_array().unwrap();
    let one = all.iter().find(|one| one["field"] == field);
    let from = one.unwrap_or_else(|| panic!("no {field} in {all:?}"))["from"].as_array().unwrap();
    let text = |from: &Value| match (&from["file"], &from["line"], &from["key"]) {
        (Value::String(file), line, _) => format!("{} {file}:{line}", from["layer"]),
        (_, _, Value::String(key)) => format!("{} {key}", from["layer"]),
        _ => from["layer"].to_string(),
    };
    from.iter().map(text).map(|text| text.replace('"', "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_that_differs_is_told_with_where_its_value_comes_from() {
    let scene = Scene::new("").await;
    scene.file(
        "soa/web/marathon-c1.yaml",
        "main:\n  instances: 1\n  cpus: 0.5\n  env:\n    A: b\n  drain_method: noop\n",
    );
    scene.file("soa/web/smartstack.yaml", "main:\n  proxy_port: 20001\n  healthcheck_uri: /h\n");
    let body = scene.rendered().await;
    scene.marathon.change(|machine| machine.adopt(&body.to_string(), &[])).unwrap();
    let plan = scene.plan().await;
    assert_eq!((&plan["differences"], &plan["exists"]), (&json!([]), &json!(true)), "{plan:#}");

    scene.file(
        "soa/web/marathon-c1.yaml",
        "main:\n  instances: 1\n  cpus: 1\n  env:\n    B: b\n  drain_method: noop\n  healthcheck_mode: tcp\n",
    );
    scene.file(
        "soa/web/service.yaml",
        "mem: 2048\nextra_volumes:\n- {containerPath: /d, hostPath: /e, mode: RO}\n",
    );
    let v1 = r#"{"v1": {"web:paasta-c1.main": {
        "docker_image": "services-web:paasta-fedcba"}}}"#;
    scene.file("soa/web/deployments.json", v1);
    let plan = scene.plan().await;
    assert_eq!(plan["beside"], json!(format!("/{}", body["id"].as_str().unwrap())));
    for (field, from) in [
        ("cpus", &["instance web/marathon-c1.yaml:3"][..]),
        ("mem", &["service web/service.yaml:1"]),
        ("container.docker.parameters[memory-swap]", &["service web/service.yaml:1"]),
        ("container.docker.parameters[cpu-quota]", &["instance web/marathon-c1.yaml:3"]),
        (
            "container.docker.image",
            &["deployments web/deployments.json:2", "system docker_registry"],
        ),
        ("container.volumes[/d].hostPath", &["service web/service.yaml:2", "system volumes"]),
        ("env.B", &["instance web/marathon-c1.yaml:5"]),
        ("env.A", &["default env"]),
        ("env.PAASTA_DOCKER_IMAGE", &["deployments web/deployments.json:2"]),
        ("healthChecks[0].protocol", &["instance web/marathon-c1.yaml:7"]),
    ] {
        assert_eq!(told(&plan, field), from, "{field}");
    }
    let env = plan["differences"].as_array().unwrap().iter().find(|one| one["field"] == "env.A");
    assert_eq!((&env.unwrap()["is"], &env.unwrap()["to_be"]), (&json!("b"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_that_is_forced_is_told_and_an_app_that_is_new_has_all_its_fields() {
    let scene = Scene::new("{instances: 2, drain_method: noop}").await;
    let plan = scene.plan().await;
    assert_eq!(plan["beside"], Value::Null);
    let all = plan["differences"].as_array().unwrap();
    assert!(
        all.iter().all(|one| one["is"].is_null() && !one["from"].as_array().unwrap().is_empty())
    );
    assert_eq!(told(&plan, "cpus"), ["default cpus"]);
    assert_eq!(told(&plan, "constraints"), ["default constraints"]);
    assert_eq!(told(&plan, "env.PAASTA_SERVICE"), ["computed"]);

    let body = scene.rendered().await;
    scene.marathon.change(|machine| machine.adopt(&body.to_string(), &[])).unwrap();
    let v1 = json!({"v1": {"web:paasta-c1.main": {
        "docker_image": "services-web:paasta-0123456789abcdef", "force_bounce": "20181224"}}});
    scene.file("soa/web/deployments.json", &v1.to_string());
    let plan = scene.plan().await;
    assert_eq!(plan["differences"].as_array().unwrap().len(), 1, "{plan:#}");
    assert_eq!(told(&plan, "config_hash"), ["deployments web/deployments.json:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_a_server_has_to_prove_its_name() {
    let scene = Scene::new("{instances: 1, drain_method: noop}").await;
    let marathon = TlsFront::of(scene.marathon.port()).await.unwrap();
    let mesos: std::net::SocketAddr = scene.mesos.leader().parse().unwrap();
    let mesos = TlsFront::of(mesos.port()).await.unwrap();
    let configure = |name: &str| {
        let url = format!("https://{name}:{}", marathon.port.number);
        let master = format!("localhost:{}", mesos.port.number);
        let config = json!({"profile": "p", "p": {"master": master, "scheme": "https"}});
        scene.file("mesos.json", &config.to_string());
        let servers = json!({"marathon_servers": [{"url": [url], "user": "u", "password": "p"}]});
        scene.file("etc/servers.json", &servers.to_string());
        url
    };
    let program = env!("CARGO_BIN_EXE_paasta-master");
    let words = ["plan", "web.main", "-d", "soa"];
    // Two authorities in one file, as hosts have them.
    let both = [&marathon, &mesos].map(|front| std::fs::read_to_string(front.authority()).unwrap());
    scene.file("both.pem", &both.concat());
    let (known, foreign) = (scene.place.path().join("both.pem"), mesos.authority());
    configure("localhost");
    let trusting = [("SSL_CERT_FILE", known.as_path())];
    let (code, out, complaint) = scene.place.run_with(&trusting, program, &words).await.unwrap();
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert!(out.contains(" is not created yet\n"), "{out}");
    let calls = scene.marathon.calls();
    assert!(!calls.is_empty());

    let foreign = [("SSL_CERT_FILE", foreign.as_path())];
    for (name, variables) in [("localhost", &foreign), ("127.0.0.1", &trusting)] {
        let url = configure(name);
        let (code, _, complaint) = scene.place.run_with(variables, program, &words).await.unwrap();
        assert_eq!((code, complaint.lines().count()), (1, 1), "{complaint}");
        let said = format!("error: no TLS with {url}/v2/apps?embed=app.tasks: ");
        assert!(complaint.starts_with(&said), "{complaint}");
    }
    assert_eq!(scene.marathon.calls(), calls, "nothing is said to a server that is not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_says_nothing_is_not_named_for_what_others_say() {
    let scene = Scene::new("").await;
    scene.file(
        "soa/web/marathon-c1.yaml",
        "main:\n  drain_method: noop\n  constraints:\n  healthcheck_mode:\n  docker_registry: a.example.net\n  pool: x\n",
    );
    scene.file("soa/web/service.yaml", "docker_registry: b.example.net\n");
    scene.file("soa/web/smartstack.yaml", "main:\n  proxy_port: 20001\n");
    let plan = scene.plan().await;
    for (field, from) in [
        ("constraints", &["instance web/marathon-c1.yaml:6"][..]),
        ("healthChecks[0].protocol", &["general web/smartstack.yaml:2"]),
        (
            "container.docker.image",
            &["deployments web/deployments.json:1", "service web/service.yaml:1"],
        ),
        ("uris", &["default dockercfg_location"]),
    ] {
        assert_eq!(told(&plan, field), from, "{field}");
    }
}
