//! `chronos-sim`, the simulator as a program.

use end_to_end::{by_hand::Program, web};
use hyper::Method;
use serde_json::Value;

#[tokio::test]
async fn jobs_fire_on_a_fast_clock_and_are_watched() {
    let words = ["--port", "0", "--speed", "600", "--takes", "30", "--fail", "web bad"];
    let mut program = Program::start(env!("CARGO_BIN_EXE_chronos-sim"), &words).unwrap();
    let url = program.says("http://127.0.0.1:").await.unwrap();
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    for (path, job) in [
        ("/scheduler/iso8601", r#"{"name": "web job", "command": "run", "schedule": "* * * * *"}"#),
        (
            "/scheduler/dependency",
            r#"{"name": "web bad", "command": "run", "parents": ["web job"]}"#,
        ),
    ] {
        let made = web::send(port, Method::POST, path, &[], job).await.unwrap();
        assert_eq!(made.0, 204, "{}", made.1);
    }
    for step in
        ["web job: attempt 0 runs", "web job: succeeded", "web bad: attempt 0", "web bad: failed"]
    {
        program.says(step).await.unwrap();
    }
    let (_, jobs) = web::get(port, "/scheduler/jobs").await.unwrap();
    let jobs: Value = serde_json::from_str(&jobs).unwrap();
    assert_eq!((&jobs[0]["name"], &jobs[0]["lastSuccess"]), (&"web bad".into(), &"".into()));
    assert!(jobs[0]["errorCount"].as_u64().unwrap() >= 1, "{jobs}");
    let (_, stat) = web::get(port, "/scheduler/job/stat/web%20job").await.unwrap();
    let stat: Value = serde_json::from_str(&stat).unwrap();
    assert_eq!(stat["histogram"]["99thPercentile"], 30_000.0);
    let (_, graph) = web::get(port, "/scheduler/graph/csv").await.unwrap();
    assert!(graph.ends_with("link,web job,web bad\n"), "{graph}");
}
