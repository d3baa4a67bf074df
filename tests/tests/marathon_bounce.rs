//! A bounce with everything on the way: soa-configs, `paasta-master`, a simulated Marathon with tasks that
//! really answer, ZooKeeper, the agent with hacheck, HAProxy, and a client that never rests.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use end_to_end::{
    Host, Marathon, MesosMaster, Place, Traffic, ZooKeeper,
    docker::unique,
    eventually,
    host::program,
    marathon::{
        self, Behaviour, End, Ending, Fault, Harm, Health, HttpTasks, Placed, Runner, Script,
        Settings, TaskId,
    },
    ports::Hundred,
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{process::Command, time};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// Tasks start and get healthy after a while, as containers do.
fn usual() -> Behaviour {
    Behaviour {
        start_delay: Duration::from_millis(100),
        health_delay: Duration::from_millis(100),
        check_every: Some(Duration::from_millis(200)),
        health: Health::Asked,
        ..Behaviour::default()
    }
}

/// Tells the agent of the host what runs there, as Docker would.
#[derive(Debug)]
struct OnHost {
    tasks: HttpTasks,
    ports: Mutex<BTreeMap<String, u16>>,
    file: PathBuf,
    namespace: String,
}

impl OnHost {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, u16>)) -> io::Result<()> {
        let mut ports = self.ports.lock();
        change(&mut ports);
        let entries = ports.iter().map(|(name, port)| {
            json!({"name": name, "namespaces": [self.namespace], "port": port, "interval": "500ms"})
        });
        let text = serde_json::Value::from(entries.collect::<Vec<_>>()).to_string();
        let beside = self.file.with_extension("beside");
        File::create(&beside)?.write_all(text.as_bytes())?;
        fs::rename(beside, &self.file)
    }
}

impl Runner for OnHost {
    fn start(&self, task: Placed) -> io::Result<()> {
        let (name, port) = (task.task.to_string(), task.ports.first().copied().unwrap_or_default());
        self.tasks.start(task)?;
        self.change(|ports| {
            ports.insert(name, port);
        })
    }

    fn stop(&self, task: &TaskId, ending: Ending) -> End {
        // What cannot be written is found by the test: the agent keeps what is gone.
        let _ = self.change(|ports| ports.retain(|name, _| name != task.as_str()));
        self.tasks.stop(task, ending)
    }
}

struct Scene {
    host: Host,
    place: Place,
    marathon: Marathon,
    service: String,
    proxy: u16,
    instances: usize,
    _ports: Hundred,
    _mesos: MesosMaster,
    _zookeeper: ZooKeeper,
}

