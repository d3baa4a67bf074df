//! Endpoints for Envoy, read by a real one.

use std::collections::BTreeSet;

use end_to_end::{Envoy, Host, LocalProcess, ZooKeeper, docker::unique, eventually, web};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Waits until exactly these processes answer through Envoy, over enough requests to meet all.
async fn until_served_by(envoy: &Envoy, expected: &[&LocalProcess]) {
    let expected: BTreeSet<_> = expected.iter().map(|one| format!("200 {}", one.name)).collect();
    eventually("exactly these answer through Envoy", || async {
        let mut found = BTreeSet::new();
        for _ in 0..16 {
            let (status, body) =
                web::get(envoy.listener.number, "/").await.map_err(|error| error.to_string())?;
            found.insert(format!("{status} {}", body.trim().replace("hello from ", "")));
        }
        if found == expected { Ok(()) } else { Err(format!("{found:?}\n{}", envoy.log())) }
    })
    .await;
}

#[tokio::test]
async fn an_envoy_serves_from_the_endpoints_and_follows_their_changes() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    host.settings.push_str("docker: {enabled: false}\n");
    host.files = format!(", envoy_dir: {}", host.path("envoy").display());
    let service = unique("books");
    host.namespace(&service, "  advertise: [region, superregion]\n")?;
    let namespace = format!("{service}.main");
    let processes = ["a", "b", "c"].map(|name| LocalProcess::start(&unique(name)));
    let [first, second, third] = processes;
    let (first, second, third) = (first?, second?, third?);
    host.write("tasks.yaml", &first.entry(&namespace))?;
    host.start_haproxy()?;
    host.start_agent()?;
    let file = host.path(&format!("envoy/{namespace}.yaml"));
    eventually("Envoy's file is there", || async {
        if file.exists() { Ok(()) } else { Err(host.agent_log()) }
    })
    .await;
    let envoy = Envoy::start(&namespace, &file)?;
    until_served_by(&envoy, &[&first]).await;

    let all = [&first, &second, &third].map(|one| one.entry(&namespace)).concat();
    host.write("tasks.yaml", &all)?;
    until_served_by(&envoy, &[&first, &second, &third]).await;
    // It still serves, and gets nothing.
    host.command(&["drain", &first.name]).await?;
    until_served_by(&envoy, &[&second, &third]).await;
    drop(second);
    until_served_by(&envoy, &[&third]).await;
    host.command(&["undrain", &first.name]).await?;
    until_served_by(&envoy, &[&first, &third]).await;

    // Nobody is left: Envoy says so instead of asking those it knew.
    drop((first, third));
    eventually("there is no endpoint", || async {
        match web::get(envoy.listener.number, "/").await {
            Ok((503, body)) if body.contains("no healthy upstream") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let (_, statistics) =
        web::get(envoy.admin.number, "/stats?filter=cluster.backend.update").await?;
    assert!(statistics.contains("update_rejected: 0"), "{statistics}\n{}", envoy.log());
    Ok(())
}
