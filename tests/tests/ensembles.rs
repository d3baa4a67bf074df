//! Records in the ZooKeepers of two places, of which one goes away.

use std::collections::BTreeSet;

use end_to_end::{
    Host, LocalProcess, Scene, Traffic, ZooKeeper, docker::unique, eventually, host::REGION,
    records::ports_in,
};
use serde_json::{Value, json};
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// A region with a ZooKeeper of its own.
const FAR: &str = "useast1-test";

struct Place {
    zookeeper: ZooKeeper,
    client: Client,
    region: &'static str,
}

impl Place {
    async fn new(region: &'static str) -> Result<Self> {
        let zookeeper = ZooKeeper::start().await?;
        Ok(Self { client: zookeeper.client().await?, zookeeper, region })
    }

    async fn until_exactly(&self, namespace: &str, expected: &[u64]) {
        eventually(&format!("{}: exactly {expected:?} are registered", self.region), || async {
            let found = ports_in(&self.client, self.region, namespace).await;
            let found = found.map_err(|error| error.to_string())?;
            let same = found.iter().all(|layout| layout == expected);
            if same { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
}

/// A host at home that also advertises in the far region.
fn scene(home: &Place, far: &Place) -> Result<Scene> {
    let mut host = Host::new("")?;
    host.settings = format!(
        "registry: {{hosts: ['{}'], topology_dir: {}}}\ndocker: {{enabled: false}}\n",
        home.zookeeper.hosts(),
        host.path("topology").display()
    );
    let address = far.zookeeper.address();
    host.write("topology/nova-test.yaml", &format!("- [{}, {}]\n", address.ip(), address.port()))?;
    let mapping = json!({
        "norcal-test_superregion": {format!("{REGION}_region"): {}},
        "nova-test_superregion": {format!("{FAR}_region"): {}},
    });
    host.write("location_mapping.json", &mapping.to_string())?;
    let service = unique("web");
    let proxy = host.namespace(
        &service,
        &format!("  extra_advertise: {{'region:{REGION}': ['region:{FAR}']}}\n"),
    )?;
    host.start_haproxy()?;
    host.start_agent()?;
    Ok(Scene {
        host,
        docker: end_to_end::Docker::local()?,
        namespace: format!("{service}.main"),
        proxy,
    })
}

fn write_tasks(scene: &Scene, processes: &[&LocalProcess]) -> Result<Vec<u64>> {
    let entries =
        processes.iter().map(|process| process.entry(&scene.namespace)).collect::<String>();
    scene.write("tasks.yaml", &entries)?;
    let ports: BTreeSet<u64> = processes.iter().map(|one| one.port.number.into()).collect();
    Ok(ports.into_iter().collect())
}

#[tokio::test]
async fn a_zookeeper_that_goes_away_harms_no_record_in_the_other() -> Result {
    let (mut home, mut far) = (Place::new(REGION).await?, Place::new(FAR).await?);
    let scene = scene(&home, &far)?;
    let staying = LocalProcess::start(&unique("staying"))?;
    let leaving = LocalProcess::start(&unique("leaving"))?;
    let coming = LocalProcess::start(&unique("coming"))?;
    let late = LocalProcess::start(&unique("late"))?;
    let both = write_tasks(&scene, &[&staying, &leaving])?;
    for place in [&home, &far] {
        place.until_exactly(&scene.namespace, &both).await;
    }
    scene.until_served_by(2).await;

    let traffic = Traffic::on(scene.proxy);
    for is_far_away in [true, false] {
        let (away, left) = if is_far_away { (&mut far, &home) } else { (&mut home, &far) };
        away.zookeeper.kill().await?;
        scene.until("its absence is told", |report| is_away(report, is_far_away)).await;
        let (gone, new) = if is_far_away { (&leaving, &coming) } else { (&coming, &late) };
        scene.command(&["drain", &gone.name, "--wait", "5"]).await?;
        let living = write_tasks(&scene, &[&staying, new])?;
        left.until_exactly(&scene.namespace, &living).await;
        away.zookeeper.restart().await?;
        away.client = away.zookeeper.client().await?;
        away.until_exactly(&scene.namespace, &living).await;
        scene.until_served_by(2).await;
    }
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    Ok(())
}

fn is_away(report: &Value, is_far: bool) -> bool {
    if is_far {
        let mut further = report["registry"]["further"].as_array().into_iter().flatten();
        further.any(|ensemble| ensemble["connected"] == false)
    } else {
        report["registry"]["connected"] == false
    }
}
