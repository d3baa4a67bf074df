//! The agent as a service of systemd: ready, watchdog, stopping, exit codes.

use std::{
    collections::BTreeSet, net::TcpListener, os::unix::net::UnixListener, process::Stdio,
    time::Duration,
};

use end_to_end::{
    Host, LocalProcess, ServiceManager, ZooKeeper, docker::unique, eventually, host::program, web,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    process::Command,
    time,
    time::Instant,
};
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// Half of what its systemd unit allows, and far more than a stop takes.
const GRACE: Duration = Duration::from_secs(15);

/// One local process behind a HAProxy and an agent.
struct Scene {
    namespace: String,
    /// Where HAProxy serves the namespace.
    port: u16,
    host: Host,
    process: LocalProcess,
}

impl Scene {
    /// With these settings of the registry; the agent does not run yet.
    fn set(registry: &str) -> Result<Self> {
        let service = unique("web");
        let namespace = format!("{service}.main");
        let mut host = Host::new(registry)?;
        host.settings.push_str("docker: {enabled: false}\n");
        let port = host.namespace(&service, "")?;
        let process = LocalProcess::start(&unique("process"))?;
        host.write("tasks.yaml", &process.entry(&namespace))?;
        host.start_haproxy()?;
        Ok(Self { namespace, port, host, process })
    }

    async fn with_records(zookeeper: &ZooKeeper, on_stop: &str) -> Result<Self> {
        let registry = format!("{{hosts: ['{}'], on_stop: {on_stop}}}", zookeeper.hosts());
        let mut scene = Self::set(&registry)?;
        scene.host.start_agent()?;
        scene.host.until_up(&scene.namespace, 1).await;
        Ok(scene)
    }

    /// The znodes of the namespace, each with the transaction that made it.
    async fn records(&self, client: &Client) -> Result<Vec<(String, i64)>> {
        let mut records = Vec::new();
        for parent in ["/smartstack/global", "/nerve/region:uswest1-test"] {
            let parent = format!("{parent}/{}", self.namespace);
            for child in client.list_children(&parent).await? {
                let (_, stat) = client.get_data(&format!("{parent}/{child}")).await?;
                records.push((child, stat.czxid));
            }
        }
        Ok(records)
    }

    /// SIGTERM ends the agent as it should, whatever is broken around it.
    async fn stops_in_time(&mut self) -> Result {
        let code = time::timeout(GRACE, self.host.stop_agent()).await??;
        assert_eq!(code, Some(0));
        let log = self.host.agent_log();
        assert!(!log.contains("did not stop in time"), "{log}");
        Ok(())
    }
}

#[tokio::test]
async fn ready_is_said_when_the_doors_are_open_and_haproxy_has_its_configuration() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::set(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    // A HAProxy that is not there is not waited for.
    eventually("haproxy answers", || scene.host.haproxy("show info")).await;
    let mut systemd = ServiceManager::listen(&scene.host.path("notify"))?;
    scene.host.start_agent_with(&[systemd.variable()])?;
    assert_eq!(systemd.until("READY=1").await, Vec::<String>::new());

    let (namespace, port) = (&scene.namespace, scene.process.port.number);
    let path = format!("/http/{namespace}/{port}/status");
    assert_eq!(web::get(scene.host.hacheck.number, &path).await?.0, 200);
    let report = scene.host.status().await?;
    let haproxy = &report["haproxy"];
    assert_eq!(haproxy["reachable"], true, "{report:#}");
    assert_eq!(haproxy["fingerprint_running"], haproxy["fingerprint_wanted"], "{report:#}");
    TcpStream::connect(("127.0.0.1", scene.port)).await?;
    let (code, text) = scene.host.command(&["status"]).await?;
    assert_eq!(code, 0, "{text}");
    Ok(())
}

