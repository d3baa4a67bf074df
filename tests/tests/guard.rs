//! Blindness is not emptiness: a sudden loss is believed only when a second read shows it too.

use end_to_end::{
    Scene, ZooKeeper,
    docker::unique,
    eventually,
    host::{REGION, servers},
    web,
};
use serde_json::Value;
use zookeeper_client::{Acls, Client, CreateMode};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Records of other hosts' tasks, in one transaction; one local container serves them all.
async fn register(
    client: &Client,
    namespace: &str,
    port: u16,
) -> std::result::Result<(), zookeeper_client::Error> {
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let mut all = client.new_multi_writer();
    for name in ["a", "b", "c"] {
        let payload = format!(
            r#"{{"host":"127.0.0.1","port":{port},"name":"{name}","labels":{{"region:{REGION}":""}}}}"#
        );
        let path = format!("/smartstack/global/{namespace}/{name}_0000000000");
        all.add_create(&path, payload.as_bytes(), &ephemeral)?;
    }
    all.commit().await.map(drop).map_err(|_| zookeeper_client::Error::ConnectionLoss)
}

/// All of them vanish in one transaction.
async fn vanish(
    client: &Client,
    namespace: &str,
) -> std::result::Result<(), zookeeper_client::Error> {
    let mut all = client.new_multi_writer();
    for name in ["a", "b", "c"] {
        all.add_delete(&format!("/smartstack/global/{namespace}/{name}_0000000000"), None)?;
    }
    all.commit().await.map(drop).map_err(|_| zookeeper_client::Error::ConnectionLoss)
}

fn doubted(report: &Value, namespace: &str) -> bool {
    let backends = report["backends"].as_array().into_iter().flatten();
    backends
        .into_iter()
        .any(|backend| backend["namespace"] == namespace && backend["doubted"] == true)
}

#[tokio::test]
async fn servers_that_vanish_at_once_are_kept_until_a_second_read_and_zero_on_purpose_goes_through()
-> Result {
    let zookeeper = ZooKeeper::start().await?;
    let registry = format!("{{hosts: ['{}']}}", zookeeper.hosts());
    let scene = Scene::new(&registry, "guard: {hold: 4s}\n", "")?;
    let (host, namespace) = (&scene.host, &scene.namespace);
    let elsewhere = scene.docker.serve(&unique("web"), "nobody.knows")?;
    let client = zookeeper.client().await?;
    host.until("the namespace is known", |report| {
        report["backends"].as_array().is_some_and(|backends| !backends.is_empty())
    })
    .await;
    register(&client, namespace, elsewhere.port()?).await?;
    scene.until_served_by(3).await;
    let picture = host.haproxy_picture().await?;

    vanish(&client, namespace).await?;
    host.until("the loss is doubted", |report| doubted(report, namespace)).await;
    assert_eq!(host.haproxy_picture().await?, picture);
    assert_eq!(web::get(scene.proxy, "/").await?.0, 200);
    register(&client, namespace, elsewhere.port()?).await?;
    host.until("it was only a moment", |report| !doubted(report, namespace)).await;
    assert_eq!(host.haproxy_picture().await?, picture);

    vanish(&client, namespace).await?;
    host.until("zero on purpose goes through", |report| servers(report, namespace).is_empty())
        .await;
    eventually("HAProxy has nobody left", || async {
        match web::get(scene.proxy, "/").await {
            Ok((503, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    Ok(())
}

/// Somebody deletes half of what is registered, and puts it back.
#[tokio::test]
async fn when_many_namespaces_lose_their_servers_at_once_none_is_believed_soon() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let registry = format!("{{hosts: ['{}']}}", zookeeper.hosts());
    let mut scene = Scene::new(&registry, "guard: {hold: 100ms}\n", "")?;
    let elsewhere = scene.docker.serve(&unique("web"), "nobody.knows")?;
    let client = zookeeper.client().await?;
    let others = [unique("web"), unique("web")];
    for service in &others {
        scene.host.namespace(service, "")?;
    }
    let [second, third] = others.map(|service| format!("{service}.main"));
    let first = scene.namespace.clone();
    let (host, all) = (&scene.host, [&first, &second, &third]);
    host.until("the namespaces are known", |report| {
        report["backends"].as_array().is_some_and(|backends| backends.len() == 3)
    })
    .await;
    for namespace in all {
        register(&client, namespace, elsewhere.port()?).await?;
        host.until_up(namespace, 3).await;
    }
    let picture = host.haproxy_picture().await?;
    tokio::try_join!(vanish(&client, &first), vanish(&client, &second))?;
    host.until("both losses are doubted", |report| {
        doubted(report, &first) && doubted(report, &second)
    })
    .await;
    // Ten times as long as one of them alone would be doubted.
    for _ in 0..20 {
        assert_eq!(host.haproxy_picture().await?, picture);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for namespace in [&first, &second] {
        register(&client, namespace, elsewhere.port()?).await?;
    }
    host.until("nothing is doubted any more", |report| {
        !all.into_iter().any(|namespace| doubted(report, namespace))
    })
    .await;
    assert_eq!(host.haproxy_picture().await?, picture);
    Ok(())
}
