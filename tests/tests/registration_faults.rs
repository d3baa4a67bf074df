//! Whatever happens to ZooKeeper, what lives is registered in the end and what died is not; and as long as
//! ZooKeeper itself forgets nothing, no healthy task is without a record for a moment.

use std::{collections::BTreeSet, future::Future, time::Duration};

use end_to_end::{
    Docker, Host, LocalProcess, Quorum, Scene, Service, Traffic, ZooKeeper,
    docker::{Recipe, unique},
    eventually,
    records::{records, until_exactly},
};
use serde_json::Value;
use tokio::time;
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

fn port(service: &Service) -> Result<u64> {
    Ok(service.port()?.into())
}

fn registry(hosts: &str, session: &str) -> String {
    let hosts: Vec<String> = hosts.split(',').map(|host| format!("'{host}'")).collect();
    format!("{{hosts: [{}], session_timeout: {session}}}", hosts.join(", "))
}

/// What can be wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Killed,
    /// Stopped where it stands.
    Paused,
    /// No packet comes through, and nobody is told.
    Parted,
    /// Killed, and replaced by one that knows nothing.
    Emptied,
}

impl Fault {
    async fn begin(self, zookeeper: &mut ZooKeeper) -> Result {
        match self {
            Self::Killed | Self::Emptied => zookeeper.kill().await?,
            Self::Paused => zookeeper.pause()?,
            Self::Parted => zookeeper.part()?,
        }
        Ok(())
    }

    async fn end(self, zookeeper: &mut ZooKeeper) -> Result {
        match self {
            Self::Killed => zookeeper.restart().await?,
            Self::Paused => zookeeper.resume()?,
            Self::Parted => zookeeper.join()?,
            Self::Emptied => zookeeper.restart_empty().await?,
        }
        Ok(())
    }
}

