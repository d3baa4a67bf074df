//! The Marathon simulator over HTTP: what it answers, how it fails, and tasks that really answer.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use end_to_end::{
    Marathon, eventually,
    marathon::{
        AppId, Behaviour, Event, Fault, Harm, Health, HttpTasks, Machine, Runner, Script, Settings,
        Task,
    },
    web::{self, Answer, Error},
};
use hyper::Method;
use serde_json::{Value, json};

async fn ask(port: u16, method: &str, path: &str, body: &str) -> Result<Answer, Error> {
    let method = method.parse().unwrap();
    web::send(port, method, path, &[("content-type", "application/json")], body).await
}

async fn get(marathon: &Marathon, path: &str) -> Value {
    let (status, body) = web::get(marathon.port(), path).await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

async fn create(marathon: &Marathon, id: &str, instances: usize) {
    let check = json!({"path": "/status", "intervalSeconds": 1, "maxConsecutiveFailures": 0});
    let body = json!({"id": id, "cmd": "run", "instances": instances, "healthChecks": [check],
        "labels": {"team": "a"}});
    let answer = ask(marathon.port(), "POST", "/v2/apps", &body.to_string()).await.unwrap();
    assert_eq!(answer.0, 201, "{}", answer.1);
}

fn healthy(machine: &Machine, count: usize) -> Option<Vec<Task>> {
    let healthy: Vec<Task> = machine.tasks().filter(|task| task.is_healthy()).cloned().collect();
    (healthy.len() == count).then_some(healthy)
}

#[tokio::test]
async fn an_app_lives_from_its_creation_to_its_deletion() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    let body = json!({"id": "web.main", "cmd": "run", "instances": 2}).to_string();
    let (status, headers, created) = web::exchange(
        SocketAddr::from(([127, 0, 0, 1], marathon.port())),
        Method::POST,
        "/v2/apps",
        &[],
        &body,
    )
    .await
    .unwrap();
    assert_eq!(status, 201, "{created}");
    let created: Value = serde_json::from_str(&created).unwrap();
    let deployment = headers["marathon-deployment-id"].to_str().unwrap();
    assert_eq!(created["deployments"], json!([{"id": deployment}]));
    assert_eq!(created["id"], "/web.main");

    let again = ask(marathon.port(), "POST", "/v2/apps", &body).await.unwrap();
    let message = json!({"message": "An app with id [/web.main] already exists."});
    assert_eq!((again.0, serde_json::from_str(&again.1).unwrap()), (409, message));

    for (path, has_tasks) in [
        ("/v2/apps", false),
        ("/v2/apps?embed=app.tasks", true),
        ("/v2/apps?embed=apps.tasks", true),
    ] {
        let app = &get(&marathon, path).await["apps"][0];
        assert_eq!(app["tasksRunning"], 2, "{path}");
        assert_eq!(app.get("tasks").is_some(), has_tasks, "{path}");
    }
    for path in ["/v2/apps//web.main", "/v2/apps/web.main"] {
        assert_eq!(get(&marathon, path).await["app"]["tasks"].as_array().unwrap().len(), 2);
    }
    assert_eq!(get(&marathon, "/v2/apps/web.main/tasks").await, get(&marathon, "/v2/tasks").await);

    let gone = ask(marathon.port(), "DELETE", "/v2/apps//web.main?force=True", "").await.unwrap();
    assert_eq!(gone.0, 200);
    assert!(serde_json::from_str::<Value>(&gone.1).unwrap()["deploymentId"].is_string());
    let (status, body) = web::get(marathon.port(), "/v2/apps//web.main").await.unwrap();
    let message = json!({"message": "App '/web.main' does not exist"});
    assert_eq!((status, serde_json::from_str(&body).unwrap()), (404, message));
    let made = ask(marathon.port(), "PUT", "/v2/apps//web.main", r#"{"cmd": "x"}"#).await.unwrap();
    assert_eq!(made.0, 201, "an update makes what is not there");
}

#[tokio::test]
async fn lists_are_filtered_by_cmd_id_and_label() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    create(&marathon, "web.main", 0).await;
    create(&marathon, "api.main", 0).await;
    for (query, count) in [
        ("id=web", 1),
        ("id=main", 2),
        ("cmd=RUN", 2),
        ("cmd=stop", 0),
        ("label=team==a", 2),
        ("label=team!%3Da", 0),
        ("label=other", 0),
    ] {
        let listed = get(&marathon, &format!("/v2/apps?{query}")).await;
        assert_eq!(listed["apps"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    assert_eq!(web::get(marathon.port(), "/ping").await.unwrap(), (200, "pong".to_owned()));
    let leader = format!("127.0.0.1:{}", marathon.port());
    assert_eq!(get(&marathon, "/v2/leader").await, json!({"leader": leader}));
    assert_eq!(get(&marathon, "/v2/info").await["leader"], json!(leader));
    assert_eq!(get(&marathon, "/v2/deployments").await, json!([]));
    for (method, path, status) in [
        ("GET", "/v3", 404),
        ("GET", "/", 404),
        ("DELETE", "/v2/apps", 405),
        ("POST", "/v2/apps//x", 405),
        ("PUT", "/v2/tasks", 405),
        ("PATCH", "/v2/queue", 405),
        ("DELETE", "/v2/deployments/x", 404),
    ] {
        let (given, body) = ask(marathon.port(), method, path, "").await.unwrap();
        assert_eq!(given, status, "{method} {path}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["message"].is_string(), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_login_is_asked_for_and_calls_are_recorded() {
    let login = Some(("admin".to_owned(), "secret".to_owned()));
    let marathon = Marathon::start(Settings { login, ..Settings::default() }).await.unwrap();
    let (status, headers, body) =
        web::get_with_headers(marathon.port(), "/v2/apps?embed=app.tasks").await.unwrap();
    assert_eq!(status, 401);
    assert_eq!(headers["www-authenticate"], "Basic realm=\"Mesosphere\"");
    assert!(body.contains("Invalid username or password."), "{body}");
    for (login, status) in [("Basic YWRtaW46c2VjcmV0", 200), ("Basic YWRtaW46d3Jvbmc=", 401)] {
        let headers = [("authorization", login), ("user-agent", "tests")];
        let answer = web::send(marathon.port(), Method::GET, "/v2/apps", &headers, "x").await;
        assert_eq!(answer.unwrap().0, status, "{login}");
    }
    let calls = marathon.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!((calls[0].path.as_str(), calls[0].query.as_str()), ("/v2/apps", "embed=app.tasks"));
    assert_eq!((calls[1].method.as_str(), calls[1].body.as_str()), ("GET", "x"));
    assert_eq!(calls[1].user_agent.as_deref(), Some("tests"));
    marathon.forget_calls();
    assert!(marathon.calls().is_empty());
}

#[tokio::test]
async fn faults_meet_the_calls_they_are_meant_for() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    create(&marathon, "web", 1).await;
    let id = AppId::new("web");
    let scale = async |n: usize| {
        let body = json!({"instances": n}).to_string();
        ask(marathon.port(), "PUT", "/v2/apps//web?force=True", &body).await
    };
    let instances = || marathon.read(|machine| machine.instances(&id));

    marathon.fault(Fault::status("PUT", "/v2/apps/*", 503, "overloaded").times(2));
    for _ in 0..2 {
        assert_eq!(scale(2).await.unwrap(), (503, json!({"message": "overloaded"}).to_string()));
    }
    assert_eq!(instances(), Some(1), "a status changes nothing");
    assert_eq!(scale(2).await.unwrap().0, 200);

    marathon.fault(Fault::new("PUT", "/v2/apps//web", Harm::Drop));
    scale(3).await.unwrap_err();
    assert_eq!(instances(), Some(3), "what is dropped is done");

    marathon.fault(Fault::new("GET", "*", Harm::Cut));
    let error = web::get(marathon.port(), "/v2/apps").await.unwrap_err();
    assert!(!error.to_string().contains("refused"), "{error}");
    assert_eq!(web::get(marathon.port(), "/v2/apps").await.unwrap().0, 200);

    marathon.fault(Fault::new("GET", "/v2/tasks", Harm::Hang).always());
    let hanging = tokio::spawn({
        let port = marathon.port();
        async move { web::get(port, "/v2/tasks").await.is_ok() }
    });
    let asked = || marathon.calls().iter().any(|call| call.path == "/v2/tasks");
    eventually("the call has come", async || asked().then_some(()).ok_or("not yet")).await;
    assert!(!hanging.is_finished());
    marathon.clear_faults();
    assert_eq!(web::get(marathon.port(), "/v2/tasks").await.unwrap().0, 200);
    assert!(!hanging.is_finished());
    hanging.abort();
}

#[tokio::test]
async fn it_dies_and_comes_back_as_it_was() {
    let mut marathon = Marathon::start(Settings::default()).await.unwrap();
    create(&marathon, "web", 2).await;
    let before = marathon.until("they run", |machine| healthy(machine, 2)).await;
    marathon.die().await;
    web::get(marathon.port(), "/ping").await.unwrap_err();
    marathon.revive().await.unwrap();
    let shown = get(&marathon, "/v2/tasks").await;
    assert_eq!(shown["tasks"][1]["id"], json!(before[1].id.as_str()));
}

#[tokio::test]
async fn a_follower_hands_on_and_names_the_leader() {
    let settings = Settings { leader_wait: Duration::ZERO, ..Settings::default() };
    let marathon = Marathon::start(settings).await.unwrap();
    let follower = marathon.follower().await.unwrap();
    let body = json!({"id": "web", "cmd": "run"}).to_string();
    assert_eq!(ask(follower.port(), "POST", "/v2/apps", &body).await.unwrap().0, 201);
    let (status, headers, body) =
        web::get_with_headers(follower.port(), "/v2/apps?id=web").await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(headers["x-marathon-leader"], *marathon.url());
    assert!(body.contains("\"/web\""), "{body}");
    marathon.set_leader(false);
    for port in [follower.port(), marathon.port()] {
        let (status, body) = web::get(port, "/v2/apps").await.unwrap();
        assert_eq!(status, 503);
        assert!(body.contains("Could not determine the current leader"), "{body}");
    }
    assert_eq!(web::get(marathon.port(), "/v2/leader").await.unwrap().0, 404);
    marathon.set_leader(true);
    assert_eq!(web::get(follower.port(), "/v2/apps").await.unwrap().0, 200);
}

#[tokio::test]
async fn shards_never_give_the_same_id() {
    let one = Marathon::start(Settings::default()).await.unwrap();
    let other = Marathon::start(Settings::default()).await.unwrap();
    for shard in [&one, &other] {
        create(shard, "web", 2).await;
    }
    let ids = |shard: &Marathon| {
        shard.read(|machine| machine.tasks().map(|task| task.id.clone()).collect::<Vec<_>>())
    };
    assert!(ids(&one).iter().all(|id| !ids(&other).contains(id)));
}

/// Tasks that answer, and are asked for their health.
async fn with_real_tasks(tasks: &Arc<HttpTasks>) -> Marathon {
    let every = Some(Duration::from_millis(5));
    let asked = Behaviour { health: Health::Asked, check_every: every, ..Behaviour::default() };
    let runner: Arc<dyn Runner> = Arc::clone(tasks) as _;
    let settings =
        Settings { script: Script::all(asked), runner: Some(runner), ..Settings::default() };
    Marathon::start(settings).await.unwrap()
}

fn address(task: &Task) -> SocketAddr {
    SocketAddr::from((task.address, task.ports[0]))
}

async fn get_from(task: &Task, path: &str) -> Result<Answer, Error> {
    let (status, _, body) = web::exchange(address(task), Method::GET, path, &[], "").await?;
    Ok((status, body))
}

#[tokio::test]
async fn real_tasks_answer_on_their_host_and_their_health_is_asked_for() {
    let runner = Arc::new(HttpTasks::finishing());
    let marathon = with_real_tasks(&runner).await;
    create(&marathon, "web", 2).await;
    let tasks = marathon.until("they are healthy", |machine| healthy(machine, 2)).await;
    assert_ne!(tasks[0].host, tasks[1].host, "tasks are spread");
    for task in &tasks {
        assert_eq!(get_from(task, "/").await.unwrap(), (200, task.id.to_string()));
    }
    runner.answer_with(tasks[0].id.as_str(), 503);
    let sick = marathon.until("one is sick", |machine| healthy(machine, 1)).await;
    assert_eq!(sick[0].id, tasks[1].id);
    let cause = &get(&marathon, "/v2/tasks").await["tasks"][0]["healthCheckResults"][0];
    assert_eq!(cause["lastFailureCause"], "503");

    drop(marathon);
    assert!(runner.running().is_empty());
    for task in &tasks {
        get_from(task, "/").await.unwrap_err();
    }
}

#[tokio::test]
async fn killed_tasks_finish_the_requests_at_hand_or_drop_them() {
    for (runner, is_answered) in [(HttpTasks::finishing(), true), (HttpTasks::dropping(), false)] {
        let runner = Arc::new(runner);
        let marathon = with_real_tasks(&runner).await;
        create(&marathon, "web", 1).await;
        let task = marathon.until("it is healthy", |machine| healthy(machine, 1)).await.remove(0);
        let request = tokio::spawn({
            let task = task.clone();
            async move { get_from(&task, "/wait/300").await.ok() }
        });
        let is_at_hand = || (runner.at_hand() == 1).then_some(()).ok_or("not yet");
        eventually("the request is at hand", async || is_at_hand()).await;
        let mut events = marathon.follow();
        ask(marathon.port(), "DELETE", "/v2/apps//web", "").await.unwrap();
        marathon
            .until("it is gone", |machine| machine.tasks().next().is_none().then_some(()))
            .await;
        let answer = request.await.unwrap().map(|(_, body)| body);
        assert_eq!(answer, is_answered.then(|| task.id.to_string()));
        get_from(&task, "/").await.unwrap_err();
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            told.push(event);
        }
        assert!(told.contains(&Event::Killing { task: task.id.clone() }), "{told:?}");
    }
}

#[tokio::test]
async fn a_task_that_needs_longer_than_its_grace_is_cut_off() {
    let runner = Arc::new(HttpTasks::finishing());
    let marathon = with_real_tasks(&runner).await;
    let body = json!({"id": "web", "cmd": "run", "taskKillGracePeriodSeconds": 0}).to_string();
    assert_eq!(ask(marathon.port(), "POST", "/v2/apps", &body).await.unwrap().0, 201);
    let task = marathon.read(|machine| machine.tasks().next().cloned().unwrap());
    let request = tokio::spawn({
        let task = task.clone();
        async move { get_from(&task, "/wait/600000").await.ok() }
    });
    let is_at_hand = || (runner.at_hand() == 1).then_some(()).ok_or("not yet");
    eventually("the request is at hand", async || is_at_hand()).await;
    ask(marathon.port(), "DELETE", "/v2/apps//web", "").await.unwrap();
    assert_eq!(request.await.unwrap(), None);
    assert!(runner.running().is_empty());
}

#[tokio::test]
async fn a_task_whose_port_is_taken_fails_and_is_tried_elsewhere() {
    let runner = Arc::new(HttpTasks::finishing());
    let marathon = with_real_tasks(&runner).await;
    create(&marathon, "probe", 1).await;
    let first = marathon.until("it is healthy", |machine| healthy(machine, 1)).await.remove(0);
    let next = SocketAddr::from((first.address, first.ports[0] + 1));
    let _taken = std::net::TcpListener::bind(next).unwrap();
    let constraint = json!([["hostname", "CLUSTER", first.host]]);
    let body = json!({"id": "web", "cmd": "run", "backoffSeconds": 0, "constraints": constraint});
    let made = ask(marathon.port(), "POST", "/v2/apps", &body.to_string()).await.unwrap();
    assert_eq!(made.0, 201);
    marathon
        .until("it runs", |machine| {
            (runner.running().len() == 2 && machine.deployments().is_empty()).then_some(())
        })
        .await;
    let shown = get(&marathon, "/v2/apps//web").await;
    let failure = shown["app"]["lastTaskFailure"]["message"].as_str().unwrap();
    assert!(failure.starts_with("it could not be started:"), "{failure}");
}
