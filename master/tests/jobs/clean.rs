//! What is removed, and what is not.

use std::fs;

use end_to_end::chronos::Fault;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::scene::{Scene, hourly, said};

const REMOVED: &str = "This instance was removed and is no longer supposed to be scheduled.";

/// A job past the interface. `parent`: it has one.
fn adopt(scene: &Scene, name: &str, description: &str, parent: Option<&str>, days: Option<i64>) {
    let mut body = json!({"name": name, "command": "x", "description": description});
    match parent {
        Some(parent) => body["parents"] = json!([parent]),
        None => body["schedule"] = json!("R/2030-01-01T00:00:00Z/PT1H"),
    }
    let ran = days.map(|days| Timestamp::now() - SignedDuration::from_hours(24 * days));
    scene.chronos.change(|machine| machine.adopt(&body, ran, None).unwrap());
}

const MADE: &str = "config01234567";

async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.service("batch", &json!({"a": hourly(), "b": hourly()}));
    for (name, description, days) in [
        ("batch a", MADE, None),
        ("batch b", MADE, None),
        ("batch old", MADE, None),
        ("weird", MADE, None),
        ("my own", "by hand", None),
        ("tmp-1 batch a", MADE, Some(2)),
        ("tmp-2 batch a", MADE, Some(0)),
        ("tmp-3 batch a", MADE, None),
    ] {
        adopt(&scene, name, description, None, days);
    }
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn what_paasta_made_and_nobody_asks_for_goes() {
    let scene = scene().await;
    let foreign = "error: my own is no job that PaaSTA made; it is left alone\n\
        error: weird is no job that PaaSTA made; it is left alone\n";
    let lines = "would remove tmp-1 batch a\nwould remove batch old\n";
    let (code, out, complaint) = scene.run("cleanup", &["--dry-run"]).await;
    assert_eq!((code, out.as_str(), complaint.as_str()), (0, lines, foreign));
    assert_eq!(scene.writes(), []);
    let (code, out, _) = scene.run("cleanup", &[]).await;
    assert_eq!((code, out.as_str()), (0, "removed tmp-1 batch a\nremoved batch old\n"));
    let calls: Vec<String> =
        scene.calls().into_iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(
        calls[1..],
        [
            "DELETE /scheduler/task/kill/tmp-1%20batch%20a",
            "DELETE /scheduler/task/kill/batch%20old",
            "DELETE /scheduler/job/tmp-1%20batch%20a",
            "DELETE /scheduler/job/batch%20old",
        ]
    );
    let kept = ["batch a", "batch b", "my own", "tmp-2 batch a", "tmp-3 batch a", "weird"];
    assert_eq!(scene.jobs(), kept);
    // `batch.a` stays, so nothing is told of it though a rerun of it went: its alarm is not over.
    let told = ("check_chronos_jobs.batch.old".to_owned(), 0, REMOVED.to_owned());
    assert_eq!(scene.sensu.told(1).await, [told]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_command_speaks_as_it_did_and_removes_the_rest_where_that_is_asked_for() {
    let scene = scene().await;
    let fault = Fault::status_of_job("DELETE", "batch old", 500, "nope").always();
    scene.chronos.fault(fault);
    let (code, out, _) = scene.run_as("cleanup_chronos_jobs", &[]).await;
    let expected = "Successfully Removed Tasks (if any were running) for:\n  tmp-1 batch a\n\
        Failed to Delete Tasks for:\n  batch old\n\
        Successfully Removed Jobs:\n  tmp-1 batch a\nFailed to Delete Jobs:\n  batch old\n";
    assert_eq!((code, out.as_str()), (1, expected));
    scene.chronos.clear_faults();
    let (code, _, complaint) = scene.run_as("cleanup_chronos_jobs", &["--as-before"]).await;
    assert_eq!(code, 1);
    assert!(complaint.starts_with("error: 3 of 5 jobs are of no instance"), "{complaint}");
    let (code, _, _) = scene.run_as("cleanup_chronos_jobs", &["--as-before", "--force"]).await;
    assert_eq!(code, 0);
    assert_eq!(scene.jobs(), ["batch a", "batch b", "tmp-2 batch a", "tmp-3 batch a"]);
    let nothing = said("No Chronos Jobs to remove\n");
    assert_eq!(scene.run_as("cleanup_chronos_jobs", &[]).await, nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_checkout_and_files_that_nobody_can_read_remove_nothing() {
    let scene = scene().await;
    scene.file("soa/batch/chronos-c1.yaml", "a: {\n");
    assert_eq!(scene.run("cleanup", &["-t", "1"]).await.1, "");
    fs::remove_file(scene.place.path().join("soa/batch/chronos-c1.yaml")).unwrap();
    let (code, out, complaint) = scene.run("cleanup", &[]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        complaint.contains("error: 3 of 3 jobs are of no instance in soa-configs"),
        "{complaint}"
    );
    assert_eq!(scene.writes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_parent_goes_when_its_children_have_their_new_one() {
    let scene = Scene::new().await;
    let jobs = |parent: &str| -> Value {
        let child = json!({"parents": [format!("batch.{parent}")], "cmd": "run"});
        json!({parent: hourly(), "child": child})
    };
    scene.service("batch", &jobs("before"));
    assert_eq!(scene.run("deploy", &[]).await.0, 0);
    scene.service("batch", &jobs("later"));
    // The child still hangs on the old name: Chronos would give it that one's schedule.
    let (code, out, complaint) = scene.run("cleanup", &[]).await;
    assert_eq!((code, out.as_str()), (0, ""));
    let left = "error: batch before is nobody's, but a parent of batch child; it is left alone\n";
    assert_eq!(complaint, left);
    let moved = "created batch later\nupdated batch child\n";
    assert_eq!(scene.run("deploy", &[]).await, said(moved));
    assert_eq!(scene.run("cleanup", &[]).await, said("removed batch before\n"));
    assert_eq!(scene.jobs(), ["batch child", "batch later"]);
}