async fn unharmed(traffic: Traffic) -> Result {
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_for_most_of_the_session_loses_nothing() -> Result {
    let mut zookeeper = ZooKeeper::start_apart().await?;
    let scene = Scene::new(&registry(&zookeeper.hosts(), "10s"), "", "")?;
    let _services = [scene.serve("first")?, scene.serve("second")?];
    scene.until_served_by(2).await;
    let before = records(&zookeeper.client().await?, &scene.namespace).await?;
    let traffic = Traffic::on(scene.proxy);
    for fault in [Fault::Killed, Fault::Paused, Fault::Parted] {
        fault.begin(&mut zookeeper).await?;
        // Of a session of ten seconds.
        time::sleep(Duration::from_secs(7)).await;
        fault.end(&mut zookeeper).await?;
        let connected = |report: &Value| report["registry"]["connected"] == true;
        scene.until("it is connected", connected).await;
        let client = zookeeper.client().await?;
        assert_eq!(records(&client, &scene.namespace).await?, before, "{fault:?}");
    }
    scene.until_served_by(2).await;
    unharmed(traffic).await
}

#[tokio::test]
async fn after_a_server_was_away_for_longer_than_the_session_exactly_the_living_are_registered()
-> Result {
    let mut zookeeper = ZooKeeper::start_apart().await?;
    let scene = Scene::new(&registry(&zookeeper.hosts(), "2s"), "", "")?;
    let living = [scene.serve("first")?, scene.serve("second")?];
    let mut expected: BTreeSet<u64> = [port(&living[0])?, port(&living[1])?].into();
    scene.until_served_by(2).await;
    for fault in [Fault::Paused, Fault::Parted, Fault::Emptied] {
        let traffic = Traffic::on(scene.proxy);
        let dying = scene.serve("dying")?;
        scene.until_served_by(3).await;
        fault.begin(&mut zookeeper).await?;
        let away = |report: &Value| report["registry"]["connected"] == false;
        scene.until("it is missed", away).await;
        // Drained first: what is tested is its record.
        scene.command(&["drain", &dying.name, "--wait", "5"]).await?;
        dying.kill("KILL")?;
        let newcomer = scene.serve("newcomer")?;
        time::sleep(Duration::from_secs(5)).await;
        fault.end(&mut zookeeper).await?;
        expected.insert(port(&newcomer)?);
        until_exactly(&zookeeper.client().await?, &scene.namespace, &expected).await;
        scene.until_served_by(expected.len()).await;
        expected.remove(&port(&newcomer)?);
        scene.command(&["drain", &newcomer.name, "--wait", "10"]).await?;
        drop(newcomer);
        until_exactly(&zookeeper.client().await?, &scene.namespace, &expected).await;
        scene.until_served_by(2).await;
        unharmed(traffic).await?;
    }
    Ok(())
}

/// Does something, while a client of its own looks whether any of the records is ever missing.
async fn watched<T>(
    client: Client,
    expected: &BTreeSet<(String, i64)>,
    act: impl Future<Output = Result<T>>,
) -> Result<T> {
    let look = async {
        loop {
            for (path, made) in expected {
                // While nobody leads nobody answers, which says nothing.
                if let Ok(stat) = client.check_stat(path).await {
                    let seen = stat.map(|stat| stat.czxid);
                    if seen != Some(*made) {
                        return format!("{path} is {seen:?}, not {made}");
                    }
                }
            }
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        missing = look => Err(missing.into()),
        done = act => done,
    }
}

#[tokio::test]
async fn members_of_an_ensemble_may_fail_one_by_one() -> Result {
    let mut quorum = Quorum::start().await?;
    let scene = Scene::new(&registry(&quorum.hosts(), "20s"), "", "")?;
    let _services = [scene.serve("first")?, scene.serve("second")?];
    scene.until_served_by(2).await;
    let client = quorum.client().await?;
    let before = records(&client, &scene.namespace).await?;
    assert_eq!(before.len(), 4);
    let traffic = Traffic::on(scene.proxy);
    watched(client, &before, async {
        for round in 0..3 {
            let leader = eventually("somebody leads", || quorum.leader()).await;
            let member = if round == 0 { leader } else { (leader + round) % 3 };
            if round == 2 {
                quorum.members[member].pause()?;
                time::sleep(Duration::from_secs(4)).await;
                quorum.members[member].resume()?;
            } else {
                quorum.members[member].restart().await?;
            }
            let connected = |report: &Value| report["registry"]["connected"] == true;
            scene.until("it is connected", connected).await;
        }
        Ok(())
    })
    .await?;
    let after = records(&quorum.client().await?, &scene.namespace).await?;
    assert_eq!(after, before, "and none is there twice");
    unharmed(traffic).await
}

#[tokio::test]
async fn broken_ones_among_a_hundred_harm_nobody_else() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let process = LocalProcess::start(&unique("process"))?;
    let docker = Docker::local()?;
    let service = unique("crowd");
    let mut tasks = String::new();
    for number in 0..100_u16 {
        let keys = format!("{{proxy_port: null, healthcheck_port: {}}}", process.port.number);
        host.soa(&format!("{service}-{number}"), &format!("main: {keys}\n"))?;
        tasks.push_str(&format!(
            "- {{name: t{number}, namespaces: [{service}-{number}.main], port: {}}}\n",
            20_000 + number
        ));
    }
    host.soa(&format!("{service}-broken"), "main: {proxy_port: [\n")?;
    host.write("tasks.yaml", &tasks)?;
    host.write("paasta/cluster.json", "{\"cluster\": \"test\"}")?;
    let odd = [
        (unique("mesos-"), vec![("MESOS_TASK_ID", "no-app-id")]),
        (unique("label"), vec![("smartstack.namespace", "no namespace"), ("smartstack.port", "x")]),
    ];
    let mut containers = Vec::new();
    for (name, labels) in &odd {
        let recipe = Recipe { labels, ..Recipe::default() };
        let container = docker.create(name, &recipe)?;
        container.start()?;
        containers.push(container);
    }
    host.start_agent()?;
    let report = host
        .until("a hundred are registered", |report| {
            let tasks = report["tasks"].as_array().into_iter().flatten();
            let written = |task: &&Value| {
                let mut records = task["records"].as_array().into_iter().flatten();
                records.all(|record| record["znode"].is_string())
            };
            tasks.filter(|task| task["state"] == "up").filter(written).count() == 100
        })
        .await;
    let (refused, problems) = (report["refused"].to_string(), report["problems"].to_string());
    for (name, _) in &odd {
        assert!(refused.contains(name), "{name} is not told of: {refused}");
    }
    assert!(problems.contains(&format!("{service}-broken/smartstack.yaml")), "{problems}");
    Ok(())
}