#[tokio::test]
async fn the_watchdog_is_fed_in_time_and_the_status_says_what_is_served() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::set(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let mut systemd = ServiceManager::listen(&scene.host.path("notify"))?;
    let limit = Duration::from_millis(1500);
    let micros = limit.as_micros().to_string();
    scene.host.start_agent_with(&[systemd.variable(), ("WATCHDOG_USEC", &micros)])?;
    systemd.until("READY=1").await;
    systemd.until("STATUS=1 registrations, 2 records, HAProxy reachable").await;
    for _ in 0..5 {
        let fed = Instant::now();
        systemd.until("WATCHDOG=1").await;
        assert!(fed.elapsed() < limit, "systemd would have killed it: {:?}", fed.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn on_sigterm_it_says_stopping_and_its_records_linger_for_the_next_one() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::set(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let mut systemd = ServiceManager::listen(&scene.host.path("notify"))?;
    scene.host.start_agent_with(&[systemd.variable()])?;
    scene.host.until_up(&scene.namespace, 1).await;
    let client = zookeeper.client().await?;
    let records = scene.records(&client).await?;
    assert_eq!(records.len(), 2);
    let picture = scene.host.haproxy_picture().await?;

    scene.stops_in_time().await?;
    systemd.until("STOPPING=1").await;
    assert_eq!(systemd.rest(), Vec::<String>::new(), "nothing follows but the end");
    assert_eq!(scene.records(&client).await?, records);
    assert_eq!(scene.host.haproxy_picture().await?, picture);
    assert_eq!(web::get(scene.port, "/").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn records_that_are_to_be_withdrawn_are_gone_when_it_has_stopped() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::with_records(&zookeeper, "withdraw").await?;
    let client = zookeeper.client().await?;
    assert_eq!(scene.records(&client).await?.len(), 2);
    let picture = scene.host.haproxy_picture().await?;

    scene.stops_in_time().await?;
    assert_eq!(scene.records(&client).await?, Vec::new());
    assert_eq!(scene.host.haproxy_picture().await?, picture, "traffic goes on without the agent");
    assert_eq!(web::get(scene.port, "/").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn dashboards_of_nerve_go_on() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::set(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let statsd = UdpSocket::bind("127.0.0.1:0").await?;
    let (heartbeat, port) = (scene.host.path("nerve/heartbeat"), statsd.local_addr()?.port());
    let settings = format!("statsd: {{port: {port}}}\nheartbeat: {}\n", heartbeat.display());
    scene.host.settings.push_str(&settings);
    scene.host.start_agent()?;
    scene.host.until_up(&scene.namespace, 1).await;

    let task = scene.process.port.number;
    let mut expected = BTreeSet::from([
        "nerve.start:1|c".to_owned(),
        "nerve.watcher.status.transition:1|c|#new_status:up".to_owned(),
        "nerve.watcher.status.report.count:1|c|#report_result:success".to_owned(),
        format!("nerve.watcher.start:1|c|#service_name:{}", scene.namespace),
        format!(
            "nerve.watcher.launch:1|c|#launch_reason:new,watcher_name:{}.{task}",
            scene.namespace
        ),
    ]);
    let mut packet = [0; 2000];
    let heard = async {
        while !expected.is_empty() {
            let length = statsd.recv(&mut packet).await?;
            let text = String::from_utf8_lossy(&packet[..length]).into_owned();
            expected.retain(|line| !text.lines().any(|found| found == line));
        }
        Ok::<_, std::io::Error>(())
    };
    let heard = time::timeout(Duration::from_secs(30), heard).await;
    assert!(heard.is_ok(), "not heard: {expected:?}");
    assert!(heartbeat.exists());
    let (_, text) = web::get(scene.host.admin.number, "/metrics").await?;
    for line in [
        "nerve_watchers_desired 1",
        "nerve_watchers_up 1",
        "nerve_zk_connected{zk_cluster=\"127.0.0.1\"} 1",
        "nerve_watcher_launches_total{reason=\"new\"} 1",
        "nerve_report_results_total{action=\"create\",result=\"success\"} 2",
        "nerve_build_info{version=\"0.1.0\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    Ok(())
}

#[tokio::test]
async fn it_stops_in_time_while_zookeeper_is_wedged() -> Result {
    for on_stop in ["keep", "withdraw"] {
        let zookeeper = ZooKeeper::start().await?;
        let mut scene = Scene::with_records(&zookeeper, on_stop).await?;
        zookeeper.pause()?;
        scene.stops_in_time().await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_stops_in_time_while_zookeeper_is_gone() -> Result {
    for on_stop in ["keep", "withdraw"] {
        let mut zookeeper = ZooKeeper::start().await?;
        let mut scene = Scene::with_records(&zookeeper, on_stop).await?;
        zookeeper.kill().await?;
        scene.host.until("it is missed", |report| report["registry"]["connected"] == false).await;
        scene.stops_in_time().await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_is_ready_and_stops_in_time_where_zookeeper_never_was() -> Result {
    let nobody = end_to_end::ports::Port::free()?;
    let registry = format!("{{hosts: ['127.0.0.1:{}'], on_stop: withdraw}}", nobody.number);
    let mut scene = Scene::set(&registry)?;
    let mut systemd = ServiceManager::listen(&scene.host.path("notify"))?;
    scene.host.start_agent_with(&[systemd.variable()])?;
    systemd.until("READY=1").await;
    scene.stops_in_time().await
}

#[tokio::test]
async fn a_door_that_is_taken_ends_it_with_a_sentence_that_names_the_door() -> Result {
    let mut scene = Scene::set("{kind: embedded}")?;
    for number in [scene.host.hacheck.number, scene.host.admin.number] {
        let _other = TcpListener::bind(("127.0.0.1", number))?;
        scene.host.start_agent()?;
        assert_eq!(scene.host.agent_ended().await?, Some(1));
        let sentence =
            format!("smartstack: cannot listen on 127.0.0.1:{number}: Address already in use");
        let log = scene.host.agent_log();
        assert!(log.lines().last().is_some_and(|line| line.starts_with(&sentence)), "{log}");
    }
    let socket = scene.host.path("agent.sock");
    let _other = UnixListener::bind(&socket)?;
    scene.host.start_agent()?;
    assert_eq!(scene.host.agent_ended().await?, Some(1));
    let sentence =
        format!("smartstack: cannot listen on {}: another agent listens there", socket.display());
    let log = scene.host.agent_log();
    assert_eq!(log.lines().last(), Some(sentence.as_str()));
    Ok(())
}

#[tokio::test]
async fn bad_settings_end_it_with_every_problem_at_once() -> Result {
    let host = Host::new("{kind: embedded}")?;
    let text = "host: {address: here}\n\
                registry:\n  kind: zoo\n  read: v3\n\
                hacheck: {listen: nowhere, cache: 0s}\n\
                guard: {share: 2}\n";
    host.write("bad.yaml", text)?;
    let mut agent = Command::new(program("smartstack"));
    agent.arg("agent").arg("--config").arg(host.path("bad.yaml"));
    agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = time::timeout(GRACE, agent.spawn()?.wait_with_output()).await??;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{text}");
    for problem in [
        "line 1: host.address: `here`",
        "line 3: registry.kind: `zoo`",
        "line 4: registry.read: `v3`",
        "line 5: hacheck.listen: `nowhere`",
        "line 5: hacheck.cache: ",
        "line 6: guard.share: ",
    ] {
        assert!(text.contains(problem), "{problem} is not in:\n{text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_next_agent_takes_the_lingering_records_over() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut scene = Scene::with_records(&zookeeper, "keep").await?;
    let client = zookeeper.client().await?;
    let before = scene.records(&client).await?;
    scene.stops_in_time().await?;
    let deletions = end_to_end::Deletions::watch(&client).await?;
    scene.host.start_agent()?;
    let after = eventually("only new records are left", || async {
        let now = scene.records(&client).await.map_err(|error| error.to_string())?;
        let new = now.len() == before.len() && now.iter().all(|record| !before.contains(record));
        if new { Ok(now) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert!(after.iter().all(|(_, made)| before.iter().all(|(_, earlier)| made > earlier)));
    let deleted = deletions.end().await?;
    let records = deleted.iter().filter(|path| !path.ends_with(&scene.namespace));
    assert_eq!(records.count(), before.len(), "{deleted:?}");
    Ok(())
}
