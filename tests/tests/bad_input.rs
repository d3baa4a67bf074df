//! Bad input gets a clear error and harms nothing else.

use std::{process::Stdio, time::Duration};

use end_to_end::{
    Host, Scene, ZooKeeper,
    docker::{Recipe, unique},
    host::{REGION, program, servers},
    web,
};
use serde_json::Value;
use tokio::process::Command;
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Everything the report complains of, as `what: reason` lines.
fn complaints(report: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let refused = list("refused").into_iter().map(|r| (text(&r["what"]), text(&r["reason"])));
    let problems = list("problems").into_iter().map(|p| (text(&p["file"]), text(&p["message"])));
    refused.chain(problems).map(|(what, why)| format!("{what}: {why}\n")).collect()
}

#[tokio::test]
async fn a_broken_smartstack_yaml_is_told_with_its_line_and_keeps_its_last_good_state() -> Result {
    let mut scene = Scene::embedded()?;
    let (broken, sound) = (scene.service().to_owned(), unique("sound"));
    let _service = scene.serve("web")?;
    scene.until_served_by(1).await;

    scene.soa(&broken, "main:\n  proxy_port: not a port\n")?;
    let other = scene.host.namespace(&sound, "")?;
    let _other = scene.docker.serve(&unique("other"), &format!("{sound}.main"))?;
    scene.until_up(&format!("{sound}.main"), 1).await;
    let report = scene
        .until("the broken file is told", |report| complaints(report).contains("not a port"))
        .await;
    let told = complaints(&report);
    assert!(told.contains(&format!("{broken}/smartstack.yaml:2:15: ")), "{told}");
    let (_, why) = scene.command(&["why", &broken]).await?;
    assert!(why.contains("not a port"), "{why}");
    let (_, status) = scene.command(&["status"]).await?;
    assert!(status.contains("not a port"), "{status}");
    for port in [scene.proxy, other] {
        assert_eq!(web::get(port, "/").await?.0, 200);
    }

    scene.soa(&broken, &format!("main:\n  proxy_port: {}\n  retries: 2\n", scene.proxy))?;
    scene.until("the file is mended", |report| !complaints(report).contains("not a port")).await;
    scene.until_served_by(1).await;
    assert_eq!(web::get(scene.proxy, "/").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn hostile_znodes_are_refused_one_by_one() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let (host, namespace) = (&scene.host, &scene.namespace);
    let web = scene.serve("web")?;
    scene.until_served_by(1).await;
    let picture = host.haproxy_picture().await?;

    let client = zookeeper.client().await?;
    let labels = format!(r#""labels":{{"region:{REGION}":""}}"#);
    let hostile = [
        "not json at all".to_owned(),
        String::new(),
        "[1,2]".to_owned(),
        format!(r#"{{"host":"10.0.0.9\n\tserver evil 1.2.3.4:80","port":1,"name":"x",{labels}}}"#),
        format!(r#"{{"host":"evil.example.com","port":1,"name":"x",{labels}}}"#),
        format!(r#"{{"host":"10.0.0.9","port":99999,"name":"x",{labels}}}"#),
        format!(r#"{{"host":"10.0.0.9","port":1,"name":"x\n\tserver evil",{labels}}}"#),
        format!(r#"{{"host":"10.0.0.9","port":1,"name":"a b % \"",{labels}}}"#),
        r#"{"host":"10.0.0.9","port":1,"name":"x","labels":["a"]}"#.to_owned(),
        "x".repeat(200_000),
    ];
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    for (n, payload) in hostile.iter().enumerate() {
        let path = format!("/smartstack/global/{namespace}/evil{n}_0000000000");
        client.create(&path, payload.as_bytes(), &ephemeral).await?;
    }
    // One that nobody may read.
    let secret = format!("/smartstack/global/{namespace}/evil{}_0000000000", hostile.len());
    let nobody = [Acl::new(Permission::WRITE, AuthId::new("digest", "nobody:x"))];
    client.create(&secret, b"{}", &CreateMode::Ephemeral.with_acls(Acls::new(&nobody))).await?;
    // An honest one among them shows that all have been read.
    let honest =
        format!(r#"{{"host":"127.0.0.1","port":{},"name":"other",{labels}}}"#, web.port()?);
    let path = format!("/smartstack/global/{namespace}/other_0000000000");
    client.create(&path, honest.as_bytes(), &ephemeral).await?;
    let report = host
        .until("all are told", |report| {
            let told = complaints(report);
            servers(report, namespace).len() == 2
                && (0..=hostile.len()).all(|n| told.contains(&format!("evil{n}_")))
        })
        .await;
    assert!(complaints(&report).lines().all(|line| !line.starts_with("server")), "{report:#}");
    assert_eq!(web::get(scene.proxy, "/").await?.0, 200);
    let config = std::fs::read_to_string(host.path("haproxy.cfg"))?;
    assert!(!config.contains("evil") && !config.contains("10.0.0.9"), "{config}");
    let now = host.haproxy_picture().await?;
    assert_eq!(picture[0], now[0], "the same worker");
    assert!(now.iter().all(|line| !line.contains("evil")), "{now:?}");
    Ok(())
}

#[tokio::test]
async fn a_container_with_nonsense_labels_is_told_and_the_others_go_on() -> Result {
    let scene = Scene::embedded()?;
    let (host, docker, namespace) = (&scene.host, &scene.docker, &scene.namespace);
    let mut strange = Vec::new();
    for (namespace, label, reason) in [
        (namespace.as_str(), "nonsense", "`nonsense`; expected a port from 1 to 65535"),
        (namespace.as_str(), "9999", "9999/tcp is not published"),
        ("a b.main", "8888", "only letters, digits"),
        ("nobody.main", "8888", "add `main:` to nobody/smartstack.yaml"),
    ] {
        let labels = [("smartstack.namespace", namespace), ("smartstack.port", label)];
        let container =
            docker.create(&unique("strange"), &Recipe { labels: &labels, ..Recipe::default() })?;
        container.start()?;
        strange.push((container, reason));
    }
    let _web = scene.serve("web")?;
    scene.until_served_by(1).await;
    host.until("all are told", |report| {
        let told = complaints(report);
        strange.iter().all(|(c, reason)| {
            told.lines().any(|line| line.starts_with(&c.name) && line.contains(reason))
        })
    })
    .await;
    let (code, why) = host.command(&["why", &strange[0].0.name]).await?;
    assert!(code == 0 && why.contains("nonsense"), "{why}");
    let (_, metrics) = web::get(host.admin.number, "/metrics").await?;
    assert!(metrics.contains("smartstack_refused{stage=\"task\"}"), "{metrics}");
    assert_eq!(web::get(scene.proxy, "/").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_work_are_told_all_at_once() -> Result {
    let mut host = Host::new("{kind: etcd}")?;
    host.settings.push_str("guard: {share: 7}\n");
    host.start_agent()?;
    assert_eq!(host.agent_ended().await?, Some(64));
    let log = std::fs::read_to_string(host.path("agent.log"))?;
    assert!(
        log.contains("`etcd`") && log.contains("guard.share") && log.contains("agent.yaml"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn a_second_agent_started_by_mistake_ends_and_changes_nothing() -> Result {
    let scene = Scene::embedded()?;
    let _service = scene.serve("web")?;
    scene.until_served_by(1).await;
    let picture = scene.haproxy_picture().await?;
    let mut second = Command::new(program("smartstack"));
    second.arg("agent").arg("--config").arg(scene.path("agent.yaml")).stdin(Stdio::null());
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let ended = tokio::time::timeout(Duration::from_secs(30), second.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains("in use") || said.contains("another agent"), "{said}");
    assert_eq!(scene.haproxy_picture().await?, picture);
    assert_eq!(scene.answering().await.len(), 1);
    let records = scene.status().await?["registry"]["records"].as_u64();
    assert!(records.is_some_and(|records| records > 0), "{records:?}");
    Ok(())
}
