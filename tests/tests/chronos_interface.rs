//! The Chronos simulator over HTTP: what it answers and refuses, schedules that fire, and servers that do not
//! lead.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{net::SocketAddr, time::Duration};

use end_to_end::{
    Chronos,
    chronos::{Behaviour, Event, Fault, Harm, Script, Settings},
    eventually,
    web::{self, Answer, Error},
};
use hyper::Method;
use serde_json::{Value, json};

const KIND: (&str, &str) = ("content-type", "application/json");

async fn ask(port: u16, method: &str, path: &str, body: &str) -> Result<Answer, Error> {
    web::send(port, method.parse().unwrap(), path, &[KIND], body).await
}

async fn get(port: u16, path: &str) -> Value {
    let (status, body) = web::get(port, path).await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

async fn put(port: u16, job: &Value) {
    let path =
        if job.get("parents").is_some() { "/scheduler/dependency" } else { "/scheduler/iso8601" };
    let answer = ask(port, "PUT", path, &job.to_string()).await.unwrap();
    assert_eq!(answer, (204, String::new()), "{job}");
}

fn hourly(name: &str) -> Value {
    json!({"name": name, "command": "run", "schedule": "R/2030-01-01T00:00:00Z/PT1H"})
}

fn after(name: &str, parents: &[&str]) -> Value {
    json!({"name": name, "command": "run", "parents": parents})
}

#[tokio::test]
async fn what_chronos_refuses_is_refused_with_its_status_and_reason() {
    let chronos = Chronos::start(Settings::default()).await.unwrap();
    let port = chronos.port();
    put(port, &hourly("web a")).await;
    put(port, &after("web b", &["web a"])).await;
    let (scheduled, dependent) = ("/scheduler/iso8601", "/scheduler/dependency");
    let odd = |key: &str, value: Value| {
        let mut job = hourly("web odd");
        job[key] = value;
        job.to_string()
    };
    for (method, path, body, status, reason) in [
        ("PUT", scheduled, "{".to_owned(), 400, "Unable to process JSON"),
        ("POST", scheduled, r#"{"name": "x"}"#.to_owned(), 422, "command may not be null"),
        ("POST", scheduled, r#"{"command": "x"}"#.to_owned(), 422, "name may not be null"),
        ("PUT", scheduled, odd("name", json!("web/odd")), 400, "the job's name is invalid"),
        ("PUT", scheduled, odd("name", json!("")), 400, "the job's name is invalid"),
        ("PUT", scheduled, odd("schedule", json!("@daily")), 422, "unparsable schedule: @daily"),
        ("PUT", scheduled, odd("schedule", json!("R/then/PT1H")), 422, "unparsable schedule"),
        ("PUT", scheduled, odd("scheduleTimeZone", json!("Mars/Olympus")), 422, "Mars/Olympus"),
        (
            "PUT",
            dependent,
            after("web c", &["web a", "web z"]).to_string(),
            400,
            "requirement failed: Job web c does not have all parents defined!",
        ),
        ("PUT", dependent, after("web c", &[]).to_string(), 500, "reduceLeft"),
        ("PUT", dependent, after("web b", &[]).to_string(), 400, "parents"),
        ("PUT", dependent, after("web a", &["web b"]).to_string(), 400, "its own parent"),
        ("PUT", "/scheduler/job/web%20z", String::new(), 400, "Job 'web z' not found"),
        ("PUT", "/scheduler/job/success/web%20z", String::new(), 400, "Job 'web z' not found"),
        ("DELETE", "/scheduler/job/web%20z", String::new(), 400, "Job 'web z' not found"),
        ("DELETE", "/scheduler/task/kill/web%20z", String::new(), 500, "unknown job web z"),
        ("GET", "/scheduler/job/stat/web%20z", String::new(), 400, "Job 'web z' not found"),
        ("GET", "/scheduler/nothing", String::new(), 404, "Not Found"),
        ("PATCH", scheduled, String::new(), 404, "Not Found"),
    ] {
        let (got, text) = ask(port, method, path, &body).await.unwrap();
        assert!(got == status && text.contains(reason), "{method} {path} {body}: {got} {text}");
    }
    let names: Vec<Value> = get(port, "/scheduler/jobs")
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|j| j["name"].clone())
        .collect();
    assert_eq!(names, ["web a", "web b"]);
    assert_eq!(chronos.calls().len(), 22);
}

#[tokio::test]
async fn jobs_are_listed_as_chronos_keeps_them() {
    let chronos = Chronos::start(Settings::default()).await.unwrap();
    let port = chronos.port();
    put(
        port,
        &json!({
            "name": "web a", "command": null, "owner": null, "schedule": "R/2030-01-01T00:00:00Z/PT1H",
            "scheduleTimeZone": null, "cpus": 1, "mem": 64, "disk": 10.5, "description": "config01234567",
            "container": {"type": "DOCKER", "image": "i"}, "arguments": null,
            "constraints": [["pool", "LIKE", "default"], ["host", "UNIQUE"], ["rack", "EQUALS", "1"]],
            "lastSuccess": "2018-03-14T08:00:00.000Z", "successCount": 7,
        }),
    )
    .await;
    put(
        port,
        &json!({"name": "api b", "command": "Serve", "parents": ["web a"], "disabled": true}),
    )
    .await;
    let jobs = get(port, "/scheduler/jobs").await;
    let (b, a) = (&jobs[0], &jobs[1]);
    for (key, value) in [
        ("command", json!("null")),
        ("owner", json!("null")),
        ("schedule", json!("R/2030-01-01T00:00:00.000Z/PT1H")),
        ("scheduleTimeZone", json!("")),
        ("cpus", json!(1.0)),
        ("mem", json!(64.0)),
        ("disk", json!(10.5)),
        ("description", json!("config01234567")),
        ("container", json!({"type": "docker", "image": "i"})),
        ("constraints", json!([["pool", "LIKE", "default"], ["rack", "EQUALS", "1"]])),
        ("lastSuccess", json!("2018-03-14T08:00:00.000Z")),
        ("lastError", json!("")),
        ("successCount", json!(7)),
        ("errorCount", json!(0)),
        ("disabled", json!(false)),
        ("retries", json!(2)),
    ] {
        assert_eq!(a[key], value, "{key}");
    }
    assert_eq!(a.get("parents"), None);
    assert_eq!(
        (&b["parents"], &b["disabled"], b.get("schedule")),
        (&json!(["web a"]), &json!(true), None)
    );
    for (query, count) in [
        ("name=WEB", 1),
        ("name=b", 2),
        ("command=serve", 1),
        ("any=zzz", 0),
        ("limit=1", 1),
        ("offset=1", 1),
    ] {
        let found = get(port, &format!("/scheduler/jobs/search?{query}")).await;
        assert_eq!(found.as_array().unwrap().len(), count, "{query}");
    }
    let graph = "node,api b,fresh,idle\nnode,web a,success,idle\nlink,web a,api b\n";
    assert_eq!(get(port, "/scheduler/graph/csv").await, graph);
    assert_eq!(get(port, "/scheduler/job/stat/web%20a").await["histogram"]["count"], 0);
    assert_eq!(get(port, "/scheduler/stats/median").await[1]["jobNameLabel"], "web a");
    let queue = "org.apache.mesos.chronos.scheduler.jobs.TaskManager.queueSize";
    assert_eq!(get(port, "/metrics").await["gauges"][queue]["value"], 0);
    let leader = json!(format!("127.0.0.1:{port}"));
    assert_eq!(get(port, "/leader").await["leader"], leader);
    assert_eq!(get(port, "/info").await["leader"], leader);
    assert_eq!(get(port, "/ping").await, "pong");
}

#[tokio::test]
async fn schedules_fire_on_its_clock_and_children_follow() {
    let takes = |seconds| Behaviour { takes: Duration::from_secs(seconds), fails: false };
    let script =
        Script::all(takes(30)).with("web bad", Behaviour { fails: true, ..Behaviour::default() });
    let from = Some("2018-03-14T09:00:10Z".parse().unwrap());
    let chronos = Chronos::start(Settings { script, from, speed: 600, login: None }).await.unwrap();
    let port = chronos.port();
    let mut events = chronos.follow();
    put(port, &json!({"name": "web cron", "command": "x", "schedule": "*/10 * * * *"})).await;
    put(
        port,
        &json!({"name": "web twice", "command": "x", "schedule": "R2/2018-03-14T09:15:00Z/PT30M"}),
    )
    .await;
    put(port, &json!({"name": "web bad", "command": "x", "schedule": "R1/2018-03-14T09:20:00Z/PT1H", "retries": 1}))
        .await;
    put(port, &after("web child", &["web cron", "web twice"])).await;
    put(port, &after("web orphan", &["web bad"])).await;
    put(
        port,
        &json!({"name": "web off", "command": "x", "schedule": "* * * * *", "disabled": true}),
    )
    .await;
    chronos
        .until("the second one ran twice and its child after it", |machine| {
            let (twice, child) = (machine.job("web twice")?, machine.job("web child")?);
            (twice.successes == 2 && twice.is_disabled() && child.successes >= 2).then_some(())
        })
        .await;
    let jobs = get(port, "/scheduler/jobs").await;
    let job = |name: &str| {
        jobs.as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&job("web bad")["errorCount"], &job("web bad")["successCount"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(job("web bad")["lastError"].as_str().unwrap().get(..16), Some("2018-03-14T09:21"));
    assert_eq!(job("web twice")["lastSuccess"], "2018-03-14T09:45:30.000Z");
    assert!(job("web twice")["schedule"].as_str().unwrap().starts_with("R0/"), "{jobs}");
    for idle in ["web orphan", "web off"] {
        assert_eq!((&job(idle)["successCount"], &job(idle)["errorCount"]), (&json!(0), &json!(0)));
    }
    let stat = get(port, "/scheduler/job/stat/web%20twice").await;
    assert_eq!(
        (&stat["histogram"]["99thPercentile"], &stat["histogram"]["count"]),
        (&json!(30_000.0), &json!(2))
    );
    // Every run of the child begins when the later one of its parents has ended.
    let mut told = Vec::new();
    while let Ok((at, event)) = events.try_recv() {
        told.push((at, event));
    }
    let first = |wanted: &Event| told.iter().find(|(_, event)| event == wanted).unwrap().0;
    let started = first(&Event::Started { job: "web child".to_owned(), attempt: 0 });
    assert_eq!(started, first(&Event::Succeeded { job: "web twice".to_owned() }));
}

#[tokio::test]
async fn jobs_are_run_killed_and_removed_by_hand() {
    let long = Behaviour { takes: Duration::from_secs(3600), fails: false };
    let settings = Settings { script: Script::all(long), ..Settings::default() };
    let chronos = Chronos::start(settings).await.unwrap();
    let port = chronos.port();
    put(port, &hourly("web a")).await;
    put(port, &after("web b", &["web a"])).await;
    put(port, &after("web c", &["web b"])).await;
    let done = async |method: &str, path: &str| ask(port, method, path, "").await.unwrap().0;
    assert_eq!(done("PUT", "/scheduler/job/web%20a").await, 204);
    let graph = get(port, "/scheduler/graph/csv").await;
    assert!(graph.as_str().unwrap().starts_with("node,web a,fresh,running\n"), "{graph}");
    // Replaced while it runs: the run goes on.
    put(port, &hourly("web a")).await;
    assert!(chronos.read(|machine| machine.job("web a").unwrap().is_running()));
    assert_eq!(done("DELETE", "/scheduler/task/kill/web%20a").await, 204);
    assert!(chronos.read(|machine| !machine.job("web a").unwrap().is_running()));
    assert_eq!(done("PUT", "/scheduler/job/success/web%20a").await, 200);
    assert!(chronos.read(|machine| machine.job("web b").unwrap().is_running()));
    assert_eq!(done("DELETE", "/scheduler/job/web%20b").await, 204);
    assert_eq!(get(port, "/scheduler/jobs").await[1]["parents"], json!(["web a"]));
    assert_eq!(done("DELETE", "/scheduler/job/web%20a").await, 204);
    assert_eq!(
        get(port, "/scheduler/jobs").await[0]["schedule"],
        "R/2030-01-01T00:00:00.000Z/PT1H"
    );
}

#[tokio::test]
async fn a_server_that_does_not_lead_hands_on_and_loses_only_the_reasons_of_refusals() {
    let mut chronos = Chronos::start(Settings::default()).await.unwrap();
    let (leader, follower) = (chronos.port(), chronos.follower().await.unwrap());
    put(follower, &hourly("web a")).await;
    put(leader, &after("web b", &["web a"])).await;
    let listed = get(follower, "/scheduler/jobs").await;
    assert_eq!(listed, get(leader, "/scheduler/jobs").await);
    assert_eq!(listed[0]["name"], "web a");
    let search = "/scheduler/jobs/search?name=web%20b";
    assert_eq!(get(follower, search).await.as_array().unwrap().len(), 1);
    assert_eq!(get(follower, "/leader").await, json!({"leader": format!("127.0.0.1:{leader}")}));
    let bad = after("web c", &["web z"]).to_string();
    let refused = ask(follower, "PUT", "/scheduler/dependency", &bad).await.unwrap();
    assert_eq!(refused, (400, String::new()));
    // Each call once, whoever took it.
    assert_eq!(chronos.calls().len(), 7);
    chronos.forget_calls();

    chronos.die().await;
    assert!(web::get(leader, "/scheduler/jobs").await.is_err());
    let (status, text) = web::get(follower, "/scheduler/jobs").await.unwrap();
    assert!(status == 500 && text.contains("Error proxying request to leader"), "{status} {text}");
    chronos.set_leader(None);
    assert_eq!(web::get(follower, "/scheduler/jobs").await.unwrap().0, 500);
    chronos.set_leader(Some(follower));
    assert_eq!(get(follower, "/scheduler/jobs").await, listed);
    // The old one comes back and follows.
    chronos.revive().await.unwrap();
    put(leader, &hourly("web d")).await;
    assert_eq!(get(follower, "/leader").await, get(leader, "/leader").await);
    assert_eq!(chronos.calls().len(), 6);
}

#[tokio::test]
async fn whoever_has_no_password_is_asked_for_one_by_every_server() {
    let login = Some(("user".to_owned(), "secret".to_owned()));
    let mut chronos = Chronos::start(Settings { login, ..Settings::default() }).await.unwrap();
    let ports = [chronos.port(), chronos.follower().await.unwrap()];
    for port in ports {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let asked = |headers: &'static [(&'static str, &'static str)]| {
            web::exchange(address, Method::GET, "/scheduler/jobs", headers, "")
        };
        let (status, headers, _) = asked(&[]).await.unwrap();
        assert_eq!(
            (status, &headers["www-authenticate"]),
            (401, &"Basic realm=\"Chronos\"".parse().unwrap())
        );
        assert_eq!(asked(&[("authorization", "Basic dXNlcjp3cm9uZw==")]).await.unwrap().0, 401);
        assert_eq!(asked(&[("authorization", "Basic dXNlcjpzZWNyZXQ=")]).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn single_calls_and_the_whole_of_it_can_be_out_of_order() {
    let mut chronos = Chronos::start(Settings::default()).await.unwrap();
    let port = chronos.port();
    put(port, &hourly("web a")).await;
    chronos.fault(Fault::status_of_job("PUT", "web *", 503, "busy"));
    chronos.fault(Fault::new("GET", "/scheduler/jobs", Harm::Cut));
    let job = hourly("web b").to_string();
    let busy = ask(port, "PUT", "/scheduler/iso8601", &job).await.unwrap();
    assert_eq!(busy, (503, "busy".to_owned()));
    assert!(web::get(port, "/scheduler/jobs").await.is_err(), "half an answer");
    assert_eq!(get(port, "/scheduler/jobs").await.as_array().unwrap().len(), 1);
    // The change is made, and nobody is told.
    chronos.fault(Fault::of_job("PUT", "web b", Harm::Drop));
    assert!(ask(port, "PUT", "/scheduler/iso8601", &job).await.is_err());
    assert_eq!(get(port, "/scheduler/jobs").await.as_array().unwrap().len(), 2);
    chronos.die_after_writes(1);
    put(port, &hourly("web c")).await;
    assert!(ask(port, "PUT", "/scheduler/iso8601", &hourly("web d").to_string()).await.is_err());
    assert!(web::get(port, "/scheduler/jobs").await.is_err());
    chronos.clear_faults();
    assert_eq!(get(port, "/scheduler/jobs").await.as_array().unwrap().len(), 3);
    chronos.die().await;
    assert!(web::get(port, "/scheduler/jobs").await.is_err());
    chronos.revive().await.unwrap();
    eventually("it answers again", async || web::get(port, "/ping").await).await;
}
