//! Whatever happens to ZooKeeper, what lives is registered in the end and what died is not; and as long as
//! ZooKeeper itself forgets nothing, no healthy task is without a record for a moment.

use std::{collections::BTreeSet, future::Future, time::Duration};

use end_to_end::{
    Docker, Host, LocalProcess, Quorum, Scene, Service, Traffic, ZooKeeper,
    docker::{Recipe, unique},
    eventually,
};
use serde_json::Value;
use tokio::time::{self, Instant};
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// Every record of a namespace: znode and the transaction that made it.
async fn records(client: &Client, namespace: &str) -> Result<BTreeSet<(String, i64)>> {
    let mut found = BTreeSet::new();
    for parent in ["/smartstack/global", "/nerve/region:uswest1-test"] {
        let parent = format!("{parent}/{namespace}");
        for child in client.list_children(&parent).await? {
            if let Some(stat) = client.check_stat(&format!("{parent}/{child}")).await? {
                found.insert((format!("{parent}/{child}"), stat.czxid));
            }
        }
    }
    Ok(found)
}

/// The ports that stand in the records of a namespace, in both layouts.
async fn ports(client: &Client, namespace: &str) -> Result<[BTreeSet<u64>; 2]> {
    let mut both = [BTreeSet::new(), BTreeSet::new()];
    let parents = ["/smartstack/global", "/nerve/region:uswest1-test"];
    for (parent, ports) in parents.into_iter().zip(&mut both) {
        let parent = format!("{parent}/{namespace}");
        for child in client.list_children(&parent).await.unwrap_or_default() {
            let Ok((data, _)) = client.get_data(&format!("{parent}/{child}")).await else {
                continue;
            };
            let payload: Value = serde_json::from_slice(&data)?;
            let port = payload["port"].as_u64().ok_or("a record without a port")?;
            if !ports.insert(port) {
                return Err(format!("port {port} is registered twice under {parent}").into());
            }
        }
    }
    Ok(both)
}

