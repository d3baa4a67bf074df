//! `marathon-sim`, the simulator as a program.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use end_to_end::{by_hand::Program, web};
use hyper::Method;
use serde_json::Value;
use tokio::{process::Command, time};

#[tokio::test]
async fn an_app_is_watched_from_its_start_and_its_tasks_answer() {
    let words = ["--port", "0", "--hosts", "2", "--start-delay", "0.1", "--health-delay", "0.1"];
    let mut program = Program::start(
        env!("CARGO_BIN_EXE_marathon-sim"),
        &[&words[..], &["--fail", "/bad.*"]].concat(),
    )
    .unwrap();
    let url = program.says("http://127.0.0.1:").await.unwrap();
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let hosts = program.says("hosts: ").await.unwrap();
    assert_eq!(hosts.split_whitespace().count(), 3, "{hosts}");

    let app = r#"{"id": "web.main", "cmd": "run", "healthChecks": [{"path": "/"}]}"#;
    let made = web::send(port, Method::POST, "/v2/apps", &[], app).await.unwrap();
    assert_eq!(made.0, 201, "{}", made.1);
    program.says("app /web.main: 1 wanted").await.unwrap();
    for step in ["staged on 127.", "running", "healthy", "finished"] {
        program.says(step).await.unwrap();
    }
    let (_, tasks) = web::get(port, "/v2/tasks").await.unwrap();
    let tasks: Value = serde_json::from_str(&tasks).unwrap();
    let task = &tasks["tasks"][0];
    let address = format!("{}:{}", task["host"].as_str().unwrap(), task["ports"][0]);
    let address: SocketAddr = address.parse().unwrap();
    let answer = web::exchange(address, Method::GET, "/", &[], "").await.unwrap();
    assert_eq!((answer.0, Value::from(answer.2)), (200, task["id"].clone()));

    let app = r#"{"id": "bad.main", "cmd": "run"}"#;
    web::send(port, Method::POST, "/v2/apps", &[], app).await.unwrap();
    program.says("TASK_FAILED").await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_marathon-sim"));
    program.args(["--port", &port]).stdin(Stdio::null()).kill_on_drop(true);
    #[expect(clippy::disallowed_methods, reason = "this is the timeout with kill_on_drop")]
    let ended = time::timeout(Duration::from_secs(60), program.output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let error = String::from_utf8(ended.stderr).unwrap();
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}
