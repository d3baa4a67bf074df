//! How jobs stand, for people; and acting on them at once.

use std::{fs, time::Duration};

use end_to_end::chronos::{Behaviour, Fault, Script, Settings};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::scene::{Scene, after, hourly};

/// Runs of an hour.
async fn scene() -> Scene {
    let long = Behaviour { takes: Duration::from_secs(3600), fails: false };
    Scene::with(Settings { script: Script::all(long), ..Settings::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_how_jobs_stand() {
    let scene = scene().await;
    let off = json!({"schedule": "0 3 * * *", "cmd": "run", "disabled": true});
    let jobs = json!({"a": hourly(), "b": after(&["batch.a"]), "off": off, "late": hourly()});
    scene.service("batch", &jobs);
    scene.service("new", &json!({"one": hourly()}));
    scene.file("soa/new/deployments.json", r#"{"v1": {}}"#);
    assert_eq!(scene.run("deploy", &["batch.a", "batch.b", "batch.off"]).await.0, 0);
    let rerun = "2018-03-14T00:00:00";
    assert_eq!(scene.run("rerun", &["batch.a", rerun]).await.0, 0);
    let name = scene.jobs().pop().unwrap();
    scene.chronos.until("it runs", |m| m.job(&name)?.is_running().then_some(())).await;
    let ago = Timestamp::now() - SignedDuration::from_hours(49);
    let (code, out, complaint) = scene.run("status", &[]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    let blocks: Vec<&str> = out.split("\n\n").collect();
    let sha = "Git sha:    01234567 (desired)\nDesired:    ";
    let job = |name: &str, state: &str, starts: &str, mesos: &str| {
        format!(
            "Job:     batch {name}\n  Status:   {state}  Last:     New (never)\n  {starts}\n  \
             Command:  run\n  Mesos:    {mesos}"
        )
    };
    let every_hour = "Schedule: R/2030-01-01T00:00:00.000Z/PT1H (UTC) Epsilon: PT60S";
    let first = job("a", "Scheduled (idle)", every_hour, "Not running");
    assert!(
        blocks[0].starts_with(&format!("instance: batch.a\n{sha}Scheduled\n{first}\nJob:     "))
    );
    assert!(blocks[0].contains("batch a (Launched by paasta rerun)\n"), "{out}");
    assert!(blocks[0].ends_with("  Mesos:    Running"), "{out}");
    let second = job("b", "Scheduled (idle)", "Parents:  batch a", "Not running");
    assert_eq!(blocks[1], format!("instance: batch.b\n{sha}Scheduled\n{second}"));
    let missing = "Warning: chronos job is not set up yet";
    assert_eq!(blocks[2], format!("instance: batch.late\n{sha}Scheduled\n{missing}"));
    let nightly = "Schedule: 0 3 * * * (UTC) Epsilon: PT60S";
    let third = job("off", "Not scheduled (idle)", nightly, "Not running");
    assert_eq!(blocks[3], format!("instance: batch.off\n{sha}Disabled\n{third}"));
    assert_eq!(blocks[4], "instance: new.one\nGit sha:    None (not deployed yet)\n");

    scene.chronos.change(|machine| {
        let body: Value = json!({"name": "batch off", "command": "x", "schedule": "0 3 * * *"});
        machine.adopt(&body, None, Some(ago)).unwrap();
    });
    let (code, out, complaint) = scene.run("status", &["batch.off", "batch.gone"]).await;
    assert_eq!(code, 1);
    assert!(out.contains("Last:     Failed (") && out.contains(", 2 days ago)\n"), "{out}");
    let gone = "error: batch.gone: No job named \"gone\" in config file chronos-c1.yaml\n";
    assert_eq!(complaint, gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_started_and_stopped_at_once() {
    let scene = scene().await;
    let off = json!({"schedule": "0 3 * * *", "cmd": "run", "disabled": true});
    scene.service("batch", &json!({"a": hourly(), "b": after(&["batch.a"]), "off": off}));
    let is_running = |name: &str| {
        scene.chronos.read(|machine| machine.job(name).is_some_and(|job| job.is_running()))
    };
    let is_disabled = |name: &str| {
        scene.chronos.read(|machine| machine.job(name).is_none_or(|job| job.is_disabled()))
    };
    let (code, out, _) = scene.run("start", &["batch.a"]).await;
    assert_eq!((code, out.as_str()), (0, "started batch a\n"));
    assert!(is_running("batch a"));
    let (code, out, complaint) = scene.run("start", &["batch.off"]).await;
    let refused = "error: You cannot emergency start a disabled job. Run `paasta start` first.\n";
    assert_eq!((code, out.as_str(), complaint.as_str()), (1, "", refused));
    let refused = scene.run("restart", &["batch.off"]).await;
    assert_eq!((refused.0, scene.jobs()), (1, vec!["batch a".to_owned()]));

    assert_eq!(scene.run("deploy", &["batch.b"]).await.0, 0);
    assert_eq!(scene.run("rerun", &["batch.a", "2018-03-14T00:00:00"]).await.0, 0);
    let rerun = scene.jobs().pop().unwrap();
    scene.chronos.until("it runs", |m| m.job(&rerun)?.is_running().then_some(())).await;
    let (code, out, _) = scene.run("restart", &["batch.a"]).await;
    assert_eq!((code, out.as_str()), (0, "stopped batch a\nstarted batch a\n"));
    assert!(is_running("batch a") && !is_disabled("batch a") && is_running(&rerun));
    let (code, out, _) = scene.run("stop", &["batch.a"]).await;
    assert_eq!((code, out), (0, format!("stopped batch a\nstopped {rerun}\n")));
    assert!(!is_running("batch a") && is_disabled("batch a"));
    assert!(!is_running(&rerun) && is_disabled(&rerun));
    // What it is has not changed, so a pass leaves it stopped; and its child still hangs on it.
    assert_eq!(scene.run("deploy", &["batch.a", "batch.b"]).await.1, "");
    assert!(is_disabled("batch a"));
    assert_eq!(scene.run("stop", &["batch.b"]).await.1, "stopped batch b\n");
    scene.chronos.read(|m| assert_eq!(m.job("batch b").unwrap().parents(), ["batch a"]));
    assert_eq!(scene.run("start", &["batch.a"]).await.0, 0);
    assert!(is_running("batch a") && !is_disabled("batch a"));

    let (code, _, complaint) = scene.run("stop", &["batch.gone"]).await;
    assert_eq!((code, complaint.as_str()), (1, "error: Chronos has no job batch gone\n"));
    scene.chronos.fault(Fault::status_of_job("PUT", "batch a", 500, "nope").always());
    let (code, _, complaint) = scene.run("stop", &["batch.a"]).await;
    assert_eq!(code, 1);
    assert!(complaint.starts_with("error: batch a: http://"), "{complaint}");
    let log = fs::read_to_string(scene.place.path().join("batch.log")).unwrap();
    for line in ["EmergencyStart: batch a runs at once", "EmergencyStop: batch b is disabled, and"]
    {
        assert!(log.contains(line), "{log}");
    }
}
