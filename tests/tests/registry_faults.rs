//! ZooKeeper goes away, the agent is killed: what serves goes on serving.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use end_to_end::{Relay, Scene, Service, Traffic, ZooKeeper, eventually};
use serde_json::Value;
use zookeeper_client::Client;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Every request was served, and there were some.
async fn unharmed(traffic: Traffic) -> Result {
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    Ok(())
}

/// Two containers in service, and what HAProxy looks like then.
async fn two_serve(scene: &Scene) -> std::io::Result<([Service; 2], Vec<String>)> {
    let services = [scene.serve("first")?, scene.serve("second")?];
    scene.until_served_by(2).await;
    Ok((services, scene.haproxy_picture().await?))
}

/// Looks at the records of a namespace all the time; remembers the fewest it saw.
struct Census {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<std::result::Result<usize, zookeeper_client::Error>>,
}

impl Census {
    fn of(client: Client, path: String) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut fewest = usize::MAX;
            while !stopped.load(Ordering::Relaxed) {
                fewest = fewest.min(client.list_children(&path).await?.len());
            }
            Ok(fewest)
        });
        Self { stop, task }
    }

    async fn fewest(self) -> std::result::Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.task.await??)
    }
}

fn connected(report: &Value) -> bool {
    report["registry"]["connected"] == true
}

fn znodes(report: &Value) -> BTreeSet<String> {
    let tasks = report["tasks"].as_array().into_iter().flatten();
    let records = tasks.flat_map(|task| task["records"].as_array().into_iter().flatten());
    records.filter_map(|record| record["znode"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn zookeeper_going_away_leaves_haproxy_as_it_was_and_the_records_come_back() -> Result {
    let mut zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let ([first, _second], picture) = two_serve(&scene).await?;

    let traffic = Traffic::on(scene.proxy);
    zookeeper.kill().await?;
    scene.until("the agent knows that it is away", |report| !connected(report)).await;
    // What happens here in the meantime still counts here.
    let (code, text) = scene.command(&["drain", &first.name, "--wait", "2"]).await?;
    assert!(code == 1 && text.contains("still in the registry"), "{code} {text}");
    scene.command(&["undrain", &first.name]).await?;
    scene.until_served_by(2).await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    zookeeper.restart().await?;
    scene.until("the agent is connected again", connected).await;
    scene.until_served_by(2).await;
    scene.until_registered(&zookeeper.client().await?, 2).await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    unharmed(traffic).await
}

#[tokio::test]
async fn an_agent_that_starts_without_zookeeper_changes_nothing_in_haproxy() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let relay = Relay::to(zookeeper.address()).await?;
    let registry = format!("{{hosts: ['{}']}}", relay.address());
    let mut scene = Scene::new(&registry, "", "")?;
    let _first = scene.serve("first")?;
    let _second = scene.serve("second")?;
    scene.until_served_by(2).await;
    eventually("the catalog is on disk", || async {
        let saved = std::fs::read_to_string(scene.path("state/catalog.json"));
        let saved = saved.map_err(|error| error.to_string())?;
        if saved.matches("127.0.0.1").count() == 2 { Ok(()) } else { Err(saved) }
    })
    .await;
    let picture = scene.haproxy_picture().await?;

    let traffic = Traffic::on(scene.proxy);
    relay.cut();
    scene.host.kill_agent().await?;
    scene.host.start_agent()?;
    scene.until_served_by(2).await;
    scene
        .until("HAProxy has been looked at", |r| r["haproxy"]["fingerprint_running"].is_string())
        .await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    relay.mend();
    scene.until("it is connected", |report| connected(report) && znodes(report).len() >= 2).await;
    scene.until_served_by(2).await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    unharmed(traffic).await
}

#[tokio::test]
async fn killing_and_starting_the_agent_leaves_no_gap_and_touches_no_server() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::on(&zookeeper)?;
    let _first = scene.serve("first")?;
    let _second = scene.serve("second")?;
    let report = scene.until_served_by(2).await;
    let before = znodes(&report);
    let picture = scene.haproxy_picture().await?;

    let census = Census::of(zookeeper.client().await?, scene.records());
    let traffic = Traffic::on(scene.proxy);
    for kill in [true, false] {
        if kill {
            scene.host.kill_agent().await?;
        } else {
            assert_eq!(scene.host.stop_agent().await?, Some(0));
        }
        scene.host.start_agent()?;
        scene
            .until("all records are written anew", |report| {
                znodes(report).len() == before.len() && znodes(report).is_disjoint(&before)
            })
            .await;
        scene.until_served_by(2).await;
    }
    scene.until_registered(&zookeeper.client().await?, 2).await;
    let fewest = census.fewest().await?;
    assert!(fewest >= 2, "there was a moment with {fewest} records");
    assert_eq!(scene.haproxy_picture().await?, picture);
    unharmed(traffic).await
}

#[tokio::test]
async fn an_agent_with_the_embedded_registry_starts_again_without_touching_a_server() -> Result {
    let mut scene = Scene::embedded()?;
    let (_services, picture) = two_serve(&scene).await?;
    let traffic = Traffic::on(scene.proxy);
    scene.host.kill_agent().await?;
    scene.host.start_agent()?;
    scene.until_served_by(2).await;
    scene
        .until("HAProxy has been looked at", |r| r["haproxy"]["fingerprint_running"].is_string())
        .await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    let report = scene.status().await?;
    assert_eq!(report["haproxy"]["counters"]["runtime_commands"], 0, "{report:#}");
    unharmed(traffic).await
}
