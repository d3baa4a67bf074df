//! What the Marathon simulator refuses, over HTTP, with the errors of Marathon 1.4. No real Marathon
//! was asked: the rules are those of its published types and sources.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{env, fs, path::Path};

use end_to_end::{
    Marathon,
    marathon::Settings,
    web::{self, Answer},
};
use hyper::Method;
use serde_json::{Value, json};

/// What a deployment program sends (marathon-sync.md §8).
fn app() -> Value {
    json!({
        "id": "web.main.git5b05b05a.config3fe83ca0", "instances": 0, "cpus": 1.0, "mem": 512.0,
        "disk": 1024.0, "backoffFactor": 2, "backoffSeconds": 4, "maxLaunchDelaySeconds": 300,
        "uris": ["file:///root/.dockercfg"], "constraints": [["pool", "LIKE", "default"]],
        "env": {"PAASTA_SERVICE": "web"},
        "healthChecks": [{"protocol": "HTTP", "path": "/status", "gracePeriodSeconds": 60,
            "intervalSeconds": 10, "portIndex": 0, "timeoutSeconds": 10,
            "maxConsecutiveFailures": 30}],
        "container": {"type": "DOCKER", "docker": {
            "image": "registry.example.net:443/services-web:paasta-1", "network": "BRIDGE",
            "privileged": false, "forcePullImage": false,
            "parameters": [{"key": "memory-swap", "value": "576m"}],
            "portMappings": [{"containerPort": 8888, "hostPort": 0, "protocol": "tcp"}]},
            "volumes": [{"containerPath": "/nail", "hostPath": "/nail", "mode": "RO"}]},
    })
}

/// The app with something else at a place; `null` in its place takes it away.
fn with(place: &str, value: Value) -> Value {
    let mut app = app();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = app.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Value::Null) => _ = fields.remove(name).unwrap(),
        (Value::Object(fields), value) => _ = fields.insert(name.to_owned(), value),
        (parent, value) => parent[name.parse::<usize>().unwrap()] = value,
    }
    app
}

async fn post(marathon: &Marathon, body: &str) -> Answer {
    let headers = [("content-type", "application/json")];
    web::send(marathon.port(), Method::POST, "/v2/apps", &headers, body).await.unwrap()
}

/// Each is refused with this status, and the details name this place.
async fn all_refused(status: u16, message: &str, cases: &[(&str, Value, &str)]) {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    for (place, value, path) in cases {
        let (given, body) = post(&marathon, &with(place, value.clone()).to_string()).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(given, status, "{place} {value}: {body}");
        assert_eq!(body["message"], message, "{place} {value}: {body}");
        let details = body["details"].as_array().unwrap();
        assert_eq!(details[0]["path"], *path, "{place} {value}: {body}");
        assert!(details[0]["errors"][0].is_string(), "{body}");
    }
    assert!(marathon.read(|machine| machine.app_ids().is_empty()));
    let (given, body) = post(&marathon, &app().to_string()).await;
    assert_eq!(given, 201, "the app itself is right: {body}");
}

