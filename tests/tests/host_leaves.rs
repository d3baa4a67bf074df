//! A host goes out of service as a whole, as before a shutdown, and single services do by
//! `updown_service`.

use std::{os::unix::fs::symlink, process::Stdio, time::Duration};

use end_to_end::{
    Host, LocalProcess, Scene, Traffic, ZooKeeper,
    docker::unique,
    eventually,
    host::{program, servers, states},
    web,
};
use tokio::{process::Command, time};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// A host in the fleet of `first`, with one process that serves the namespace; its port for clients.
async fn neighbour(first: &Scene, zookeeper: &ZooKeeper) -> Result<(Host, LocalProcess, u16)> {
    let registry = format!("{{hosts: ['{}']}}", zookeeper.hosts());
    let mut host = Host::beside(&first.host, &registry)?;
    host.settings.push_str("docker: {enabled: false}\n");
    let port = host.namespace(first.service(), "")?;
    let process = LocalProcess::start(&unique("process"))?;
    host.write("tasks.yaml", &process.entry(&first.namespace))?;
    host.start_haproxy()?;
    host.start_agent()?;
    Ok((host, process, port))
}

#[tokio::test]
async fn a_host_that_leaves_can_be_shut_down_without_a_failed_request_anywhere() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::on(&zookeeper)?;
    // The other host believes a loss of two servers out of three only at its second look.
    scene.host.kill_agent().await?;
    scene.host.hold = "3s";
    scene.host.start_agent()?;
    let leaving = [scene.serve("first")?, scene.serve("second")?];
    let (other, process, port) = neighbour(&scene, &zookeeper).await?;
    scene.until_served_by(3).await;
    other.until_up(&scene.namespace, 3).await;

    let traffic = [Traffic::on(scene.proxy), Traffic::on(port)];
    let (code, text) = scene.command(&["leave", "--reason", "shutdown"]).await?;
    assert_eq!((code, text.matches("safe to stop").count()), (0, 2), "{text}");
    for container in &leaving {
        assert!(container.is_running()?, "it was told to stop before that was safe");
        container.kill("KILL")?;
    }
    // Whatever asks about this host hears no, also about what another program registers here.
    let (status, body) = web::get(scene.hacheck.number, "/spool/elsewhere.main/1/status").await?;
    assert!(status == 503 && body.contains("the host leaves: shutdown"), "{status} {body}");
    other.until_up(&scene.namespace, 1).await;
    for traffic in traffic {
        let outcome = traffic.outcome().await?;
        assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    }

    let late = scene.serve("late")?;
    scene.host.kill_agent().await?;
    scene.host.start_agent()?;
    let told = |report: &serde_json::Value| {
        states(report).get(&late.name).is_some_and(|state| state == "leaving")
    };
    scene.until("the next agent keeps the host out", told).await;
    let client = zookeeper.client().await?;
    assert_eq!(client.list_children(&scene.records()).await?.len(), 1);
    let (code, text) = scene.command(&["return"]).await?;
    assert_eq!(code, 0, "{text}");
    scene.until_served_by(2).await;
    other.until_up(&scene.namespace, 2).await;
    drop(process);
    Ok(())
}

/// `updown_service` as the link of that name, with these arguments; exit code and what it said.
async fn updown_service(scene: &Scene, arguments: &[&str]) -> Result<(i32, String)> {
    let link = scene.path("updown_service");
    if !link.exists() {
        symlink(program("smartstack"), &link)?;
    }
    let mut command = Command::new(link);
    command.env("SMARTSTACK_SOCKET", scene.path("agent.sock")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.kill_on_drop(true).spawn()?;
    let output = time::timeout(Duration::from_secs(60), child.wait_with_output()).await??;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((output.status.code().unwrap_or(-1), text))
}

#[tokio::test]
async fn a_service_goes_down_and_up_and_both_are_waited_for() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let scene = Scene::on(&zookeeper)?;
    let container = scene.serve("web")?;
    scene.until_served_by(1).await;
    let client = zookeeper.client().await?;

    let down = ["down", &scene.namespace, "--wait", "--settle", "0", "--reason", "by hand"];
    let (code, text) = scene.command(&down).await?;
    assert_eq!(code, 0, "{text}");
    assert_eq!(client.list_children(&scene.records()).await?.len(), 0);
    let spool = format!("/spool/{}/{}/status", scene.namespace, container.port()?);
    let (status, body) = web::get(scene.hacheck.number, &spool).await?;
    assert!(status == 503 && body.contains("by hand"), "{status} {body}");
    let report = scene.status().await?;
    let up = servers(&report, &scene.namespace).into_iter().filter(|(_, s)| s.starts_with("UP"));
    assert_eq!(up.count(), 0, "{report:#}");
    assert!(scene.path(&format!("spool/{}", scene.namespace)).exists(), "as hadown writes it");

    let target = format!("{}:{}", scene.namespace, container.port()?);
    let (code, text) = updown_service(&scene, &["-t", "1", "-w", "0", "-x", &target, "up"]).await?;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("given up after 1 s"), "{text}");
    let (code, text) = updown_service(&scene, &["-w", "0", &scene.namespace, "up"]).await?;
    assert_eq!(code, 0, "{text}");
    scene.until_served_by(1).await;
    scene.until_registered(&client, 1).await;
    Ok(())
}

#[tokio::test]
async fn updown_knows_what_is_not_its_business() -> Result {
    let scene = Scene::embedded()?;
    let _container = scene.serve("web")?;
    scene.until_served_by(1).await;
    let (code, text) = updown_service(&scene, &["nobody.main", "down"]).await?;
    assert!(code == 0 && text.contains("nobody.main is not in soa-configs"), "{code} {text}");
    let (code, text) = updown_service(&scene, &["nobody", "down"]).await?;
    assert!(code == 1 && text.contains("SERVICE.NAMESPACE[:PORT]"), "{code} {text}");
    let (code, text) = updown_service(&scene, &[&scene.namespace, "sideways"]).await?;
    assert!(code == 64 && text.contains("sideways"), "{code} {text}");

    scene.write(&format!("soa/{}/service.yaml", scene.service()), "no_updown_service: true\n")?;
    let (code, text) = updown_service(&scene, &[&scene.namespace, "down"]).await?;
    assert!(code == 0 && text.contains("no_updown_service is set"), "{code} {text}");
    scene.until_served_by(1).await;
    Ok(())
}

#[tokio::test]
async fn on_a_host_that_is_down_as_a_whole_a_service_is_up_when_it_answers() -> Result {
    let scene = Scene::embedded()?;
    let _container = scene.serve("web")?;
    scene.until_served_by(1).await;
    scene.write("spool/all", r#"{"reason": "maintenance"}"#)?;
    eventually("the host is down", || async {
        let (status, _) = web::get(scene.hacheck.number, "/spool/x.main/1/status").await?;
        if status == 503 { Ok(()) } else { Err(web::Error::from(status.to_string())) }
    })
    .await;
    let (code, text) = updown_service(&scene, &["-w", "0", &scene.namespace, "up"]).await?;
    assert_eq!(code, 0, "{text}");
    Ok(())
}
