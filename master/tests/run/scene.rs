//! Two masters' worth of what is around them.

use std::process::Stdio;

use end_to_end::{
    Chronos, Marathon, MesosMaster, Place, ZooKeeper, chronos, eventually,
    marathon::{Host, Settings},
    ports::Port,
    web,
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) marathon: Marathon,
    pub(crate) mesos: MesosMaster,
    pub(crate) hosts: Vec<Host>,
    _zookeeper: ZooKeeper,
    pub(crate) chronos: Chronos,
}

/// One daemon.
pub(crate) struct Daemon {
    pub(crate) port: Port,
    pub(crate) child: Child,
}

impl Daemon {
    pub(crate) async fn status(&self) -> Result<Value, String> {
        let (_, body) =
            web::get(self.port.number, "/status.json").await.map_err(|error| error.to_string())?;
        serde_json::from_str(&body).map_err(|error| error.to_string())
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let status = self.status().await?;
            if holds(&status) { Ok(status) } else { Err(status.to_string()) }
        })
        .await
    }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let hosts = Host::some(2);
        let settings = Settings { hosts: hosts.clone(), ..Settings::default() };
        let mesos = MesosMaster::start(&hosts).await.unwrap();
        let marathon = Marathon::start(settings).await.unwrap();
        let chronos = Chronos::start(chronos::Settings::default()).await.unwrap();
        let zookeeper = ZooKeeper::start().await.unwrap();
        let place = Place::new().unwrap();
        let master = json!({"profile": "default", "default": {"master": mesos.leader()}});
        place.file("mesos.json", &master.to_string()).unwrap();
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "zookeeper": zookeeper.hosts(), "sensu_host": null, "log_writer": {"driver": "null"},
            "marathon_servers": [{"url": [marathon.url()], "user": "u", "password": "p"}],
            "mesos_config": {"path": place.path().join("mesos.json")},
            "chronos_config": {"url": [chronos.url()], "user": "u", "password": "p"},
            "deployd_maintenance_polling_frequency": 1,
        });
        place.file("etc/all.json", &system.to_string()).unwrap();
        Self { place, marathon, mesos, hosts, chronos, _zookeeper: zookeeper }
    }

    /// This commit of a service is to run.
    pub(crate) fn want(&self, service: &str, config: &str, commit: &str) {
        let file = |name: &str, text: &str| {
            self.place.file(&format!("soa/{service}/{name}"), text).unwrap();
        };
        file("marathon-c1.yaml", &format!("main: {config}\n"));
        let image = json!({"docker_image": format!("services-{service}:paasta-{commit}")});
        let v1 = json!({"v1": {format!("{service}:paasta-c1.main"): image}});
        file("deployments.json", &v1.to_string());
    }

    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    pub(crate) fn daemon_with(&self, more: &[&str]) -> Daemon {
        let port = Port::free().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_paasta-master"));
        command.args(["run", "-d", "soa", "--look-every", "1", "--listen"]);
        command.arg(format!("127.0.0.1:{}", port.number)).args(more);
        command.current_dir(self.place.path()).env("PAASTA_SYSTEM_CONFIG_DIR", "etc");
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        Daemon { port, child }
    }

    /// Exactly one app of a service is there, and it is of this commit.
    pub(crate) async fn until_runs(&self, service: &str, commit: &str) {
        let wanted = format!("/{service}.main.git{}.", &commit[..8]);
        self.marathon
            .until(&format!("{service} runs {commit}"), |machine| {
                let apps = machine.app_ids().into_iter().map(|app| app.to_string());
                let own: Vec<String> =
                    apps.filter(|app| app.starts_with(&format!("/{service}."))).collect();
                matches!(&own[..], [app] if app.starts_with(&wanted)).then_some(())
            })
            .await;
    }
}
