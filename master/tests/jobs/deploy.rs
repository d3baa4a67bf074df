//! What a pass writes and tells.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::scene::{Scene, after, hourly, said};

const FINE: &str = "All chronos bouncing tasks finished.";

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_written_when_they_are_new_or_changed_and_keep_what_chronos_remembers() {
    let scene = Scene::new().await;
    scene.service("batch", &json!({"b": after(&["batch.a"]), "a": hourly(), "_t": {}}));
    let seen = "would create batch a\nwould create batch b\n";
    assert_eq!(scene.run("deploy", &["--dry-run"]).await, said(seen));
    assert_eq!(scene.writes(), []);
    assert_eq!(scene.run("deploy", &[]).await, said("created batch a\ncreated batch b\n"));
    let put = |job: &str| ("PUT".to_owned(), job.to_owned());
    assert_eq!(scene.writes(), [put("batch a"), put("batch b")]);
    let fine = |job: &str| (format!("setup_chronos_job.batch.{job}"), 0, FINE.to_owned());
    assert_eq!(scene.sensu.told(2).await, [fine("a"), fine("b")]);
    let log = scene.log("batch");
    assert!(
        log[0].0 == "debug" && log[0].1.starts_with("Job to update: {\"arguments\""),
        "{log:?}"
    );
    assert_eq!(log[1], ("event".to_owned(), "Updated Chronos job: batch a".to_owned()));

    let success = "2018-03-14T08:00:11Z".parse().unwrap();
    scene.chronos.change(|machine| {
        let body: Value = machine
            .job("batch a")
            .map(|job| {
                json!({
                    "name": "batch a", "command": "x", "schedule": job.field("schedule"),
                    "description": job.field("description"),
                })
            })
            .unwrap();
        machine.adopt(&body, Some(success), None).unwrap();
    });
    assert_eq!(scene.run("deploy", &[]).await, said(""));
    assert_eq!(scene.writes(), []);
    scene.service(
        "batch",
        &json!({"b": after(&["batch.a"]), "a": {
        "schedule": "R/2030-01-01T00:00:00Z/PT1H", "cmd": "run again"}}),
    );
    assert_eq!(scene.run("deploy", &["batch.a"]).await, said("updated batch a\n"));
    scene.chronos.read(|machine| {
        let job = machine.job("batch a").unwrap();
        assert_eq!((job.last_success, job.successes), (Some(success), 1));
        assert_eq!(job.field("command"), Some(&json!("run again")));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_new_jobs_come_after_their_parents_and_then_nothing_is_written() {
    let scene = Scene::new().await;
    // Each job has two parents among those before it, of other services, too.
    let parent = |at: usize| format!("batch{}.j{:03}", at % 10, at / 10);
    for service in 0..10 {
        let jobs: serde_json::Map<String, Value> = (0..100)
            .map(|job| {
                let at = job * 10 + service;
                let parents = [at / 2, (at * 7 + 3) % at.max(1)];
                let body = if at == 0 {
                    hourly()
                } else {
                    let mut parents: Vec<String> = parents.iter().map(|p| parent(*p)).collect();
                    parents.sort();
                    parents.dedup();
                    json!({"parents": parents, "cmd": "run"})
                };
                (format!("j{job:03}"), body)
            })
            .collect();
        scene.service(&format!("batch{service}"), &Value::Object(jobs));
    }
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 1000);
    let calls = scene.calls();
    assert_eq!(calls.iter().filter(|call| !call.is_write()).count(), 1);
    let writes: Vec<_> = calls.iter().filter(|call| call.is_write()).collect();
    assert_eq!(writes.len(), 1000);
    let place: HashMap<String, usize> =
        writes.iter().enumerate().map(|(at, call)| (call.job(), at)).collect();
    for (at, call) in writes.iter().enumerate() {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        for parent in body["parents"].as_array().into_iter().flatten() {
            assert!(place[parent.as_str().unwrap()] < at, "{body}");
        }
    }
    assert_eq!(scene.jobs().len(), 1000);
    assert_eq!(scene.sensu.events(1000).await.len(), 1000);

    assert_eq!(scene.run("deploy", &[]).await, said(""));
    let paths: Vec<String> = scene.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/scheduler/jobs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deployed_is_told_to_its_team_and_everything_else_goes_on() {
    let scene = Scene::new().await;
    scene.service(
        "batch",
        &json!({
            "a": hourly(),
            "bad": {"schedule": "R//PT1H", "cmd": "run"},
            "x": after(&["batch.y"]), "y": after(&["batch.x"]),
            "z": after(&["batch.gone"]),
            "mars": {"schedule": "0 3 * * *", "schedule_time_zone": "Mars/Olympus", "cmd": "run"},
        }),
    );
    scene.service("other", &json!({"new": hourly()}));
    scene.file("soa/other/deployments.json", r#"{"v1": {}}"#);
    scene.file("soa/broken/chronos-c1.yaml", "a: {\n");
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.as_str()), (1, "created batch a\n"));
    let circle = "its parents form a circle: batch.y -> batch.x -> batch.y";
    let no_start = "The specified schedule \"R//PT1H\" does not contain a start time";
    for line in [
        format!("error: batch.bad: {no_start}\n"),
        format!("error: batch.x: {circle}\n"),
        "error: batch.z: Chronos does not have its parents: batch.gone\n".to_owned(),
        "error: other.new: Docker url not available because there is no docker_image\n".to_owned(),
    ] {
        assert!(complaint.contains(&line), "{line}{complaint}");
    }
    assert!(complaint.contains("batch.mars: http://127.0.0.1:"), "{complaint}");
    assert!(
        complaint.contains("answers 422 Unprocessable Entity: the scheduled job has"),
        "{complaint}"
    );
    assert!(complaint.contains("chronos-c1.yaml"), "{complaint}");
    let told = scene.sensu.told(7).await;
    let critical = |job: &str, text: String| (format!("setup_chronos_job.{job}"), 2, text);
    let unset =
        |job: &str, why: &str| critical(job, format!("{job} is not set up in Chronos: {why}"));
    assert_eq!(told[0], ("setup_chronos_job.batch.a".to_owned(), 0, FINE.to_owned()));
    assert_eq!(told[1], unset("batch.bad", no_start));
    assert_eq!(told[3..5], [unset("batch.x", circle), unset("batch.y", circle)]);
    let undeployed = "No deployment found for other.new in cluster c1. Has Jenkins run for it?";
    assert_eq!(told[6], critical("other.new", undeployed.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_commands_take_their_flags_and_end_as_they_did() {
    let scene = Scene::new().await;
    scene.service("batch", &json!({"a": hourly(), "b": after(&["batch.a"])}));
    assert_eq!(scene.run_as("setup_chronos_job", &["batch.a"]).await, said(""));
    assert_eq!(scene.jobs(), ["batch a"]);
    let (code, _, complaint) = scene.run_as("paasta_setup_chronos_job", &["batch"]).await;
    assert_eq!(code, 1);
    assert!(complaint.starts_with("error: Invalid service instance"), "{complaint}");
    let (code, _, complaint) = scene.run_as("setup_chronos_job", &["batch.gone", "-v"]).await;
    assert_eq!(code, 0, "{complaint}");
    let told = scene.sensu.events(2).await;
    assert_eq!(
        told[1]["output"],
        "Could not read chronos configuration file for batch.gone in cluster \
        c1\nError was: No job named \"gone\" in config file chronos-c1.yaml"
    );
    let pace = json!([told[1]["interval"], told[1]["alert_after"], told[1]["status"]]);
    assert_eq!(pace, json!([10, 600, 2]));
    assert_eq!(scene.run_as("deploy_chronos_jobs", &["-v"]).await, said("created batch b\n"));
    assert_eq!(scene.run_as("list_chronos_jobs", &[]).await, said("batch.a\nbatch.b\n"));
    assert_eq!(scene.run_as("list_chronos_jobs", &["-c", "c2"]).await, said(""));
    assert_eq!(scene.run("list", &[]).await, said("batch.a\nbatch.b\n"));
}
