//! Whatever comes and goes, and whatever becomes of the agent meanwhile: in the end ZooKeeper holds what
//! runs, and what never went was never without a record.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use end_to_end::{Crowd, Network, Scene, Traffic, ZooKeeper, docker::unique, records::ports};
use tokio::{task::spawn_blocking, time};
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// So many come and go in the tests; `bench-churn` measures the whole.
const CROWD: usize = 24;
const CHURN: Duration = Duration::from_secs(12);
/// As fast as Docker does it.
const RATE: f64 = 1000.0;

/// Who comes and goes all the time is held out on purpose; not here.
fn scene(zookeeper: &ZooKeeper) -> Result<Scene> {
    let registry = format!("{{hosts: ['{}']}}", zookeeper.hosts());
    Ok(Scene::new(&registry, "damping: {falls: 0}\n", "")?)
}

#[tokio::test]
async fn after_containers_came_and_went_zookeeper_equals_docker() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = scene(&zookeeper)?;
    let crowd = Arc::new(Crowd::create(&scene, CROWD, Network::Bridge)?);
    let many = Arc::clone(&crowd);
    let churned = spawn_blocking(move || many.churn(CHURN, RATE)).await??;
    assert!(churned.starts >= CROWD && churned.kills > 0, "{churned:?}");
    crowd.until_registered(&zookeeper.client().await?).await;
    Ok(())
}

/// Does something, while a client of its own looks whether any of these ports is ever without a record.
async fn registered<T>(
    client: &Client,
    namespace: &str,
    expected: &BTreeSet<u64>,
    act: impl Future<Output = Result<T>>,
) -> Result<T> {
    let look = async {
        loop {
            let found = match ports(client, namespace).await {
                Ok(found) => found.map(BTreeSet::from_iter),
                Err(error) => return error,
            };
            if let Some(layout) = found.iter().find(|layout| !layout.is_superset(expected)) {
                return format!("only {layout:?} of {expected:?}").into();
            }
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        missing = look => Err(missing),
        done = act => done,
    }
}

#[tokio::test]
async fn an_agent_replaced_again_and_again_under_load_loses_nothing_that_stays() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let client = zookeeper.client().await?;
    let mut scene = scene(&zookeeper)?;
    // The namespace with traffic has only containers that stay.
    let crowd = Arc::new(Crowd::create(&scene, CROWD / 2, Network::Bridge)?);
    let busy = unique("busy");
    let port = scene.host.namespace(&busy, "")?;
    let namespace = format!("{busy}.main");
    let staying = [
        scene.docker.serve(&unique("first"), &namespace)?,
        scene.docker.serve(&unique("second"), &namespace)?,
    ];
    scene.host.until_up(&namespace, 2).await;
    let expected: BTreeSet<u64> =
        staying.iter().map(|one| Ok(one.port()?.into())).collect::<Result<_>>()?;

    let traffic = Traffic::on(port);
    let many = Arc::clone(&crowd);
    let churn = spawn_blocking(move || many.churn(CHURN, RATE));
    let mut lives = 0;
    registered(&client, &namespace, &expected, async {
        while !churn.is_finished() {
            if lives % 2 == 0 {
                assert_eq!(scene.host.stop_agent().await?, Some(0));
            } else {
                scene.host.kill_agent().await?;
            }
            scene.host.start_agent()?;
            scene.host.until_up(&namespace, 2).await;
            lives += 1;
        }
        let churned = churn.await??;
        assert!(lives >= 4 && churned.kills > 0, "{lives} lives, {churned:?}");
        crowd.until_registered(&client).await;
        Ok(())
    })
    .await?;
    let found = ports(&client, &namespace).await?;
    assert!(found.iter().all(|layout| layout.len() == 2), "none stands there twice: {found:?}");
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    Ok(())
}
