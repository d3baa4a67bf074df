//! The main job on real parts: a container starts and traffic reaches it; it is drained and traffic
//! leaves it.

use std::collections::BTreeSet;

use end_to_end::{
    Scene, ZooKeeper,
    docker::{Recipe, unique},
    eventually,
    host::{NAME, REGION, servers, states},
    ports::Port,
    web,
};
use serde_json::{Value, json};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn until_answering(scene: &Scene, names: &[&str]) {
    let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    eventually("exactly these answer", || async {
        let names = scene.answering().await;
        if names == expected { Ok(()) } else { Err(names) }
    })
    .await;
}

#[tokio::test]
async fn a_container_is_registered_served_drained_and_brought_back() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let registry = format!("{{hosts: ['{}']}}", zookeeper.hosts());
    let scene = Scene::new(&registry, "", "  advertise: [region, superregion]\n")?;
    let (first, second) = (scene.serve("first")?, scene.serve("second")?);
    scene.until_served_by(2).await;
    until_answering(&scene, &[&first.name, &second.name]).await;

    let client = zookeeper.client().await?;
    let (v2, ours) = (scene.records(), first.port()?);
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
        found.push(serde_json::from_slice::<Value>(&data)?);
    }
    assert_eq!(found.len(), 2);
    assert!(found.contains(&payload), "{found:?}");
    for place in [format!("region:{REGION}"), "superregion:norcal-test".to_owned()] {
        let v1 = format!("/nerve/{place}/{}", scene.namespace);
        assert_eq!(client.list_children(&v1).await?.len(), 2);
    }

    let (code, text) = scene.command(&["drain", &first.name]).await?;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("{}:{ours} safe to stop", scene.namespace)), "{text}");
    assert_eq!(client.list_children(&v2).await?.len(), 1);
    let check = format!("/http/{}/{ours}/status", scene.namespace);
    let (status, body) = web::get(scene.hacheck.number, &check).await?;
    assert_eq!(status, 503);
    let marked = format!("Service {} in down state since ", scene.namespace);
    assert!(body.starts_with(&marked), "{body}");
    assert_eq!(scene.answering().await, BTreeSet::from([second.name.clone()]));
    assert!(first.is_running()?);

    let (code, _) = scene.command(&["undrain", &first.name]).await?;
    assert_eq!(code, 0);
    scene.until_served_by(2).await;
    until_answering(&scene, &[&first.name, &second.name]).await;
    Ok(())
}

