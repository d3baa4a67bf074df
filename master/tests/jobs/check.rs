//! What people hear of the runs of their jobs.

use std::time::Duration;

use end_to_end::{
    chronos::{Behaviour, Script, Settings},
    eventually,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::scene::{Scene, hourly, said};

fn ago(minutes: i64) -> Option<Timestamp> {
    Some(Timestamp::now() - SignedDuration::from_mins(minutes))
}

fn adopt(scene: &Scene, name: &str, success: Option<Timestamp>, failure: Option<Timestamp>) {
    let body = json!({"name": name, "command": "x", "schedule": "R/2030-01-01T00:00:00Z/PT1H"});
    scene.chronos.change(|machine| machine.adopt(&body, success, failure).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_told_by_its_last_run_or_its_absence() {
    let scene = Scene::new().await;
    let disabled = json!({"schedule": "0 3 * * *", "cmd": "run", "disabled": true});
    scene.service("batch", &json!({
        "good": hourly(), "bad": hourly(), "mended": hourly(), "fresh": hourly(), "missing": hourly(),
        "off": disabled, "stuck": hourly(),
    }));
    scene.file("soa/none/chronos-c1.yaml", "job: {schedule: '0 3 * * *', cmd: run}\n");
    adopt(&scene, "batch good", ago(5), ago(6));
    adopt(&scene, "batch bad", ago(65), ago(5));
    adopt(&scene, "batch mended", None, ago(10));
    adopt(&scene, "tmp-2018-03-14T090507 batch mended", ago(1), None);
    adopt(&scene, "batch fresh", None, None);
    adopt(&scene, "batch stuck", ago(130), None);
    let (code, out, complaint) = scene.run("check", &["--dry-run"]).await;
    assert_eq!((code, out.lines().count(), complaint.as_str()), (0, 6, ""));
    let told = scene.run_as("check_chronos_jobs", &[]).await;
    assert_eq!(told, said(""));
    let events = scene.sensu.told(6).await;
    let brief: Vec<(&str, u64)> =
        events.iter().map(|told| (told.0.rsplit('.').next().unwrap(), told.1)).collect();
    let expected =
        [("bad", 2), ("good", 0), ("mended", 0), ("missing", 1), ("off", 0), ("stuck", 2)];
    assert_eq!(brief, expected);
    assert!(events[5].2.contains("hasn't run since"), "{}", events[5].2);
    let asked: Vec<String> = scene.calls().into_iter().map(|call| call.path).collect();
    let once = ["/scheduler/jobs", "/scheduler/job/stat/batch%20stuck"];
    assert_eq!(asked, [once, once].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_usually_runs_long_is_not_stuck_while_it_does() {
    // Its runs take 100 minutes, which pass in a second or so.
    let long = Behaviour { takes: Duration::from_secs(6000), fails: false };
    let from = Timestamp::now() - SignedDuration::from_hours(24);
    let settings = Settings {
        script: Script::all(long),
        speed: 6000,
        from: Some(from),
        ..Settings::default()
    };
    let scene = Scene::with(settings).await;
    scene.service("batch", &json!({"long": hourly()}));
    let body = json!({"name": "batch long", "command": "x", "schedule": "R1//PT1H"});
    scene.chronos.change(|machine| machine.adopt(&body, None, None).unwrap());
    scene.chronos.until("it ran", |machine| machine.job("batch long")?.last_success).await;
    scene.chronos.set_script(Script::default());
    // 130 minutes ago: with an interval of one hour and runs of 100 minutes that is well.
    let status = async |minutes: i64| {
        scene.chronos.change(|machine| {
            let body: Value = json!({"name": "batch long", "command": "x",
                "schedule": "R/2030-01-01T00:00:00Z/PT1H"});
            machine.adopt(&body, ago(minutes), None).unwrap();
        });
        assert_eq!(scene.run("check", &[]).await.0, 0);
        scene.sensu.told(1).await[0].1
    };
    assert_eq!(status(130).await, 0);
    assert_eq!(status(170).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_fires_is_heard_of() {
    let bad = Behaviour { fails: true, ..Behaviour::default() };
    let script = Script::default().with("batch bad", bad);
    let scene = Scene::with(Settings { script, speed: 600, ..Settings::default() }).await;
    let every_minute = json!({"schedule": "* * * * *", "cmd": "run", "retries": 0});
    scene.service("batch", &json!({"good": every_minute, "bad": every_minute}));
    assert_eq!(scene.run("deploy", &[]).await.0, 0);
    scene.sensu.events(2).await;
    scene.chronos.until("both ran", |machine| machine.job("batch good")?.last_success).await;
    scene.chronos.until("both ran", |machine| machine.job("batch bad")?.last_error).await;
    assert_eq!(scene.run("check", &[]).await.0, 0);
    let told = scene.sensu.told(2).await;
    assert_eq!((told[0].1, told[0].2.as_str()), (2, "Last run of job batch.bad failed."));
    assert_eq!((told[1].1, told[1].2.as_str()), (0, "Last run of job batch.good Succeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chronos_that_is_gone_one_event_tells() {
    let mut scene = Scene::new().await;
    scene.service("batch", &json!({"a": hourly(), "b": hourly()}));
    scene.chronos.die().await;
    let (code, out, complaint) = scene.run_as("check_chronos_jobs", &[]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        complaint.starts_with("error: CRITICAL: No remaining Chronos servers to try"),
        "{complaint}"
    );
    let (code, _, _) = scene.run("check", &["--team", "infra"]).await;
    assert_eq!(code, 1);
    let told = scene.sensu.events(1).await;
    let brief = json!([told[0]["name"], told[0]["status"], told[0]["team"]]);
    assert_eq!(brief, json!(["chronos.c1", 2, "infra"]));
    scene.chronos.revive().await.unwrap();
    eventually("it answers again", async || {
        let ended = scene.run("check", &["--team", "infra"]).await;
        if ended.0 == 0 { Ok(()) } else { Err(ended) }
    })
    .await;
    let told = scene.sensu.told(3).await;
    assert_eq!(told[2], ("chronos.c1".to_owned(), 0, "Chronos answers; it has 0 jobs.".to_owned()));
}
