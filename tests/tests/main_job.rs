//! The main job on real parts: a container starts and traffic reaches it; it is drained and traffic
//! leaves it.

use std::collections::BTreeSet;

use end_to_end::{
    Docker, Host, ZooKeeper,
    docker::{Recipe, unique},
    eventually,
    host::{NAME, REGION, servers, states},
    web,
};
use serde_json::json;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A host with a running HAProxy and agent on `zookeeper`, and the port of `SERVICE.main`.
async fn host(zookeeper: &ZooKeeper, service: &str) -> std::io::Result<(Host, u16)> {
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let port = host.namespace(service, "  advertise: [region, superregion]\n")?;
    host.start_haproxy()?;
    host.start_agent()?;
    Ok((host, port))
}

/// Who answers through HAProxy, over enough requests to meet every server.
async fn answering(port: u16) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..12 {
        let (status, body) = web::get(port, "/").await.unwrap_or_default();
        if status == 200 {
            names.insert(body.trim().replace("hello from ", ""));
        }
    }
    names
}

#[tokio::test]
async fn a_container_is_registered_served_drained_and_brought_back() -> Result {
    let (zookeeper, docker) = (ZooKeeper::start().await?, Docker::local()?);
    let service = unique("web");
    let namespace = format!("{service}.main");
    let (host, port) = host(&zookeeper, &service).await?;
    let first = docker.serve(&unique("first"), &namespace)?;
    let second = docker.serve(&unique("second"), &namespace)?;
    host.until_up(&namespace, 2).await;
    let both = BTreeSet::from([first.name.clone(), second.name.clone()]);
    eventually("both serve", || async {
        let names = answering(port).await;
        if names == both { Ok(()) } else { Err(names) }
    })
    .await;

    let client = zookeeper.client().await?;
    let v2 = format!("/smartstack/global/{namespace}");
    let ours = first.port()?;
    let payload = json!({
        "host": "127.0.0.1", "port": ours, "name": NAME, "weight": 10,
        "labels": {format!("region:{REGION}"): "", "superregion:norcal-test": ""},
    });
    let mut found = Vec::new();
    for child in client.list_children(&v2).await? {
        assert!(
            child.starts_with(&format!("{NAME}_")) && child.len() == NAME.len() + 11,
            "{child}"
        );
        let (data, stat) = client.get_data(&format!("{v2}/{child}")).await?;
        assert_ne!(stat.ephemeral_owner, 0);
        found.push(serde_json::from_slice::<serde_json::Value>(&data)?);
    }
    assert_eq!(found.len(), 2);
    assert!(found.contains(&payload), "{found:?}");
    for place in [format!("region:{REGION}"), "superregion:norcal-test".to_owned()] {
        assert_eq!(client.list_children(&format!("/nerve/{place}/{namespace}")).await?.len(), 2);
    }

    let (code, text) = host.command(&["drain", &first.name]).await?;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("{namespace}:{ours} safe to stop")), "{text}");
    assert_eq!(client.list_children(&v2).await?.len(), 1);
    let (status, body) =
        web::get(host.hacheck.number, &format!("/http/{namespace}/{ours}/status")).await?;
    assert_eq!(status, 503);
    assert!(body.starts_with(&format!("Service {namespace} in down state since ")), "{body}");
    assert_eq!(answering(port).await, BTreeSet::from([second.name.clone()]));
    assert!(first.is_running()?);

    let (code, _) = host.command(&["undrain", &first.name]).await?;
    assert_eq!(code, 0);
    host.until_up(&namespace, 2).await;
    eventually("both serve again", || async {
        let names = answering(port).await;
        if names == both { Ok(()) } else { Err(names) }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_stop_signal_takes_the_record_and_the_server_away_before_the_process_ends() -> Result {
    let (zookeeper, docker) = (ZooKeeper::start().await?, Docker::local()?);
    let service = unique("web");
    let namespace = format!("{service}.main");
    let (host, port) = host(&zookeeper, &service).await?;
    let labels = [("smartstack.namespace", namespace.as_str()), ("smartstack.port", "8888")];
    let recipe = Recipe { labels: &labels, linger_ms: 20_000, ..Recipe::default() };
    let leaving = docker.create(&unique("leaving"), &recipe)?;
    leaving.start()?;
    let staying = docker.serve(&unique("staying"), &namespace)?;
    host.until_up(&namespace, 2).await;
    let ours = leaving.port()?;

    let mut stop = leaving.begin_stop()?;
    let client = zookeeper.client().await?;
    let v2 = format!("/smartstack/global/{namespace}");
    eventually("the record is gone", || async {
        let children = client.list_children(&v2).await.map_err(|error| error.to_string())?;
        if children.len() == 1 { Ok(()) } else { Err(format!("{children:?}")) }
    })
    .await;
    host.until("the server is out", |report| {
        let in_service =
            servers(report, &namespace).into_iter().filter(|(_, s)| s.starts_with("UP"));
        in_service.count() == 1 && states(report).get(&leaving.name).is_some_and(|s| s == "leaving")
    })
    .await;
    assert_eq!(answering(port).await, BTreeSet::from([staying.name.clone()]));
    let (status, body) =
        web::get(host.hacheck.number, &format!("/spool/{namespace}/{ours}/status")).await?;
    assert_eq!(status, 503, "{body}");
    assert!(body.starts_with(&format!("Service {namespace} in down state")), "{body}");
    assert!(leaving.is_running()?, "all of this happens while the process still serves");
    assert_eq!(web::get(ours, "/").await?.0, 200);
    let (code, text) = host.command(&["safe-to-stop", &leaving.name]).await?;
    assert_eq!(code, 0, "{text}");
    leaving.kill("KILL")?;
    stop.wait()?;
    Ok(())
}

#[tokio::test]
async fn a_container_that_dies_or_falls_ill_leaves_at_once_and_comes_back() -> Result {
    let (zookeeper, docker) = (ZooKeeper::start().await?, Docker::local()?);
    let service = unique("web");
    let namespace = format!("{service}.main");
    let (host, port) = host(&zookeeper, &service).await?;
    let first = docker.serve(&unique("first"), &namespace)?;
    let second = docker.serve(&unique("second"), &namespace)?;
    host.until_up(&namespace, 2).await;

    web::post(first.port()?, "/sick", "").await?;
    host.until("the sick one is out", |report| {
        states(report).get(&first.name).is_some_and(|state| state == "down")
            && servers(report, &namespace).len() == 1
    })
    .await;
    assert_eq!(answering(port).await, BTreeSet::from([second.name.clone()]));
    web::post(first.port()?, "/well", "").await?;
    host.until_up(&namespace, 2).await;

    first.kill("KILL")?;
    host.until("the dead one is gone", |report| {
        !states(report).contains_key(&first.name) && servers(report, &namespace).len() == 1
    })
    .await;
    assert_eq!(answering(port).await, BTreeSet::from([second.name.clone()]));
    first.start()?;
    host.until_up(&namespace, 2).await;
    Ok(())
}

#[tokio::test]
async fn a_mesos_task_is_registered_where_soa_configs_say() -> Result {
    let (zookeeper, docker) = (ZooKeeper::start().await?, Docker::local()?);
    let service = unique("books").replace('-', "_");
    let namespace = format!("{service}.main");
    let (host, port) = host(&zookeeper, &service).await?;
    host.write("paasta/cluster.json", r#"{"cluster": "norcal-test"}"#)?;
    host.write(
        &format!("soa/{service}/marathon-norcal-test.yaml"),
        &format!("api:\n  registrations: [{namespace}]\n  deploy_group: test.api\n"),
    )?;
    let task_id = format!("{}.api.gitabcdef12.configdeadbeef.3f1c", service.replace('_', "--"));
    let env = [("MESOS_TASK_ID", task_id.as_str()), ("PAASTA_SERVICE", "forged")];
    let task = docker.create(&unique("mesos-1"), &Recipe { env: &env, ..Recipe::default() })?;
    task.start()?;
    let chronos = [("CHRONOS_JOB_NAME", "books nightly"), ("MESOS_TASK_ID", task_id.as_str())];
    let job = docker.create(&unique("mesos-2"), &Recipe { env: &chronos, ..Recipe::default() })?;
    job.start()?;
    host.until_up(&namespace, 1).await;
    assert_eq!(answering(port).await, BTreeSet::from([task.name.clone()]));
    let client = zookeeper.client().await?;
    let v2 = format!("/smartstack/global/{namespace}");
    let child = client.list_children(&v2).await?.remove(0);
    let (data, _) = client.get_data(&format!("{v2}/{child}")).await?;
    let expected = format!(
        r#"{{"host":"127.0.0.1","port":{},"name":"{NAME}","weight":10,"labels":{{"deploy_group":"test.api","paasta_instance":"api","region:{REGION}":"","superregion:norcal-test":""}}}}"#,
        task.port()?
    );
    assert_eq!(String::from_utf8_lossy(&data), expected);
    Ok(())
}

#[tokio::test]
async fn host_networking_and_tcp_checks_work() -> Result {
    let (zookeeper, docker) = (ZooKeeper::start().await?, Docker::local()?);
    let service = unique("queue");
    let namespace = format!("{service}.main");
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let port = host.namespace(&service, "  mode: tcp\n")?;
    host.start_haproxy()?;
    host.start_agent()?;
    let listens = end_to_end::ports::Port::free()?;
    let number = listens.number.to_string();
    let labels =
        [("smartstack.namespace", namespace.as_str()), ("smartstack.port", number.as_str())];
    let recipe = Recipe { labels: &labels, options: &["--net", "host"], ..Recipe::default() };
    let container = docker.create_on(&unique("queue"), &recipe, listens.number)?;
    container.start()?;
    host.until_up(&namespace, 1).await;
    assert_eq!(answering(port).await, BTreeSet::from([container.name.clone()]));
    Ok(())
}

#[tokio::test]
async fn a_container_that_is_started_again_is_registered_with_its_new_port() -> Result {
    let (zookeeper, docker) = (ZooKeeper::start().await?, Docker::local()?);
    let service = unique("web");
    let namespace = format!("{service}.main");
    let (host, port) = host(&zookeeper, &service).await?;
    let web = docker.serve(&unique("web"), &namespace)?;
    host.until_up(&namespace, 1).await;
    let before = web.port()?;
    docker.run(&["restart", "-t", "1", &web.id])?;
    let now = web.port()?;
    let name = format!("{NAME}_127.0.0.1:{now}");
    host.until("the new port is in service", |report| {
        let servers = servers(report, &namespace);
        servers.len() == 1 && servers[0].0 == name && servers[0].1.starts_with("UP")
    })
    .await;
    assert_eq!(answering(port).await, BTreeSet::from([web.name.clone()]));
    assert_ne!(before, now, "Docker gives another port, or this test shows nothing");
    Ok(())
}
