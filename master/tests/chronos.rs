//! `paasta-master chronos`, with a simulated Chronos.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use end_to_end::{
    Place,
    chronos::{Chronos, Settings},
    place::Ended,
};
use serde_json::{Value, json};

struct Scene {
    place: Place,
    chronos: Chronos,
}

impl Scene {
    /// A service `batch` with these jobs, each with an image.
    async fn new(jobs: &[(&str, &str)]) -> Self {
        let chronos = Chronos::start(Settings::default()).await.unwrap();
        let place = Place::new().unwrap();
        let system = json!({
            "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
            "sensu_host": null, "log_writer": {"driver": "null"},
            "chronos_config": {"url": [chronos.url()], "user": "u", "password": "p"},
        });
        place.file("etc/all.json", &system.to_string()).unwrap();
        let scene = Self { place, chronos };
        scene.want(jobs);
        scene
    }

    fn want(&self, jobs: &[(&str, &str)]) {
        let lines: String = jobs.iter().map(|(name, job)| format!("{name}: {job}\n")).collect();
        self.place.file("soa/batch/chronos-c1.yaml", &lines).unwrap();
        let image = json!({"docker_image": "services-batch:paasta-0123456789abcdef"});
        let branch = |name: &str| (format!("batch:paasta-c1.{name}"), image.clone());
        let v1: serde_json::Map<String, Value> =
            jobs.iter().map(|(name, _)| branch(name)).collect();
        self.place.file("soa/batch/deployments.json", &json!({"v1": v1}).to_string()).unwrap();
    }

    async fn run(&self, words: &[&str]) -> Ended {
        let all: Vec<&str> = ["chronos"].iter().chain(words).copied().collect();
        self.place.run(env!("CARGO_BIN_EXE_paasta-master"), &all).await.unwrap()
    }

    fn jobs(&self) -> Vec<String> {
        self.chronos.read(|machine| machine.jobs().map(|(name, _)| name.to_owned()).collect())
    }

    fn writes(&self) -> usize {
        self.chronos.calls().iter().filter(|call| call.is_write()).count()
    }
}

const HOURLY: &str = "{schedule: R/2015-01-01T00:00:00Z/PT1H, cmd: run}";

#[tokio::test(flavor = "multi_thread")]
async fn jobs_follow_soa_configs_parents_first_and_are_left_alone_when_nothing_changes() {
    let child = "{parents: [batch.zz_parent], cmd: run}";
    let scene = Scene::new(&[("child", child), ("zz_parent", HOURLY)]).await;
    let (code, _, complaints) = scene.run(&["deploy", "-d", "soa"]).await;
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert_eq!((scene.jobs().len(), scene.writes()), (2, 2));
    scene.chronos.forget_calls();
    let (code, _, complaints) = scene.run(&["deploy", "-d", "soa"]).await;
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert_eq!((scene.chronos.calls().len(), scene.writes()), (1, 0));
    let (code, listed, _) = scene.run(&["list", "-d", "soa"]).await;
    assert_eq!((code, listed.as_str()), (0, "batch.child\nbatch.zz_parent\n"));
    scene.want(&[("zz_parent", HOURLY)]);
    let (code, _, complaints) = scene.run(&["cleanup", "-d", "soa"]).await;
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert_eq!(scene.jobs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chronos_that_does_not_answer_is_one_line() {
    let mut scene = Scene::new(&[("main", HOURLY)]).await;
    scene.chronos.die().await;
    let (code, _, complaints) = scene.run(&["deploy", "-d", "soa"]).await;
    assert_eq!((code, complaints.lines().count()), (1, 1), "{complaints}");
}
