//! ZooKeeper goes away, the agent is killed: what serves goes on serving.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use end_to_end::{Relay, Scene, ZooKeeper, eventually, web};
use serde_json::Value;
use zookeeper_client::Client;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Asks again and again until it is told to stop; counts what went wrong.
struct Load {
    stop: Arc<AtomicBool>,
    failures: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn on(port: u16) -> Self {
        let (stop, failures, served) = (Arc::default(), Arc::default(), Arc::default());
        let this = (Arc::clone(&stop), Arc::clone(&failures), Arc::clone(&served));
        let task = tokio::spawn(async move {
            let (stop, failures, served): (Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>) =
                this;
            while !stop.load(Ordering::Relaxed) {
                match web::get(port, "/").await {
                    Ok((200, _)) => served.fetch_add(1, Ordering::Relaxed),
                    _ => failures.fetch_add(1, Ordering::Relaxed),
                };
            }
        });
        Self { stop, failures, served, task }
    }

    /// Requests that failed, of how many.
    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.task.await;
        let failed = self.failures.load(Ordering::Relaxed);
        (failed, failed + self.served.load(Ordering::Relaxed))
    }
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
    let first = scene.serve("first")?;
    let _second = scene.serve("second")?;
    scene.until_served_by(2).await;
    let picture = scene.haproxy_picture().await?;

    let load = Load::on(scene.proxy);
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
    let client = zookeeper.client().await?;
    let path = scene.records();
    eventually("both records are there", || async {
        let children = client.list_children(&path).await.map_err(|error| error.to_string())?;
        if children.len() == 2 { Ok(()) } else { Err(format!("{children:?}")) }
    })
    .await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    let (failed, of) = load.end().await;
    assert!(of > 0 && failed == 0, "{failed} of {of} requests failed");
    Ok(())
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

    let load = Load::on(scene.proxy);
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
    let (failed, of) = load.end().await;
    assert!(of > 0 && failed == 0, "{failed} of {of} requests failed");
    Ok(())
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

    let path = scene.records();
    let census = Census::of(zookeeper.client().await?, path.clone());
    let load = Load::on(scene.proxy);
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
    let client = zookeeper.client().await?;
    eventually("the records of before are removed", || async {
        let children = client.list_children(&path).await.map_err(|error| error.to_string())?;
        if children.len() == 2 { Ok(()) } else { Err(format!("{children:?}")) }
    })
    .await;
    let fewest = census.fewest().await?;
    assert!(fewest >= 2, "there was a moment with {fewest} records");
    assert_eq!(scene.haproxy_picture().await?, picture);
    let (failed, of) = load.end().await;
    assert!(of > 0 && failed == 0, "{failed} of {of} requests failed");
    Ok(())
}

#[tokio::test]
async fn an_agent_with_the_embedded_registry_starts_again_without_touching_a_server() -> Result {
    let mut scene = Scene::embedded()?;
    let _first = scene.serve("first")?;
    let _second = scene.serve("second")?;
    scene.until_served_by(2).await;
    let picture = scene.haproxy_picture().await?;
    let load = Load::on(scene.proxy);
    scene.host.kill_agent().await?;
    scene.host.start_agent()?;
    scene.until_served_by(2).await;
    scene
        .until("HAProxy has been looked at", |r| r["haproxy"]["fingerprint_running"].is_string())
        .await;
    assert_eq!(scene.haproxy_picture().await?, picture);
    let report = scene.status().await?;
    assert_eq!(report["haproxy"]["counters"]["runtime_commands"], 0, "{report:#}");
    let (failed, of) = load.end().await;
    assert!(of > 0 && failed == 0, "{failed} of {of} requests failed");
    Ok(())
}