#[tokio::test]
async fn what_cannot_be_read_as_an_app_is_answered_400() {
    let cases = [
        ("/id", Value::Null, "/id"),
        ("/id", json!(7), "/id"),
        ("/id", json!("/"), "/id"),
        ("/instances", json!("3"), "/instances"),
        ("/instances", json!(1.5), "/instances"),
        ("/cpus", json!("1"), "/cpus"),
        ("/cmd", json!(""), "/cmd"),
        ("/args", json!("run"), "/args"),
        ("/args", json!(["a", 1]), "/args(1)"),
        ("/env", json!({"A": 1}), "/env/A"),
        ("/requirePorts", json!("yes"), "/requirePorts"),
        ("/fetch", json!([{"uri": "file:///x"}]), ""),
        ("/backoffSeconds", json!(0.5), "/backoffSeconds"),
        ("/maxLaunchDelaySeconds", json!("300"), "/maxLaunchDelaySeconds"),
        ("/healthChecks/0/gracePeriodSeconds", json!(90.5), "/healthChecks(0)/gracePeriodSeconds"),
        ("/healthChecks/0/protocol", json!("GRPC"), "/healthChecks(0)/protocol"),
        ("/healthChecks/0/intervalSeconds", json!("10"), "/healthChecks(0)/intervalSeconds"),
        ("/constraints", json!([["pool"]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "LIKE", "x", "y"]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "like", "x"]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "IS", "x"]]), "/constraints(0)"),
        ("/constraints", json!([["habitat", "GROUP_BY", 3]]), "/constraints(0)"),
        ("/constraints", json!({"pool": "default"}), "/constraints"),
        ("/container/docker/network", json!("bridge"), "/container/docker/network"),
        ("/container/docker/network", json!("weave"), "/container/docker/network"),
        ("/container/docker/image", Value::Null, "/container/docker/image"),
        ("/container/docker/image", json!(""), "/container/docker/image"),
        ("/container/type", json!("RKT"), "/container/type"),
        (
            "/container/docker/parameters/0/value",
            Value::Null,
            "/container/docker/parameters(0)/value",
        ),
        (
            "/container/docker/portMappings/0/protocol",
            json!("sctp"),
            "/container/docker/portMappings(0)/protocol",
        ),
        ("/container/volumes/0/mode", json!("rw"), "/container/volumes(0)/mode"),
        ("/container/volumes/0/containerPath", Value::Null, "/container/volumes(0)/containerPath"),
    ];
    all_refused(400, "Invalid JSON", &cases).await;
}

#[tokio::test]
async fn a_readable_app_that_breaks_a_rule_is_answered_422_with_the_place() {
    let port = "/container/docker/portMappings/0/hostPort";
    let port_at = "/container/docker/portMappings(0)/hostPort";
    let mut cases = vec![
        ("/instances", json!(-1), "/instances"),
        ("/cpus", json!(-0.1), "/cpus"),
        ("/mem", json!(-1), "/mem"),
        ("/backoffFactor", json!(0.9), "/backoffFactor"),
        ("/backoffSeconds", json!(-1), "/backoffSeconds"),
        ("/acceptedResourceRoles", json!([]), "/acceptedResourceRoles"),
        (
            "/upgradeStrategy",
            json!({"minimumHealthCapacity": 1.1}),
            "/upgradeStrategy/minimumHealthCapacity",
        ),
        ("/env", json!({"1A": "x"}), "/env/1A"),
        (port, json!(65536), port_at),
        (port, json!(-1), port_at),
        ("/portDefinitions", json!([{"port": 70000}]), "/portDefinitions(0)/port"),
        ("/portDefinitions", json!([{"port": 80}, {"port": 80}]), "/portDefinitions"),
        ("/portDefinitions", json!([{"name": "a"}, {"name": "a"}]), "/portDefinitions"),
        ("/portDefinitions", json!([{"name": "A"}]), "/portDefinitions"),
        ("/constraints", json!([["hostname", "UNIQUE", "x"]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "LIKE"]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "LIKE", ""]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "LIKE", "("]]), "/constraints(0)"),
        ("/constraints", json!([["pool", "CLUSTER"]]), "/constraints(0)"),
        ("/constraints", json!([["habitat", "GROUP_BY", "many"]]), "/constraints(0)"),
        ("/constraints", json!([["habitat", "MAX_PER", "many"]]), "/constraints(0)"),
        ("/healthChecks/0/portIndex", json!(1), "/healthChecks(0)"),
        ("/healthChecks/0/port", json!(80), "/healthChecks(0)"),
        ("/healthChecks/0/command", json!({"value": "true"}), "/healthChecks(0)"),
        ("/healthChecks/0/protocol", json!("TCP"), "/healthChecks(0)"),
        ("/healthChecks/0/protocol", json!("COMMAND"), "/healthChecks(0)"),
        ("/container/docker", Value::Null, "/"),
        ("/container", Value::Null, "/"),
        ("/container/volumes/0/hostPath", Value::Null, "/container/volumes(0)/hostPath"),
        ("/health_checks", json!([]), "/health_checks"),
        ("/container/docker/image_url", json!("x"), "/container/docker/image_url"),
        ("/healthChecks/0/retries", json!(3), "/healthChecks(0)/retries"),
    ];
    for id in ["Web.main", "web_x.main", "web.main.gitimg:late", "-web", "web-", "web..main"] {
        cases.push(("/id", json!(id), "/id"));
    }
    all_refused(422, "Object is not valid", &cases).await;
}

