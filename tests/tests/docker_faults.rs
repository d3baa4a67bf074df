//! Docker away, back, wedged or not there yet: blindness is not emptiness, and what really ended
//! while nobody looked is gone afterwards.

use std::collections::{BTreeMap, BTreeSet};

use end_to_end::{
    Deletions, Docker, Dockerd, Host, LocalProcess, Service, ServiceManager, Traffic, ZooKeeper,
    docker::{Recipe, unique},
    eventually,
    host::{servers, states},
    ports::Port,
    web,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// A host whose agent follows a Docker daemon that this test may harm.
struct Scene {
    namespace: String,
    /// Where HAProxy serves the namespace.
    port: u16,
    zookeeper: ZooKeeper,
    host: Host,
    dockerd: Dockerd,
}

impl Scene {
    async fn set(live_restore: bool) -> Result<Self> {
        let (zookeeper, dockerd) = (ZooKeeper::start().await?, Dockerd::new(live_restore)?);
        let service = unique("web");
        let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
        let docker = format!("docker: {{socket: {}, resync: 1s}}\n", dockerd.socket());
        host.settings.push_str(&docker);
        let port = host.namespace(&service, "")?;
        host.start_haproxy()?;
        Ok(Self { namespace: format!("{service}.main"), port, zookeeper, host, dockerd })
    }

    /// A task that serves on even if its daemon, and with it Docker's proxies, are gone.
    fn serve(&self, docker: &Docker, name: &str) -> Result<Task> {
        let port = Port::free()?;
        let number = port.number.to_string();
        let labels =
            [("smartstack.namespace", self.namespace.as_str()), ("smartstack.port", &number)];
        let recipe = Recipe { labels: &labels, options: &["--net", "host"], ..Recipe::default() };
        let service = docker.create_on(&unique(name), &recipe, port.number)?;
        service.start()?;
        Ok(Task { pid: service.pid()?, service, port })
    }

    async fn until_docker(&self, state: &str) -> Value {
        let what = format!("docker is {state}");
        self.host.until(&what, |report| docker_state(report).starts_with(state)).await
    }

    /// Waits until Docker is back and the agent knows of these containers and no other.
    async fn until_known(&self, names: &BTreeSet<String>) -> Value {
        let holds =
            |report: &Value| docker_state(report) == "connected" && titles(report) == *names;
        self.host.until(&format!("docker is back with {names:?}"), holds).await
    }

    /// Every record of the namespace with the transaction that made it.
    async fn records(&self, client: &Client) -> Result<BTreeMap<String, i64>> {
        let mut records = BTreeMap::new();
        for parent in [
            format!("/smartstack/global/{}", self.namespace),
            format!("/nerve/region:{}/{}", end_to_end::host::REGION, self.namespace),
        ] {
            for child in client.list_children(&parent).await? {
                let path = format!("{parent}/{child}");
                let (_, stat) = client.get_data(&path).await?;
                records.insert(path, stat.czxid);
            }
        }
        Ok(records)
    }

    async fn until_records(&self, client: &Client, count: usize) -> BTreeMap<String, i64> {
        eventually(&format!("there are {count} records"), || async {
            let records = self.records(client).await.map_err(|error| error.to_string())?;
            if records.len() == count { Ok(records) } else { Err(format!("{records:?}")) }
        })
        .await
    }
}

struct Task {
    service: Service,
    pid: i32,
    port: Port,
}

fn docker_state(report: &Value) -> &str {
    report["docker"].as_str().unwrap_or_default()
}

/// Names of the containers that the daemon says are running.
fn running(docker: &Docker) -> Result<BTreeSet<String>> {
    Ok(docker.run(&["ps", "--format", "{{.Names}}"])?.lines().map(str::to_owned).collect())
}

fn titles(report: &Value) -> BTreeSet<String> {
    states(report).into_keys().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_docker_daemon_deregisters_nothing_that_still_runs() -> Result {
    let mut scene = Scene::set(true).await?;
    let docker = scene.dockerd.start().await?;
    scene.host.start_agent()?;
    let tasks = [scene.serve(&docker, "first")?, scene.serve(&docker, "second")?];
    scene.host.until_up(&scene.namespace, 2).await;
    let client = scene.zookeeper.client().await?;
    let records = scene.until_records(&client, 4).await;
    let picture = scene.host.haproxy_picture().await?;
    let deletions = Deletions::watch(&client).await?;
    let traffic = Traffic::on(scene.port);

    scene.dockerd.kill().await?;
    let report = scene.until_docker("lost").await;
    assert!(states(&report).values().all(|state| state == "up"), "{report:#}");
    assert_eq!(scene.records(&client).await?, records);

    let docker = scene.dockerd.start().await?;
    scene.until_docker("connected").await;
    for task in &tasks {
        assert_eq!(task.service.pid()?, task.pid, "{} was started anew", task.service.name);
    }
    // What comes last went through every room, and so did all before it.
    let third = scene.serve(&docker, "third")?;
    let report = scene.host.until_up(&scene.namespace, 3).await;
    assert_eq!(titles(&report), running(&docker)?);
    let now = scene.until_records(&client, 6).await;
    assert!(records.iter().all(|record| now.get_key_value(record.0) == Some(record)), "{now:?}");
    assert_eq!(deletions.end().await?, Vec::<String>::new());
    let mut left = scene.host.haproxy_picture().await?;
    left.retain(|line| !line.contains(&format!(":{} ", third.port.number)));
    assert_eq!(left, picture);
    let outcome = traffic.outcome().await?;
    assert_eq!((outcome.failed, outcome.served > 0), (Vec::new(), true));
    Ok(())
}

#[tokio::test]
async fn what_died_while_docker_was_away_is_gone_after_it_is_back() -> Result {
    let mut scene = Scene::set(true).await?;
    let docker = scene.dockerd.start().await?;
    scene.host.start_agent()?;
    let (dying, staying) = (scene.serve(&docker, "dying")?, scene.serve(&docker, "staying")?);
    scene.host.until_up(&scene.namespace, 2).await;
    let client = scene.zookeeper.client().await?;
    let records = scene.until_records(&client, 4).await;

    scene.dockerd.kill().await?;
    scene.until_docker("lost").await;
    kill(Pid::from_raw(dying.pid), Signal::SIGKILL)?;
    let left = scene.until_records(&client, 2).await;
    assert!(left.iter().all(|record| records.get_key_value(record.0) == Some(record)));
    let report = scene.host.until_up(&scene.namespace, 1).await;
    assert_eq!(docker_state(&report).split(':').next(), Some("lost"));
    assert_eq!(states(&report)[&dying.service.name], "down");
    assert_eq!(states(&report)[&staying.service.name], "up");

    let docker = scene.dockerd.start().await?;
    let report = scene.until_known(&BTreeSet::from([staying.service.name.clone()])).await;
    assert_eq!(titles(&report), running(&docker)?);
    assert_eq!(scene.records(&client).await?, left);
    Ok(())
}

#[tokio::test]
async fn containers_that_end_with_their_daemon_leave_and_come_back_when_they_are_started() -> Result
{
    let mut scene = Scene::set(false).await?;
    let docker = scene.dockerd.start().await?;
    scene.host.start_agent()?;
    let first = docker.serve(&unique("first"), &scene.namespace)?;
    let second = docker.serve(&unique("second"), &scene.namespace)?;
    scene.host.until_up(&scene.namespace, 2).await;
    let client = scene.zookeeper.client().await?;
    let before = scene.until_records(&client, 4).await;

    scene.dockerd.stop().await?;
    scene.until_docker("lost").await;
    scene.until_records(&client, 0).await;
    scene.host.until("no server is left", |r| servers(r, &scene.namespace).is_empty()).await;

    let docker = scene.dockerd.start().await?;
    assert!(running(&docker)?.is_empty());
    scene.until_known(&BTreeSet::new()).await;
    first.start()?;
    second.start()?;
    let report = scene.host.until_up(&scene.namespace, 2).await;
    assert_eq!(titles(&report), BTreeSet::from([first.name.clone(), second.name.clone()]));
    let after = scene.until_records(&client, 4).await;
    assert!(
        after.values().min() > before.values().max(),
        "{after:?} are not later than {before:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wedged_daemon_changes_nothing_and_what_it_has_to_tell_is_caught_up() -> Result {
    let mut scene = Scene::set(true).await?;
    let docker = scene.dockerd.start().await?;
    scene.host.start_agent()?;
    let names = ["drained", "dying", "staying"];
    let [drained, dying, staying] = names.map(|name| scene.serve(&docker, name));
    let (drained, dying, staying) = (drained?, dying?, staying?);
    scene.host.until_up(&scene.namespace, 3).await;
    let client = scene.zookeeper.client().await?;
    let records = scene.until_records(&client, 6).await;

    let paused = scene.dockerd.pause()?;
    let report = scene.until_docker("lost").await;
    assert!(states(&report).values().all(|state| state == "up"), "{report:#}");
    assert_eq!(scene.records(&client).await?, records);
    let (code, text) = scene.host.command(&["drain", &drained.service.name]).await?;
    let safe = format!("{}:{} safe to stop", scene.namespace, drained.port.number);
    assert_eq!((code, text.trim()), (0, safe.as_str()));
    scene.until_records(&client, 4).await;
    // Docker's own processes see the end, and its daemon hears of it when it goes on.
    kill(Pid::from_raw(dying.pid), Signal::SIGKILL)?;
    scene.until_records(&client, 2).await;

    drop(paused);
    let living = BTreeSet::from([drained.service.name.clone(), staying.service.name.clone()]);
    let report = scene.until_known(&living).await;
    assert_eq!(states(&report)[&drained.service.name], "marked");
    assert_eq!(running(&docker)?, living);
    let (code, text) = scene.host.command(&["undrain", &drained.service.name]).await?;
    assert_eq!(code, 0, "{text}");
    scene.host.until_up(&scene.namespace, 2).await;
    Ok(())
}

#[tokio::test]
async fn without_docker_the_agent_is_ready_and_takes_containers_up_when_it_comes() -> Result {
    let mut scene = Scene::set(false).await?;
    let process = LocalProcess::start(&unique("process"))?;
    scene.host.write("tasks.yaml", &process.entry(&scene.namespace))?;
    let mut systemd = ServiceManager::listen(&scene.host.path("notify"))?;
    scene.host.start_agent_with(&[systemd.variable()])?;
    systemd.until("READY=1").await;
    let report = scene.host.status().await?;
    assert!(docker_state(&report).starts_with("lost: "), "{report:#}");
    scene.host.until_up(&scene.namespace, 1).await;

    let docker = scene.dockerd.start().await?;
    let container = docker.serve(&unique("container"), &scene.namespace)?;
    let report = scene.host.until_up(&scene.namespace, 2).await;
    assert_eq!(docker_state(&report), "connected");
    assert_eq!(titles(&report), BTreeSet::from([process.name.clone(), container.name.clone()]));
    Ok(())
}

#[tokio::test]
async fn a_container_behind_dockers_proxy_stays_registered_while_the_daemon_is_away() -> Result {
    let mut scene = Scene::set(true).await?;
    let docker = scene.dockerd.start().await?;
    scene.host.start_agent()?;
    let task = docker.serve(&unique("bridged"), &scene.namespace)?;
    scene.host.until_up(&scene.namespace, 1).await;
    let client = scene.zookeeper.client().await?;
    let records = scene.until_records(&client, 2).await;
    let deletions = Deletions::watch(&client).await?;
    let port = task.port()?;

    scene.dockerd.kill().await?;
    scene.until_docker("lost").await;
    eventually("docker's proxy has died with it", || async {
        match web::get(port, "/status").await {
            Err(_) => Ok(()),
            Ok(answer) => Err(answer),
        }
    })
    .await;
    let checks = || async {
        let (_, status) = web::get(scene.host.hacheck.number, "/status").await?;
        let status: Value = serde_json::from_str(&status)?;
        Ok::<_, Error>(status["cache"]["sets"].as_u64().unwrap_or_default())
    };
    // Two bad ones in a row would take it out.
    let before = checks().await?;
    eventually("it has been checked four times since", || async {
        let done = checks().await.map_err(|error| error.to_string())? - before;
        if done >= 4 { Ok(()) } else { Err(format!("{done}")) }
    })
    .await;
    assert_eq!(scene.records(&client).await?, records);

    scene.dockerd.start().await?;
    scene.until_docker("connected").await;
    scene.host.until_up(&scene.namespace, 1).await;
    assert_eq!(scene.records(&client).await?, records);
    assert_eq!(deletions.end().await?, Vec::<String>::new());
    Ok(())
}
