//! Chronos out of order: one clear line, everything else goes on, and the next pass converges.

use std::time::Duration;

use end_to_end::chronos::{Fault, Settings};
use end_to_end::{marathon::Harm, ports::Port};
use serde_json::{Value, json};

use crate::scene::{Scene, after, hourly, said};

/// Twenty jobs in a chain of ten and ten that stand alone.
fn twenty() -> Value {
    let jobs = (0..20).map(|at| {
        let body =
            if at < 10 && at > 0 { after(&[&format!("batch.j{:02}", at - 1)]) } else { hourly() };
        (format!("j{at:02}"), body)
    });
    Value::Object(jobs.collect())
}

async fn converges(scene: &Scene) {
    scene.chronos.clear_faults();
    let (code, _, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert_eq!(scene.jobs().len(), 20);
    scene.calls();
    assert_eq!(scene.run("deploy", &[]).await, said(""));
    assert_eq!(scene.writes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_that_chronos_cannot_take_holds_up_only_its_children() {
    let scene = Scene::new().await;
    scene.service("batch", &twenty());
    scene.chronos.fault(Fault::status_of_job("PUT", "batch j08", 500, "out of order").always());
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.lines().count()), (1, 18));
    let lines: Vec<&str> = complaint.lines().collect();
    assert_eq!(lines.len(), 2, "{complaint}");
    assert!(lines[0].starts_with("error: batch.j08: http://127.0.0.1:"), "{complaint}");
    assert!(lines[0].ends_with(" answers 500 Internal Server Error: out of order"), "{complaint}");
    assert_eq!(lines[1], "error: batch.j09: Chronos does not have its parents: batch.j08");
    let told = scene.sensu.told(20).await;
    assert_eq!(told.iter().filter(|(_, status, _)| *status == 2).count(), 2);
    converges(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_nothing_is_no_success() {
    let scene = Scene::new().await;
    scene.service("batch", &twenty());
    scene.chronos.fault(Fault::status_of_job("PUT", "batch j09", 200, ""));
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.lines().count()), (1, 19));
    assert!(complaint.ends_with(" answers 200 OK: no reason given\n"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
    converges(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chronos_that_dies_half_way_is_told_in_one_line_and_one_event() {
    let scene = Scene::new().await;
    scene.service("batch", &twenty());
    scene.chronos.die_after_writes(10);
    let (code, out, complaint) = scene.run("deploy", &["--team", "infra"]).await;
    assert_eq!((code, out.lines().count()), (1, 10));
    assert!(complaint.starts_with("error: No remaining Chronos servers to try: "), "{complaint}");
    assert!(complaint.ends_with("; 10 jobs are left for the next pass\n"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
    // Nobody is told of each job that is left, and nothing is asked twenty times over.
    let told = scene.sensu.told(11).await;
    assert_eq!((told[0].0.as_str(), told[0].1), ("chronos.c1", 2));
    assert!(told[1..].iter().all(|told| told.1 == 0), "{told:?}");
    assert_eq!(scene.writes().len(), 12);
    converges(&scene).await;
}

/// One more server of the same Chronos, asked after the first one.
async fn follower(scene: &mut Scene) -> u16 {
    let port = scene.chronos.follower().await.unwrap();
    let urls = [scene.chronos.url(), format!("http://127.0.0.1:{port}")];
    scene.file("etc/z.json", &json!({"chronos_config": {"url": urls}}).to_string());
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_nothing_is_done_and_the_next_one_goes_on() {
    let mut scene = Scene::new().await;
    let second = follower(&mut scene).await;
    scene.service("batch", &twenty());
    assert_eq!(scene.run("deploy", &["batch.j00", "batch.j10"]).await.0, 0);
    scene.chronos.set_leader(None);
    let (code, out, complaint) = scene.run("deploy", &["--team", "infra"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        complaint.contains("answers 500 Internal Server Error: Error proxying request to leader"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1);
    let told = scene.sensu.told(3).await;
    assert_eq!((told[0].0.as_str(), told[0].1), ("chronos.c1", 2));
    // The one that leads now is another server, and the first one does not come back.
    scene.chronos.die().await;
    scene.chronos.set_leader(Some(second));
    converges(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_lost_in_the_middle_of_a_pass_is_not_blamed_on_the_jobs() {
    let mut scene = Scene::new().await;
    let second = follower(&mut scene).await;
    scene.service("batch", &twenty());
    // The first one answers no more, and the second one, which hands on to it, answers 500 to everything.
    scene.chronos.die_after_writes(5);
    let (code, out, complaint) = scene.run("deploy", &["--team", "infra"]).await;
    assert_eq!((code, out.lines().count()), (1, 5));
    assert!(complaint.contains("Error proxying request to leader"), "{complaint}");
    assert!(complaint.ends_with("; 15 jobs are left for the next pass\n"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
    let told = scene.sensu.told(6).await;
    assert_eq!((told[0].0.as_str(), told[0].1), ("chronos.c1", 2));
    assert!(told[1..].iter().all(|told| told.1 == 0), "{told:?}");
    let listings = scene.calls().into_iter().filter(|call| !call.is_write());
    // At first, and to know whether Chronos is there: by the first one, the second one, and as handed on.
    assert_eq!(listings.count(), 4);
    scene.chronos.die().await;
    scene.chronos.set_leader(Some(second));
    converges(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_chronos_stumbles_over_one_after_the_other_are_told_each_for_itself() {
    let scene = Scene::new().await;
    scene.service("batch", &twenty());
    for job in ["batch j1*", "batch j05"] {
        scene.chronos.fault(Fault::status_of_job("PUT", job, 500, "out of order").always());
    }
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.lines().count()), (1, 5));
    assert_eq!(complaint.matches("500 Internal Server Error: out of order\n").count(), 11);
    assert_eq!(complaint.matches("Chronos does not have its parents").count(), 4);
    assert_eq!(scene.sensu.told(20).await.iter().filter(|told| told.1 == 2).count(), 15);
    // It was asked for its jobs once more, and not after each.
    assert_eq!(scene.calls().into_iter().filter(|call| !call.is_write()).count(), 2);
    converges(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_up_of_a_chronos_that_is_lost_says_so_once_and_the_next_one_goes_on() {
    let mut scene = Scene::new().await;
    let second = follower(&mut scene).await;
    scene.service("batch", &twenty());
    assert_eq!(scene.run("deploy", &[]).await.0, 0);
    scene.sensu.told(20).await;
    scene.service("batch", &json!({"j00": hourly()}));
    // All tasks are stopped, and then three jobs go.
    scene.chronos.die_after_writes(19 + 3);
    let words = ["--force", "--team", "infra"];
    let (code, out, complaint) = scene.run("cleanup", &words).await;
    assert_eq!((code, out.lines().count()), (1, 3));
    assert!(complaint.contains("Error proxying request to leader"), "{complaint}");
    assert!(complaint.ends_with("; 16 jobs are left for the next pass\n"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
    let told = scene.sensu.told(4).await;
    assert_eq!((told[3].0.as_str(), told[3].1), ("chronos.c1", 2));
    scene.chronos.clear_faults();
    scene.chronos.die().await;
    scene.chronos.set_leader(Some(second));
    let (code, out, complaint) = scene.run("cleanup", &words).await;
    assert_eq!((code, out.lines().count(), complaint.as_str()), (0, 16, ""));
    assert_eq!(scene.jobs(), ["batch j00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mended_in_soa_configs_is_set_up_by_the_next_pass() {
    let scene = Scene::new().await;
    let mars = |zone| json!({"schedule": "0 3 * * *", "schedule_time_zone": zone, "cmd": "run"});
    let jobs = |zone, parent: &str| {
        json!({
            "a": hourly(), "b": after(&[parent]), "c": after(&["batch.b"]), "d": after(&["batch.c"]),
            "mars": mars(zone),
        })
    };
    scene.service("batch", &jobs("Mars/Olympus", "batch.c"));
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.as_str()), (1, "created batch a\n"));
    // A line for each of the circle, what hangs on it, and Mars.
    assert_eq!(complaint.lines().count(), 4, "{complaint}");
    let statuses =
        async || scene.sensu.told(5).await.into_iter().map(|told| told.1).collect::<Vec<_>>();
    assert_eq!(statuses().await, [0, 2, 2, 2, 2]);
    let again = scene.run("deploy", &[]).await;
    assert_eq!((again.0, again.1.as_str()), (1, ""));
    assert_eq!(statuses().await, [0, 2, 2, 2, 2]);
    scene.service("batch", &jobs("Europe/Paris", "batch.a"));
    let created = "created batch b\ncreated batch c\ncreated batch d\ncreated batch mars\n";
    assert_eq!(scene.run("deploy", &[]).await, said(created));
    assert_eq!(statuses().await, [0; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_tried_in_order_with_the_login() {
    let login = Some(("user".to_owned(), "secret".to_owned()));
    let scene = Scene::with(Settings { login, ..Settings::default() }).await;
    scene.service("batch", &twenty());
    let nobody = Port::free().unwrap();
    let urls =
        [format!("http://127.0.0.1:{}", nobody.number), format!("{}/v1", scene.chronos.url())];
    scene.file("etc/z.json", &json!({"chronos_config": {"url": urls}}).to_string());
    converges(&scene).await;
    scene.file("etc/z.json", r#"{"chronos_config": {"password": "wrong"}}"#);
    let (code, _, complaint) = scene.run("deploy", &[]).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("answers 401 Unauthorized: Unauthorized"), "{complaint}");
    assert!(!complaint.contains("wrong"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_chronos_is_waited_for_and_one_job_that_hangs_stops_no_other() {
    let scene = Scene::new().await;
    scene.service("batch", &twenty());
    scene.chronos.slow_down(Duration::from_millis(50));
    scene.chronos.fault(Fault::of_job("PUT", "batch j08", Harm::Hang));
    let (code, out, complaint) = scene.run("deploy", &["--timeout", "1"]).await;
    // Its child waits with it, and nobody is told that it has no parents.
    assert_eq!((code, out.lines().count()), (1, 18));
    assert!(
        complaint.contains("/scheduler/dependency does not answer within 1s; 2 jobs are left"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1);
    assert!(scene.sensu.told(18).await.iter().all(|told| told.1 == 0));
    converges(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensu_that_is_absent_or_hangs_and_a_log_that_is_full_fail_nothing() {
    let scene = Scene::new().await;
    scene.service("batch", &twenty());
    let nobody = Port::free().unwrap();
    scene.file("etc/z.json", &json!({"sensu_port": nobody.number}).to_string());
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.lines().count()), (0, 20));
    assert!(complaint.ends_with("20 of 20 are not sent\n"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
    // It takes connections and reads nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let full = json!({"driver": "file", "options": {"path_format": "/dev/full"}});
    scene.file("etc/z.json", &json!({"sensu_port": port, "log_writer": full}).to_string());
    scene.service("batch", &json!({"j00": hourly(), "new": hourly(), "newer": hourly()}));
    let (code, out, complaint) = scene.run("deploy", &[]).await;
    assert_eq!((code, out.as_str()), (0, "created batch new\ncreated batch newer\n"));
    assert_eq!(complaint.lines().count(), 1);
    assert!(complaint.contains("Could not log to /dev/full"), "{complaint}");
}