#[tokio::test]
async fn a_stop_signal_takes_the_record_and_the_server_away_before_the_process_ends() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::on(&zookeeper)?;
    let leaving = scene.serve_lingering("leaving", 20_000)?;
    let staying = scene.serve("staying")?;
    scene.until_served_by(2).await;
    let ours = leaving.port()?;

    let mut stop = leaving.begin_stop()?;
    scene.until_registered(&zookeeper.client().await?, 1).await;
    scene
        .until("the server is out", |report| {
            let servers = servers(report, &scene.namespace).into_iter();
            let serving = servers.filter(|(_, status)| status.starts_with("UP"));
            serving.count() == 1
                && states(report).get(&leaving.name).is_some_and(|state| state == "leaving")
        })
        .await;
    assert_eq!(scene.answering().await, BTreeSet::from([staying.name.clone()]));
    let spool = format!("/spool/{}/{ours}/status", scene.namespace);
    let (status, body) = web::get(scene.hacheck.number, &spool).await?;
    assert_eq!(status, 503, "{body}");
    assert!(body.starts_with(&format!("Service {} in down state", scene.namespace)), "{body}");
    eventually("it is safe to stop", || async {
        match scene.command(&["safe-to-stop", &leaving.name]).await {
            Ok((0, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // An agent that starts now was not there to hear the signal.
    scene.host.kill_agent().await?;
    scene.host.start_agent()?;
    let report = scene
        .until("the new agent has registered the other one", |report| {
            states(report).get(&staying.name).is_some_and(|state| state == "up")
        })
        .await;
    assert_eq!(states(&report)[&leaving.name], "leaving");
    scene.until_registered(&zookeeper.client().await?, 1).await;
    assert_eq!(scene.answering().await, BTreeSet::from([staying.name.clone()]));
    assert!(leaving.is_running()?, "all of this happened while the process still served");
    assert_eq!(web::get(ours, "/").await?.0, 200);
    leaving.kill("KILL")?;
    stop.wait()?;
    Ok(())
}

#[tokio::test]
async fn a_container_that_dies_or_falls_ill_leaves_at_once_and_comes_back() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let (first, second) = (scene.serve("first")?, scene.serve("second")?);
    scene.until_served_by(2).await;

    web::post(first.port()?, "/sick", "").await?;
    scene
        .until("the sick one is out", |report| {
            states(report).get(&first.name).is_some_and(|state| state == "down")
                && servers(report, &scene.namespace).len() == 1
        })
        .await;
    assert_eq!(scene.answering().await, BTreeSet::from([second.name.clone()]));
    web::post(first.port()?, "/well", "").await?;
    scene.until_served_by(2).await;

    first.kill("KILL")?;
    scene
        .until("the dead one is gone", |report| {
            !states(report).contains_key(&first.name)
                && servers(report, &scene.namespace).len() == 1
        })
        .await;
    assert_eq!(scene.answering().await, BTreeSet::from([second.name.clone()]));
    first.start()?;
    scene.until_served_by(2).await;
    Ok(())
}

#[tokio::test]
async fn a_mesos_task_is_registered_where_soa_configs_say() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    scene.write("paasta/cluster.json", r#"{"cluster": "norcal-test"}"#)?;
    scene.write(
        &format!("soa/{}/marathon-norcal-test.yaml", scene.service()),
        &format!("api_v2:\n  registrations: [{}]\n  deploy_group: test.api\n", scene.namespace),
    )?;
    let task_id = format!("{}.api--v2.gitabcdef12.configdeadbeef.3f1c", scene.service());
    let env = [("MESOS_TASK_ID", task_id.as_str()), ("PAASTA_SERVICE", "forged")];
    let task =
        scene.docker.create(&unique("mesos-1"), &Recipe { env: &env, ..Recipe::default() })?;
    task.start()?;
    let env = [("CHRONOS_JOB_NAME", "books nightly"), ("MESOS_TASK_ID", task_id.as_str())];
    let job =
        scene.docker.create(&unique("mesos-2"), &Recipe { env: &env, ..Recipe::default() })?;
    job.start()?;
    scene.until_served_by(1).await;
    assert_eq!(scene.answering().await, BTreeSet::from([task.name.clone()]));
    let client = zookeeper.client().await?;
    let child = client.list_children(&scene.records()).await?.remove(0);
    let (data, _) = client.get_data(&format!("{}/{child}", scene.records())).await?;
    let expected = format!(
        r#"{{"host":"127.0.0.1","port":{},"name":"{NAME}","weight":10,"labels":{{"deploy_group":"test.api","paasta_instance":"api_v2","region:{REGION}":""}}}}"#,
        task.port()?
    );
    assert_eq!(String::from_utf8_lossy(&data), expected);
    Ok(())
}

#[tokio::test]
async fn host_networking_and_tcp_checks_work() -> Result {
    let scene = Scene::new("{kind: embedded}", "", "  mode: tcp\n")?;
    let listens = Port::free()?;
    let number = listens.number.to_string();
    let labels =
        [("smartstack.namespace", scene.namespace.as_str()), ("smartstack.port", number.as_str())];
    let recipe = Recipe { labels: &labels, options: &["--net", "host"], ..Recipe::default() };
    let container = scene.docker.create_on(&unique("queue"), &recipe, listens.number)?;
    container.start()?;
    scene.until_served_by(1).await;
    assert_eq!(scene.answering().await, BTreeSet::from([container.name.clone()]));
    Ok(())
}

#[tokio::test]
async fn a_container_that_is_started_again_is_registered_with_its_new_port() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let web = scene.serve("web")?;
    scene.until_served_by(1).await;
    let before = web.port()?;
    scene.docker.run(&["restart", "-t", "1", &web.id])?;
    let now = web.port()?;
    assert_ne!(before, now, "Docker gives another port, or this test shows nothing");
    let name = format!("{NAME}_127.0.0.1:{now}");
    scene
        .until("the new port is in service", |report| {
            let servers = servers(report, &scene.namespace);
            servers.len() == 1 && servers[0].0 == name && servers[0].1.starts_with("UP")
        })
        .await;
    assert_eq!(scene.answering().await, BTreeSet::from([web.name.clone()]));
    Ok(())
}

#[tokio::test]
async fn a_container_that_survives_its_stop_signal_comes_back() -> Result {
    let scene = Scene::new("{kind: embedded}", "docker: {stop_grace: 1s}\n", "")?;
    let labels = [("smartstack.namespace", scene.namespace.as_str()), ("smartstack.port", "8888")];
    let options = ["-p", "127.0.0.1::8888", "--stop-timeout", "1"];
    let recipe =
        Recipe { labels: &labels, linger_ms: 600_000, options: &options, ..Recipe::default() };
    let stubborn = scene.docker.create(&unique("stubborn"), &recipe)?;
    stubborn.start()?;
    scene.until_served_by(1).await;
    stubborn.kill("TERM")?;
    scene.until("it is out", |report| states(report)[&stubborn.name] == "leaving").await;
    scene.until("it is taken back", |report| states(report)[&stubborn.name] == "up").await;
    scene.until_served_by(1).await;
    Ok(())
}

#[tokio::test]
async fn the_statistics_page_has_what_paasta_reads() -> Result {
    let scene = Scene::embedded()?;
    let web = scene.serve("web")?;
    scene.until_served_by(1).await;
    let (status, page) = web::get(scene.stats.number, "/;csv;norefresh").await?;
    assert_eq!(status, 200);
    let mut lines = page.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    assert_eq!((head[0], head[head.len() - 1]), ("# pxname", ""));
    let column = |name: &str| head.iter().position(|column| *column == name);
    let name = format!("{NAME}_127.0.0.1:{}", web.port()?);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let row = rows.iter().find(|row| row[0] == scene.namespace && row[1] == name);
    let row = row.unwrap_or_else(|| panic!("{name} is not in\n{page}"));
    let value = |name: &str| column(name).map(|column| row[column]);
    assert!(value("status").is_some_and(|status| status.starts_with("UP")), "{row:?}");
    assert!(value("lastchg").is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{row:?}");
    for name in ["svname", "check_status", "check_code", "check_duration"] {
        assert!(value(name).is_some(), "{name} is missing in {head:?}");
    }
    Ok(())
}