#[tokio::test]
async fn cmd_together_with_args_is_refused_and_neither_is_right_with_an_image() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    let mut both = with("/cmd", json!("run"));
    assert_eq!(post(&marathon, &both.to_string()).await.0, 201);
    both["args"] = json!(["run"]);
    both["id"] = json!("both");
    let (status, body) = post(&marathon, &both.to_string()).await;
    assert_eq!(status, 422);
    assert!(body.contains("'cmd' or 'args'"), "{body}");
}

#[tokio::test]
async fn a_body_that_is_no_json_or_no_object_is_answered_400() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    for body in ["", "{", "[]", "\"x\"", "{\"id\": }"] {
        let (status, answer) = post(&marathon, body).await;
        assert_eq!(status, 400, "{body}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["message"], "Invalid JSON");
        assert_eq!(answer["details"][0]["path"], "/");
    }
}

#[tokio::test]
async fn every_right_spelling_is_taken() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    let check = |check: Value| with("/healthChecks", json!([check]));
    let host = json!({"image": "x", "network": "HOST", "parameters": []});
    let mut in_host_mode = with("/container/docker", host);
    in_host_mode["portDefinitions"] = json!([{"port": 0, "protocol": "tcp"}]);
    in_host_mode["requirePorts"] = json!(false);
    let apps = [
        in_host_mode,
        check(json!({"protocol": "COMMAND", "command": {"value": "true"},
            "gracePeriodSeconds": 4.0, "intervalSeconds": 10, "timeoutSeconds": 10})),
        check(json!({"protocol": "TCP", "portIndex": 0})),
        check(json!({"protocol": "MESOS_HTTPS", "path": "/", "portIndex": 0})),
        with(
            "/constraints",
            json!([
                ["hostname", "UNIQUE"],
                ["hostname", "UNIQUE", ""],
                ["habitat", "GROUP_BY"],
                ["habitat", "GROUP_BY", "3"],
                ["pool", "LIKE", "a|b"],
                ["x", "MAX_PER", "2"],
                ["x", "CLUSTER", "y"],
                ["x", "UNLIKE", "y.*"]
            ]),
        ),
        with("/healthChecks", Value::Null),
        with("/env", json!({"A": "", "B_1": "SECRET(x)"})),
        with("/args", json!(["a", "b"])),
        with("/instances", Value::Null),
    ];
    for (number, mut app) in apps.into_iter().enumerate() {
        app["id"] = json!(format!("web.main.git{number}.config{number}"));
        let (status, body) = post(&marathon, &app.to_string()).await;
        assert_eq!(status, 201, "{app}: {body}");
    }
}

/// The bodies that PaaSTA sent, recorded; `GOLDEN_DIR` names others. One with a broken number of
/// seconds is refused, and every other one is taken.
#[tokio::test]
async fn golden_bodies_of_paasta_are_taken_as_far_as_seconds_are_whole() {
    let marathon = Marathon::start(Settings::default()).await.unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let golden = env::var_os("GOLDEN_DIR").unwrap_or_else(|| "tests/golden".into());
    let mut taken = 0;
    for entry in fs::read_dir(repository.join(golden).join("marathon/expected")).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let body = &case["wire"];
        let checks = body["healthChecks"].as_array().into_iter().flatten();
        let mut numbers = checks.filter_map(Value::as_object).flat_map(|check| check.values());
        let is_broken = numbers.any(|value| value.as_f64().is_some_and(|n| n.fract() != 0.0));
        let expected = if is_broken { 400 } else { 201 };
        let (status, answer) = post(&marathon, &body.to_string()).await;
        assert_eq!(status, expected, "{}: {answer}", path.display());
        taken += usize::from(status == 201);
    }
    assert!(taken > 0, "there are no cases");
}
