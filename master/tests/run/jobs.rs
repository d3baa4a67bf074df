//! Chronos under the daemon.

use end_to_end::{chronos::Fault, web};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::scene::Scene;

impl Scene {
    /// The jobs of a service, all of them deployed.
    fn jobs(&self, service: &str, jobs: &Value) {
        let image = json!({"docker_image": "services-batch:paasta-0123456789abcdef"});
        let deployed = jobs.as_object().unwrap().keys();
        let deployed = deployed.map(|job| (format!("{service}:paasta-c1.{job}"), image.clone()));
        let deployed: serde_json::Map<String, Value> = deployed.collect();
        let file = |name: &str, value: Value| {
            self.place.file(&format!("soa/{service}/{name}"), &value.to_string()).unwrap();
        };
        file("chronos-c1.yaml", jobs.clone());
        file("deployments.json", json!({"v1": deployed}));
    }

    /// Chronos has exactly these jobs.
    async fn until_jobs(&self, names: &[&str]) {
        let what = format!("Chronos has {names:?}");
        self.chronos
            .until(&what, |machine| {
                let mut here: Vec<&str> = machine.jobs().map(|(name, _)| name).collect();
                here.sort_unstable();
                (here == names).then_some(())
            })
            .await;
    }

    fn writes(&self) -> usize {
        self.chronos.calls().iter().filter(|call| call.is_write()).count()
    }
}

fn hourly(cmd: &str) -> Value {
    json!({"schedule": "R/2030-01-01T00:00:00Z/PT1H", "cmd": cmd})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_jobs_is_written_at_once_and_what_is_gone_leaves() {
    let scene = Scene::new().await;
    let child = json!({"parents": ["batch.a"], "cmd": "b"});
    scene.jobs("batch", &json!({"a": hourly("a"), "b": child, "c": hourly("c")}));
    let daemon = scene.daemon_with(&["--chronos-every", "3600"]);
    scene.until_jobs(&["batch a", "batch b", "batch c"]).await;
    let rests = |rounds: u64| move |s: &Value| s["chronos"]["rounds"] == rounds;
    let status = daemon.until("a round is over", rests(1)).await;
    let chronos = &status["chronos"];
    assert_eq!((&chronos["written"], &chronos["jobs"]), (&json!(3), &json!(0)));
    assert_eq!((&chronos["complaints"], &chronos["failures"]), (&json!([]), &json!(0)));

    scene.jobs("batch", &json!({"a": hourly("other"), "b": child}));
    scene.until_jobs(&["batch a", "batch b"]).await;
    let command = scene.chronos.read(|machine| {
        machine.job("batch a").unwrap().field("command").unwrap().as_str().unwrap().to_owned()
    });
    assert_eq!(command, "other");
    let status = daemon.until("another round is over", rests(2)).await;
    assert_eq!(
        (&status["chronos"]["written"], &status["chronos"]["removed"]),
        (&json!(4), &json!(1))
    );
    let (_, metrics) = web::get(daemon.port.number, "/metrics").await.unwrap();
    for line in ["chronos_rounds_total 2", "chronos_written_total 4", "chronos_removed_total 1"] {
        assert!(metrics.contains(&format!("paasta_master_{line}\n")), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_job_a_refusal_and_too_many_removals_are_told_and_stop_nothing_else() {
    let scene = Scene::new().await;
    let refusal = Fault::status_of_job("PUT", "batch b", 500, "no");
    scene.chronos.fault(refusal.always());
    scene.jobs(
        "batch",
        &json!({"a": hourly("a"), "b": hourly("b"), "bad": {"schedule": "x", "cmd": "y"}}),
    );
    scene.want("web", "{instances: 1}", "1111111111111111");
    let daemon = scene.daemon_with(&["--chronos-every", "1"]);
    scene.until_jobs(&["batch a"]).await;
    scene.until_runs("web", "1111111111111111").await;
    let told = |name: &'static str| {
        move |status: &Value| {
            let complaints = status["chronos"]["complaints"].as_array();
            let mut lines = complaints.into_iter().flatten().filter_map(Value::as_str);
            lines.any(|line| line.starts_with(name))
        }
    };
    daemon.until("the broken job is told", told("batch.bad: ")).await;
    daemon.until("the refusal is told", told("batch.b: ")).await;
    scene.chronos.clear_faults();
    scene.until_jobs(&["batch a", "batch b"]).await;
    // An empty checkout removes nothing.
    scene.jobs("batch", &json!({}));
    daemon.until("it is refused", told("2 of 2 jobs are of no instance")).await;
    scene.until_jobs(&["batch a", "batch b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_leads_writes_and_a_chronos_that_is_away_is_one_line() {
    let mut scene = Scene::new().await;
    let mut first = scene.daemon_with(&["--chronos-every", "1"]);
    first.until("the first one leads", |status| status["leads"] == true).await;
    let second = scene.daemon_with(&["--chronos-every", "1"]);
    let waits = |status: &Value| status["leads"] == false && status["chronos"].is_null();
    second.until("the second one waits", waits).await;
    scene.jobs("batch", &json!({"a": hourly("a")}));
    scene.until_jobs(&["batch a"]).await;
    scene.chronos.die().await;
    let away = |status: &Value| {
        let complaints = status["chronos"]["complaints"].as_array().unwrap();
        complaints.len() == 1 && complaints[0].as_str().unwrap().contains("No remaining Chronos")
    };
    first.until("it is told", away).await;
    scene.want("web", "{instances: 1}", "1111111111111111");
    scene.until_runs("web", "1111111111111111").await;
    scene.chronos.revive().await.unwrap();
    first.until("it is back", |status| status["chronos"]["complaints"] == json!([])).await;
    let writes = scene.writes();
    let pid = Pid::from_raw(first.child.id().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    first.child.wait().await.unwrap();
    second
        .until("the second one makes rounds", |status| {
            status["chronos"]["rounds"].as_u64() > Some(1)
        })
        .await;
    assert_eq!(scene.writes(), writes, "nothing has changed");
    scene.jobs("batch", &json!({"a": hourly("a"), "b": hourly("b")}));
    scene.until_jobs(&["batch a", "batch b"]).await;
}
