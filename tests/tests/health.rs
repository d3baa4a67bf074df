//! Health end to end: Docker's own HEALTHCHECK, services that hang, and an agent that hangs itself.

use std::time::Duration;

use end_to_end::{
    Scene, ZooKeeper,
    docker::{Recipe, unique},
    host::states,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::time;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// State and detail of a task.
fn stands(report: &Value, title: &str) -> Option<(String, String)> {
    let tasks = report["tasks"].as_array()?;
    let task = tasks.iter().find(|task| task["title"] == title)?;
    Some((task["state"].as_str()?.to_owned(), task["detail"].as_str()?.to_owned()))
}

#[tokio::test]
async fn a_container_is_as_healthy_as_docker_says() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let labels = [
        ("smartstack.namespace", scene.namespace.as_str()),
        ("smartstack.port", "8888"),
        ("smartstack.healthcheck", "docker"),
    ];
    let options = [
        ["-p", "127.0.0.1::8888"],
        // Docker runs the command by /bin/sh, which the image lacks.
        ["-v", "/usr/bin:/bin:ro"],
        ["--health-cmd", "test -e /well"],
        ["--health-interval", "1s"],
        ["--health-retries", "1"],
    ];
    let recipe = Recipe { labels: &labels, options: options.as_flattened(), ..Recipe::default() };
    let web = scene.docker.create(&unique("web"), &recipe)?;
    web.start()?;
    let becomes = async |state: &str, detail: &str| {
        let expected = Some((state.to_owned(), detail.to_owned()));
        scene.until(detail, |report| stands(report, &web.name) == expected).await;
    };
    becomes("down", "docker: unhealthy").await;
    let client = zookeeper.client().await?;
    assert_eq!(client.list_children(&scene.records()).await.unwrap_or_default().len(), 0);
    let shell = |line: &str| scene.docker.run(&["exec", &web.id, "/usr/bin/sh", "-c", line]);
    shell("> /well")?;
    becomes("up", "docker healthy").await;
    scene.until_served_by(1).await;
    shell("rm /well")?;
    becomes("down", "docker: unhealthy").await;
    scene.until_registered(&client, 0).await;
    Ok(())
}

#[tokio::test]
async fn a_service_that_hangs_leaves_and_comes_back() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let (hung, other) = (scene.serve("hung")?, scene.serve("other")?);
    scene.until_served_by(2).await;
    let client = zookeeper.client().await?;
    hung.kill("STOP")?;
    let left = |report: &Value| {
        stands(report, &hung.name).is_some_and(|(state, detail)| {
            state == "down" && detail.starts_with("503 ") && detail.contains("1.00s")
        })
    };
    scene.until("it has left", left).await;
    scene.until_registered(&client, 1).await;
    assert_eq!(scene.answering().await, [other.name.clone()].into());
    hung.kill("CONT")?;
    scene.until_served_by(2).await;
    scene.until_registered(&client, 2).await;
    Ok(())
}

/// Longer than every check may take, shorter than the session.
const STOPPED: Duration = Duration::from_secs(3);

#[tokio::test]
async fn an_agent_that_was_stopped_itself_takes_nobody_out() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let services = [scene.serve("first")?, scene.serve("second")?, scene.serve("third")?];
    scene.until_served_by(3).await;
    let client = zookeeper.client().await?;
    let records = async || -> std::result::Result<_, zookeeper_client::Error> {
        let mut found = client.list_children(&scene.records()).await?;
        found.sort();
        Ok(found)
    };
    let before = records().await?;
    let pid = Pid::from_raw(scene.host.agent_pid().ok_or("no agent")?.try_into()?);
    for _ in 0..3 {
        kill(pid, Signal::SIGSTOP)?;
        time::sleep(STOPPED).await;
        kill(pid, Signal::SIGCONT)?;
        let since = |report: &Value| report["uptime_s"].as_u64().unwrap_or_default();
        let woken = since(&scene.status().await?);
        // Every target was asked again.
        scene.until("two rounds have passed", |report| since(report) >= woken + 4).await;
    }
    assert_eq!(records().await?, before, "these are the records of the beginning");
    let report = scene.status().await?;
    for service in &services {
        assert_eq!(states(&report)[&service.name], "up");
    }
    Ok(())
}