async fn until_exactly(client: &Client, namespace: &str, expected: &BTreeSet<u64>) {
    eventually(&format!("exactly {expected:?} are registered"), || async {
        let found = ports(client, namespace).await.map_err(|error| error.to_string())?;
        if found.iter().all(|layout| layout == expected) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

fn port(service: &Service) -> Result<u64> {
    Ok(service.port()?.into())
}

fn registry(hosts: &str, session: &str) -> String {
    let hosts: Vec<String> = hosts.split(',').map(|host| format!("'{host}'")).collect();
    format!("{{hosts: [{}], session_timeout: {session}}}", hosts.join(", "))
}

async fn unharmed(traffic: Traffic) -> Result {
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_for_most_of_the_session_loses_nothing() -> Result {
    let mut zookeeper = ZooKeeper::start().await?;
    let scene = Scene::new(&registry(&zookeeper.hosts(), "10s"), "", "")?;
    let _services = [scene.serve("first")?, scene.serve("second")?];
    scene.until_served_by(2).await;
    let before = records(&zookeeper.client().await?, &scene.namespace).await?;
    let traffic = Traffic::on(scene.proxy);
    for is_killed in [true, false] {
        if is_killed {
            zookeeper.kill().await?;
        } else {
            zookeeper.pause()?;
        }
        // Of a session of ten seconds.
        time::sleep(Duration::from_secs(7)).await;
        if is_killed {
            zookeeper.restart().await?;
        } else {
            zookeeper.resume()?;
        }
        let connected = |report: &Value| report["registry"]["connected"] == true;
        scene.until("it is connected", connected).await;
        let client = zookeeper.client().await?;
        assert_eq!(records(&client, &scene.namespace).await?, before, "killed: {is_killed}");
    }
    scene.until_served_by(2).await;
    unharmed(traffic).await
}

#[tokio::test]
async fn after_a_server_was_away_for_longer_than_the_session_exactly_the_living_are_registered()
-> Result {
    let mut zookeeper = ZooKeeper::start().await?;
    let scene = Scene::new(&registry(&zookeeper.hosts(), "2s"), "", "")?;
    let living = [scene.serve("first")?, scene.serve("second")?];
    let mut expected: BTreeSet<u64> = [port(&living[0])?, port(&living[1])?].into();
    scene.until_served_by(2).await;
    for is_paused in [true, false] {
        let traffic = Traffic::on(scene.proxy);
        let dying = scene.serve("dying")?;
        scene.until_served_by(3).await;
        if is_paused {
            zookeeper.pause()?;
        } else {
            zookeeper.kill().await?;
        }
        let away = |report: &Value| report["registry"]["connected"] == false;
        scene.until("it is missed", away).await;
        // Drained first: what is tested is its record.
        scene.command(&["drain", &dying.name, "--wait", "5"]).await?;
        dying.kill("KILL")?;
        let newcomer = scene.serve("newcomer")?;
        time::sleep(Duration::from_secs(5)).await;
        if is_paused {
            zookeeper.resume()?;
        } else {
            zookeeper.restart_empty().await?;
        }
        expected.insert(port(&newcomer)?);
        until_exactly(&zookeeper.client().await?, &scene.namespace, &expected).await;
        scene.until_served_by(expected.len()).await;
        expected.remove(&port(&newcomer)?);
        scene.command(&["drain", &newcomer.name, "--wait", "10"]).await?;
        drop(newcomer);
        until_exactly(&zookeeper.client().await?, &scene.namespace, &expected).await;
        scene.until_served_by(2).await;
        // A ZooKeeper that has forgotten everything is believed a second later, for as long as it takes
        // to write all records again.
        if is_paused {
            unharmed(traffic).await?;
        }
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

/// So many containers come and go in the test; the whole is measured apart.
const CROWD: usize = 24;
const CHURN: Duration = Duration::from_secs(12);

#[tokio::test]
async fn after_containers_came_and_went_zookeeper_equals_docker() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let client = zookeeper.client().await?;
    let containers: Vec<Service> = (0..CROWD).map(|_| create(&scene)).collect::<Result<_>>()?;
    let end = Instant::now() + CHURN;
    let mut changes = 0_usize;
    while Instant::now() < end {
        // Four at a time, each for a moment of its own.
        let picked: Vec<&Service> =
            (0..4).map(|n| &containers[(changes * 7 + n * 5) % CROWD]).collect();
        for container in picked {
            if container.is_running()? {
                container.kill(if changes.is_multiple_of(3) { "TERM" } else { "KILL" })?;
            } else {
                container.start()?;
            }
            changes += 1;
        }
    }
    assert!(changes >= CROWD, "only {changes} changes");
    eventually("ZooKeeper equals docker ps", || async {
        let expected = running(&scene.docker, &scene.namespace).map_err(|e| e.to_string())?;
        let found = ports(&client, &scene.namespace).await.map_err(|e| e.to_string())?;
        let same = found.iter().all(|layout| *layout == expected);
        if same { Ok(()) } else { Err(format!("docker {expected:?}, zookeeper {found:?}")) }
    })
    .await;
    Ok(())
}

fn create(scene: &Scene) -> Result<Service> {
    let labels = [("smartstack.namespace", scene.namespace.as_str()), ("smartstack.port", "8888")];
    let recipe = Recipe { labels: &labels, ..Recipe::default() };
    Ok(scene.docker.create(&unique("churn"), &recipe)?)
}

/// The published ports of the running containers of a namespace, as `docker ps` shows them.
fn running(docker: &Docker, namespace: &str) -> Result<BTreeSet<u64>> {
    let filter = format!("label=smartstack.namespace={namespace}");
    let shown = docker.run(&["ps", "--filter", &filter, "--format", "{{.Ports}}"])?;
    let port = |line: &str| -> Result<u64> {
        let published = line.split("->").next().unwrap_or_default();
        Ok(published.rsplit(':').next().unwrap_or_default().parse()?)
    };
    shown.lines().filter(|line| !line.is_empty()).map(port).collect()
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
