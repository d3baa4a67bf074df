//! Containers in which the kernel really kills processes for want of memory, and who hears of it. Sensu has
//! no package: something listens in its place.

use std::fs;

use end_to_end::{
    Docker, Host, Scene, Sensu, Service,
    docker::{Recipe, unique},
    sensu::{Full, Silent},
};
use serde_json::{Value, json};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// So little that whatever reads without an end is killed at once, and a service runs.
const LITTLE: [&str; 5] = ["-p", "127.0.0.1::8888", "-m", "64m", "--memory-swap=64m"];
const HUNGRY: [&str; 2] = ["/usr/bin/tail", "/dev/zero"];

/// A host whose system configuration names this Sensu, and whose service has a team, and an instance `main`
/// with another one.
fn host(sensu: u16) -> Result<Scene> {
    let (docker, service) = (Docker::local()?, unique("web"));
    let mut host = Host::new("{kind: embedded}")?;
    let proxy = host.namespace(&service, "")?;
    let log = host.path("{service}.log");
    let system = json!({
        "cluster": "test", "sensu_host": "127.0.0.1", "sensu_port": sensu,
        "log_writer": {"driver": "file", "options": {"path_format": log}},
    });
    host.write("paasta/system.json", &system.to_string())?;
    host.write(&format!("soa/{service}/monitoring.yaml"), "team: web\npage: true\n")?;
    let main = "main: {mem: 64, monitoring: {team: search}}\n";
    host.write(&format!("soa/{service}/marathon-test.yaml"), main)?;
    host.write(&format!("soa/{service}/chronos-test.yaml"), "nightly: {mem: 64}\n")?;
    host.start_haproxy()?;
    host.start_agent()?;
    Ok(Scene { host, docker, namespace: format!("{service}.main"), proxy })
}

/// A task of Mesos, by its task id.
fn task(scene: &Scene, id: &str, before: &str) -> Result<Service> {
    let labels = [("MESOS_TASK_ID", id)];
    // Whoever runs a task can write this, so it must not count.
    let env = [("PAASTA_SERVICE", "other"), ("PAASTA_INSTANCE", "main")];
    let recipe =
        Recipe { labels: &labels, env: &env, options: &LITTLE, before, ..Recipe::default() };
    let name = unique("mesos");
    let task = scene.docker.create(&name, &recipe)?;
    task.start()?;
    Ok(task)
}

fn starve(scene: &Scene, task: &Service) {
    let [program, file] = HUNGRY;
    let killed = scene.docker.run(&["exec", &task.id, program, file]);
    assert!(killed.is_err(), "the kernel kills it");
}

#[tokio::test]
async fn the_team_of_the_instance_hears_of_a_process_that_was_killed_for_want_of_memory() -> Result
{
    let sensu = Sensu::start().await?;
    let scene = host(sensu.port)?;
    let service = scene.service().to_owned();
    let main = task(&scene, &format!("{service}.main.gitx.configy.0242"), "")?;
    scene.until_served_by(1).await;
    starve(&scene, &main);
    let name = format!("oom-killer.{service}.main");
    let told = sensu.until("the team hears", |event| event["name"] == name.as_str()).await;
    let output = told["output"].as_str().unwrap_or_default().to_owned();
    assert!(output.starts_with("The Out Of Memory killer killed "), "{output}");
    assert!(output.ends_with(&format!(" in the last minute in {service}.main containers.")));
    let expected = json!({
        "team": "search", "status": 2, "source": "paasta-test", "page": false, "ticket": false,
        "interval": 60, "alert_after": 0, "realert_every": 1, "runbook": "y/check-oom-events",
        "tip": "Try bumping the memory limit past 64MB",
    });
    for (key, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(told[key], *value, "{key}");
    }
    scene.until_served_by(1).await;

    // The container of a job is over before anybody can look at it.
    let job = format!("ct:1522487107000:0:{service} nightly:");
    let _job = task(&scene, &job, "/usr/bin/tail /dev/zero; exit 1")?;
    let name = format!("oom-killer.{service}.nightly");
    let told =
        sensu.until("the team of the job hears", |event| event["name"] == name.as_str()).await;
    assert_eq!((&told["team"], &told["status"]), (&json!("web"), &json!(2)));

    let log = fs::read_to_string(scene.path(&format!("{service}.log")))?;
    let line: Value = serde_json::from_str(log.lines().next().unwrap_or_default())?;
    assert_eq!(
        json!([line["component"], line["level"], line["instance"]]),
        json!(["oom", "event", "main"])
    );
    let said = line["message"].as_str().unwrap_or_default();
    let of = format!(" on host1-test (container_id: {}).", &main.id[..12]);
    assert!(said.starts_with("oom-killer killed ") && said.ends_with(&of), "{said}");
    let (_, metrics) = end_to_end::web::get(scene.admin.number, "/metrics").await?;
    let count = metrics.lines().find_map(|line| line.strip_prefix("smartstack_oom_kills_total "));
    assert!(
        count.is_some_and(|count| count.parse().is_ok_and(|count: u64| count >= 2)),
        "{count:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_storm_of_kills_is_one_event_a_minute() -> Result {
    let sensu = Sensu::start().await?;
    let scene = host(sensu.port)?;
    let main = task(&scene, &format!("{}.main.gitx.configy.0242", scene.service()), "")?;
    scene.until_served_by(1).await;
    starve(&scene, &main);
    sensu.until("the team hears", |_| true).await;
    for _ in 0..5 {
        starve(&scene, &main);
    }
    let counted = |metrics: &str| {
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("smartstack_oom_kills_total "));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
    };
    end_to_end::eventually("all kills are counted", || async {
        let metrics = end_to_end::web::get(scene.admin.number, "/metrics").await;
        let (_, metrics) = metrics.map_err(|error| error.to_string())?;
        if counted(&metrics) >= 6 { Ok(()) } else { Err(counted(&metrics).to_string()) }
    })
    .await;
    assert_eq!(sensu.events().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_sensu_that_is_away_full_or_silent_delays_no_registration() -> Result {
    let (full, silent) = (Full::start().await?, Silent::start().await?);
    let away = end_to_end::ports::Port::free()?;
    for port in [full.port, silent.port, away.number] {
        let scene = host(port)?;
        let service = scene.service().to_owned();
        let mut tasks = Vec::new();
        for count in 1..=3 {
            let id = format!("{service}.main.gitx.configy.0242{count}");
            tasks.push(task(&scene, &id, "/usr/bin/tail /dev/zero")?);
            scene.until_served_by(count).await;
        }
        drop(tasks.pop());
        scene.until_served_by(2).await;
        let told = end_to_end::eventually("the operator reads of it", || async {
            let log = scene.agent_log();
            let lines = log.lines().filter(|line| line.contains("is not told yet"));
            let lines = lines.count();
            if port == silent.port || lines > 0 { Ok(lines) } else { Err(log) }
        });
        assert!(told.await <= 1, "it is told once and not with every kill");
    }
    Ok(())
}
