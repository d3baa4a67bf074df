//! Jobs that run once more.

use end_to_end::chronos::{Event, Fault, Settings};
use serde_json::{Value, json};

use crate::scene::{Scene, hourly, said};

const DATE: &str = "2018-03-14T00:00:00";

fn jobs() -> Value {
    json!({
        "a": {"schedule": "0 3 * * *", "cmd": "a %(shortdate)s"},
        "b": {"parents": ["batch.a"], "cmd": "b %(shortdate-1)s"},
        "c": {"parents": ["batch.a", "batch.b"], "cmd": "c", "disabled": true},
        "other": hourly(),
    })
}

/// The commands of the jobs that are there, by the last word of their names.
fn commands(scene: &Scene) -> Vec<(String, String)> {
    scene.chronos.read(|machine| {
        let command = |(name, job): (&str, &end_to_end::chronos::Job)| {
            let last = name.rsplit(' ').next().unwrap().to_owned();
            (last, job.field("command").unwrap().as_str().unwrap().to_owned())
        };
        machine.jobs().map(command).collect()
    })
}

fn pair(name: &str, command: &str) -> (String, String) {
    (name.to_owned(), command.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_more_for_another_date() {
    let scene = Scene::new().await;
    scene.service("batch", &jobs());
    assert_eq!(scene.run_as("chronos_rerun", &["batch b", DATE]).await, said(""));
    assert_eq!(commands(&scene), [pair("b", "b 2018-03-13")]);
    let name = scene.jobs().remove(0);
    assert!(name.starts_with("tmp-2") && name.ends_with(" batch b"), "{name}");
    assert_eq!(scene.writes(), [("POST".to_owned(), name.clone())]);
    scene.chronos.until("it ran", |machine| machine.job(&name)?.last_success).await;
    // A disabled one only when that is asked for.
    let (_, out, _) = scene.run("rerun", &["batch.c", DATE]).await;
    let idle = out.trim_end().trim_start_matches("created ").to_owned();
    let (_, out, _) = scene.run("rerun", &["batch.c", DATE, "-f"]).await;
    let forced = out.trim_end().trim_start_matches("created ").to_owned();
    scene.chronos.until("it ran", |machine| machine.job(&forced)?.last_success).await;
    scene.chronos.read(|machine| {
        let idle = machine.job(&idle).unwrap();
        assert!(idle.is_disabled() && idle.last_success.is_none());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn all_related_jobs_run_in_their_order() {
    let scene = Scene::with(Settings { speed: 60, ..Settings::default() }).await;
    scene.service("batch", &jobs());
    let mut events = scene.chronos.follow();
    let (code, out, complaint) = scene.run("rerun", &["-a", "-f", "batch.b", DATE]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    let created: Vec<&str> = out.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(created, ["a", "b", "c"]);
    let expected = [pair("a", "a 2018-03-14"), pair("b", "b 2018-03-13"), pair("c", "c")];
    assert_eq!(commands(&scene), expected);
    let name = scene.jobs().remove(2);
    scene
        .chronos
        .until("parents are there", |machine| {
            let parents = machine.job(&name)?.parents();
            (parents.len() == 2 && parents.iter().all(|parent| parent.starts_with("tmp-")))
                .then_some(())
        })
        .await;
    // The first may have run before the others were there; what is started in order goes in order.
    let mut started = Vec::new();
    while let Ok((_, event)) = events.try_recv() {
        if let Event::Created { job } = event {
            started.push(job);
        }
    }
    assert_eq!(started.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_again_says_why_and_creates_nothing_more() {
    let scene = Scene::new().await;
    scene.service("batch", &jobs());
    let (code, _, complaint) = scene.run("rerun", &["batch.gone", DATE]).await;
    assert_eq!(
        (code, complaint.as_str()),
        (1, "error: no job batch.gone stands in soa-configs for this cluster\n")
    );
    let (code, _, complaint) = scene.run("rerun", &["batch.b", "yesterday"]).await;
    assert_eq!(code, 2);
    assert!(complaint.contains("expected a date such as 2018-03-14T00:00:00"), "{complaint}");
    scene.chronos.fault(Fault::status_of_job("POST", "* batch b", 500, "nope").always());
    let (code, out, complaint) = scene.run("rerun", &["-a", "batch.b", DATE]).await;
    assert_eq!((code, out.lines().count()), (1, 1));
    assert!(complaint.contains("answers 500 Internal Server Error: nope"), "{complaint}");
    assert_eq!(scene.jobs().len(), 1);
}