impl Scene {
    /// So many tasks of a first version serve.
    async fn serving(instances: usize) -> Result<Self> {
        let zookeeper = ZooKeeper::start().await?;
        let service = unique("web");
        let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
        let proxy = host.namespace(&service, "")?;
        host.start_haproxy()?;
        host.start_agent()?;
        let runner = OnHost {
            tasks: HttpTasks::finishing(),
            ports: Mutex::default(),
            file: host.path("tasks.yaml"),
            namespace: format!("{service}.main"),
        };
        // The agent looks for local tasks on the loopback address, where other tests have theirs.
        let (ours, mut here) = (Hundred::free()?, marathon::Host::at([127, 0, 0, 1].into()));
        here.ports = ours.ports.clone();
        let hosts = vec![here];
        let marathon = Marathon::start(Settings {
            hosts: hosts.clone(),
            script: Script::all(usual()),
            runner: Some(Arc::new(runner)),
            ..Settings::default()
        })
        .await?;
        let mesos = MesosMaster::start(&hosts).await?;
        let place = Place::new()?;
        let master = json!({"profile": "default", "default": {"master": mesos.leader()}});
        place.file("mesos.json", &master.to_string())?;
        let log = json!({"path_format": place.path().join("log")});
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "zookeeper": zookeeper.hosts(), "sensu_host": null,
            "log_writer": {"driver": "file", "options": log},
            "synapse_port": host.stats.number,
            "marathon_servers": [{"url": [marathon.url()], "user": "u", "password": "p"}],
            "mesos_config": {"path": place.path().join("mesos.json")},
        });
        place.file("etc/all.json", &system.to_string())?;
        let scene = Self {
            host,
            place,
            marathon,
            service,
            proxy,
            instances,
            _ports: ours,
            _mesos: mesos,
            _zookeeper: zookeeper,
        };
        scene.want("0000000000000000")?;
        scene.until_deployed().await?;
        Ok(scene)
    }

    fn name(&self) -> String {
        format!("{}.main", self.service)
    }

    /// From now on this commit is to run.
    fn want(&self, commit: &str) -> io::Result<()> {
        let params = format!("{{delay: 0.5, hacheck_port: {}}}", self.host.hacheck.number);
        let instance = format!(
            "main: {{instances: {}, drain_method: hacheck, drain_method_params: {params}}}\n",
            self.instances
        );
        let service = &self.service;
        self.host.write(&format!("soa/{service}/marathon-c1.yaml"), &instance)?;
        let image = json!({"docker_image": format!("services-{service}:paasta-{commit}")});
        let deployments = json!({"v1": {format!("{service}:paasta-c1.main"): image}});
        self.host.write(&format!("soa/{service}/deployments.json"), &deployments.to_string())
    }

    fn setup(&self) -> Command {
        let mut setup = Command::new(program("paasta-master"));
        setup.arg("deploy").arg("-d").arg(self.host.path("soa")).arg(self.name());
        setup.env("PAASTA_SYSTEM_CONFIG_DIR", self.place.path().join("etc"));
        setup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        setup.kill_on_drop(true);
        setup
    }

    /// One pass; its exit code and what it complained of.
    async fn pass(&self) -> Result<(Option<i32>, String)> {
        let child = self.setup().spawn()?;
        let ended = time::timeout(Duration::from_secs(120), child.wait_with_output()).await??;
        Ok((ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned()))
    }

    /// One app with all its tasks is left, all of them registered.
    fn is_deployed(&self) -> bool {
        let counts = self.marathon.read(|machine| {
            let apps = machine.app_ids();
            let healthy = machine.tasks().filter(|task| task.is_healthy()).count();
            (apps.len(), machine.tasks().count(), healthy)
        });
        counts == (1, self.instances, self.instances)
    }

    /// Pass after pass.
    async fn until_deployed(&self) -> Result {
        eventually("the bounce ends", async || {
            let (code, complaints) = self.pass().await.map_err(|error| error.to_string())?;
            let tasks = || {
                let log = fs::read_to_string(self.place.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                let tasks =
                    self.marathon.read(|machine| machine.tasks().cloned().collect::<Vec<_>>());
                format!("{code:?}: {complaints}{last:#?} {tasks:#?}")
            };
            if self.is_deployed() { Ok(()) } else { Err(tasks()) }
        })
        .await;
        self.host.until_up(&self.name(), self.instances).await;
        Ok(())
    }

    fn app(&self, commit: &str) -> Option<String> {
        let apps = self.marathon.read(|machine| machine.app_ids());
        let app = apps.into_iter().map(|app| app.to_string());
        app.into_iter().find(|app| app.contains(&format!("git{}", &commit[..8])))
    }
}

