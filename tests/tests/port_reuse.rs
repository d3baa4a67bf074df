//! A port changes hands: the record of the new container is its own, and the end of the old one does not
//! touch it.

use end_to_end::{
    Docker, Scene, Service, ZooKeeper,
    docker::{Recipe, unique},
    host::states,
    ports::Port,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A container of the namespace on a port of the host that is known beforehand.
fn create(docker: &Docker, namespace: &str, port: &Port) -> Result<Service> {
    let labels = [("smartstack.namespace", namespace), ("smartstack.port", "8888")];
    let published = format!("127.0.0.1:{}:8888", port.number);
    let options = ["-p", published.as_str()];
    let recipe = Recipe { labels: &labels, options: &options, ..Recipe::default() };
    Ok(docker.create(&unique("reuse"), &recipe)?)
}

#[tokio::test]
async fn the_next_container_on_a_port_has_a_record_of_its_own_that_stays() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let client = zookeeper.client().await?;
    let port = Port::free()?;
    let mut last = create(&scene.docker, &scene.namespace, &port)?;
    last.start()?;
    scene.until_served_by(1).await;
    let mut before = client.list_children(&scene.records()).await?;
    for _ in 0..5 {
        let next = create(&scene.docker, &scene.namespace, &port)?;
        last.kill("KILL")?;
        // Its end and the next one's beginning are one burst of events.
        next.start()?;
        let stands = |report: &serde_json::Value| {
            let states = states(report);
            states.len() == 1 && states.get(&next.name).is_some_and(|state| state == "up")
        };
        scene.until("the next one stands alone", stands).await;
        scene.until_registered(&client, 1).await;
        let now = client.list_children(&scene.records()).await?;
        assert_ne!(now, before, "a record belongs to one container");
        // The old one is removed only now; nothing of that is about the port.
        drop(std::mem::replace(&mut last, next));
        scene.until_served_by(1).await;
        assert_eq!(client.list_children(&scene.records()).await?, now);
        before = now;
    }
    Ok(())
}
