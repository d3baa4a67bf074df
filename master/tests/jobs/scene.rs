//! A host with soa-configs, a Chronos and a Sensu.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use end_to_end::{
    Chronos, Place,
    chronos::{Call, Settings},
    eventually,
    place::Ended,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener};

pub(crate) const IMAGE: &str = "services-batch:paasta-0123456789abcdef0123456789abcdef01234567";

pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) chronos: Chronos,
    pub(crate) sensu: Sensu,
}

/// What Sensu's client was handed.
pub(crate) struct Sensu {
    pub(crate) port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Sensu {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut text = String::new();
                    stream.read_to_string(&mut text).await.unwrap();
                    heard.lock().push(text);
                });
            }
        });
        Self { port, lines }
    }

    /// So many events, by name, once they are all here; then they are forgotten.
    pub(crate) async fn events(&self, count: usize) -> Vec<Value> {
        eventually("events come", async || {
            let heard = self.lines.lock().len();
            if heard == count { Ok(()) } else { Err(heard) }
        })
        .await;
        let lines = std::mem::take(&mut *self.lines.lock());
        let mut events: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        events.sort_by_key(|event| event["name"].to_string());
        events
    }

    /// Name, status and the first line of the output of so many events.
    pub(crate) async fn told(&self, count: usize) -> Vec<(String, u64, String)> {
        let first = |event: &Value| {
            let output = event["output"].as_str().unwrap();
            output.lines().next().unwrap_or_default().to_owned()
        };
        let events = self.events(count).await;
        let told = events.iter().map(|event| {
            let name = event["name"].as_str().unwrap().to_owned();
            (name, event["status"].as_u64().unwrap(), first(event))
        });
        told.collect()
    }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let login = settings.login.clone().unwrap_or(("u".to_owned(), "p".to_owned()));
        let chronos = Chronos::start(settings).await.unwrap();
        let scene = Self { place: Place::new().unwrap(), chronos, sensu: Sensu::start().await };
        let system = json!({
            "cluster": "c1",
            "docker_registry": "reg.example.net",
            "volumes": [],
            "chronos_config": {"url": [scene.chronos.url()], "user": login.0, "password": login.1},
            "sensu_host": "127.0.0.1",
            "sensu_port": scene.sensu.port,
            "log_writer": {"driver": "file", "options": {
                "path_format": format!("{}/{{service}}.log", scene.place.path().display()),
            }},
        });
        scene.file("etc/all.json", &system.to_string());
        scene
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        self.place.file(name, text).unwrap();
    }

    /// A service whose jobs are all deployed.
    pub(crate) fn service(&self, name: &str, jobs: &Value) {
        let deployed = jobs.as_object().unwrap().keys().map(|job| {
            let entry =
                json!({"docker_image": IMAGE, "desired_state": "start", "force_bounce": null});
            (format!("{name}:paasta-c1.{job}"), entry)
        });
        let deployed: serde_json::Map<String, Value> = deployed.collect();
        self.file(&format!("soa/{name}/deployments.json"), &json!({"v1": deployed}).to_string());
        self.file(&format!("soa/{name}/chronos-c1.yaml"), &jobs.to_string());
        self.file(&format!("soa/{name}/monitoring.yaml"), "team: data\n");
    }

    /// `paasta-master chronos COMMAND -d soa ...`
    pub(crate) async fn run(&self, command: &str, arguments: &[&str]) -> Ended {
        let words = ["chronos", command, "-d", "soa"];
        let all: Vec<&str> = words.iter().chain(arguments).copied().collect();
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), &all).await.unwrap()
    }

    /// One of PaaSTA's commands.
    pub(crate) async fn run_as(&self, name: &str, arguments: &[&str]) -> Ended {
        let link = self.place.path().join(name);
        if !link.exists() {
            symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
        }
        let all: Vec<&str> = ["-d", "soa"].iter().chain(arguments).copied().collect();
        self.place.run(link, &all).await.unwrap()
    }

    /// Method and job of all changes since the last time.
    pub(crate) fn writes(&self) -> Vec<(String, String)> {
        let writes = self.calls().into_iter().filter(Call::is_write);
        writes.map(|call| (call.method.clone(), call.job())).collect()
    }

    /// All calls since the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let calls = self.chronos.calls();
        self.chronos.forget_calls();
        calls
    }

    /// The names of all jobs that are there.
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.chronos.read(|machine| machine.jobs().map(|(name, _)| name.to_owned()).collect())
    }

    /// Level and message of each line of the log of a service.
    pub(crate) fn log(&self, service: &str) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.place.path().join(format!("{service}.log"))).unwrap();
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["component"], "deploy");
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            (text("level"), text("message"))
        });
        lines.collect()
    }
}

/// It succeeded and said this.
pub(crate) fn said(lines: &str) -> Ended {
    (0, lines.to_owned(), String::new())
}

/// Something that runs every hour.
pub(crate) fn hourly() -> Value {
    json!({"schedule": "R/2030-01-01T00:00:00Z/PT1H", "cmd": "run"})
}

pub(crate) fn after(parents: &[&str]) -> Value {
    json!({"parents": parents, "cmd": "run"})
}