async fn unharmed(traffic: Traffic) -> Result {
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0);
    assert_eq!(outcome.failed, Vec::<String>::new(), "of {}", outcome.served);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crossover_of_twenty_tasks_loses_no_request() -> Result {
    let scene = Scene::serving(20).await?;
    let traffic = [Traffic::on(scene.proxy), Traffic::on(scene.proxy)];
    for commit in ["1111111111111111", "2222222222222222"] {
        scene.want(commit)?;
        scene.until_deployed().await?;
        assert!(scene.app(commit).is_some());
    }
    for traffic in traffic {
        unharmed(traffic).await?;
    }
    let log = fs::read_to_string(scene.place.path().join("log"))?;
    assert!(log.contains("crossover bounce draining") && log.contains("removing old unused apps"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_it_goes_on_where_it_was() -> Result {
    let scene = Scene::serving(6).await?;
    let traffic = Traffic::on(scene.proxy);
    scene.want("1111111111111111")?;
    for step in 0..60 {
        let mut child = scene.setup().spawn()?;
        // From before the first call to the last removal, which alone takes a second.
        let life = Duration::from_millis(7 * step + if step > 40 { 40 * step } else { 0 });
        let ended = time::timeout(life, child.wait()).await;
        if ended.is_err() {
            child.kill().await?;
        }
    }
    scene.until_deployed().await?;
    unharmed(traffic).await
}

/// Each call of a bounce fails in each way, one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_marathon_answers_the_old_version_serves_until_the_new_one_does() -> Result {
    let mut scene = Scene::serving(3).await?;
    let traffic = Traffic::on(scene.proxy);
    let calls = [
        ("GET", "/v2/apps"),
        ("POST", "/v2/apps"),
        ("POST", "/v2/tasks/delete"),
        ("DELETE", "/v2/apps/*"),
    ];
    let harms = [
        Harm::Answer(409, json!({"message": "App is locked by one or more deployments."})),
        Harm::Answer(422, json!({"message": "Object is not valid", "details": []})),
        Harm::Answer(500, json!({"message": "Internal Server Error"})),
        Harm::Cut,
        Harm::Drop,
    ];
    let mut number = 1;
    for harm in &harms {
        for (method, path) in calls {
            scene.marathon.fault(Fault::new(method, path, harm.clone()));
        }
        scene.want(&format!("{number:016}"))?;
        number += 1;
        scene.until_deployed().await?;
        scene.marathon.clear_faults();
    }
    scene.want(&format!("{number:016}"))?;
    scene.pass().await?;
    scene.marathon.die().await;
    let (code, complaints) = scene.pass().await?;
    assert_eq!(code, Some(1));
    assert_eq!(complaints.lines().count(), 1, "{complaints}");
    scene.marathon.revive().await?;
    scene.until_deployed().await?;
    unharmed(traffic).await
}

/// What changes something hangs: a pass waits for half a minute and gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_marathon_hangs_the_old_version_serves() -> Result {
    let scene = Scene::serving(3).await?;
    let traffic = Traffic::on(scene.proxy);
    scene.want("1111111111111111")?;
    for path in ["/v2/apps", "/v2/tasks/delete"] {
        scene.marathon.fault(Fault::new("POST", path, Harm::Hang));
        let (code, complaints) = eventually("a call hangs", async || {
            let said = scene.pass().await.map_err(|error| error.to_string())?;
            if said.0 == Some(0) { Err("nothing hangs".to_owned()) } else { Ok(said) }
        })
        .await;
        assert_eq!((code, complaints.lines().count()), (Some(1), 1), "{complaints}");
        assert!(complaints.contains("does not answer within 30s"), "{complaints}");
    }
    scene.until_deployed().await?;
    unharmed(traffic).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_never_gets_healthy_takes_nobodys_place() -> Result {
    let scene = Scene::serving(3).await?;
    let traffic = Traffic::on(scene.proxy);
    let sick = Behaviour { health: Health::Bad, ..usual() };
    scene.marathon.set_script(Script::all(usual()).with("*git1111*", sick));
    scene.want("1111111111111111")?;
    for _ in 0..5 {
        assert_eq!(scene.pass().await?.0, Some(0));
    }
    let old = scene.app("0000000000000000").ok_or("the old app is gone")?;
    let left = scene.marathon.read(|machine| {
        machine.tasks().filter(|task| format!("/{}", task.id).starts_with(&old)).count()
    });
    assert_eq!(left, 3);
    // The way back is the way forth.
    scene.want("0000000000000000")?;
    scene.until_deployed().await?;
    unharmed(traffic).await
}
