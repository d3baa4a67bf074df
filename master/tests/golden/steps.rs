//! One pass over an instance: what it does to Marathon and to tasks.

use std::{collections::BTreeSet, fs, io::Write};

use jiff::{SignedDuration, Timestamp};
use paasta_master::{
    app::{App, Given},
    bounce::{Method, happy, happy::HealthParams},
    drain,
    marathon::running::{RunningApp, Task},
    step::{Fact, Facts, Seen, Step, next},
};
use serde_json::Value;
use soa_configs::{
    documents::Documents,
    ids::JobId,
    json,
    load::{self, Deployment, Kind},
    marathon::MarathonConfig,
    paasta::{self, Settings},
};

use crate::cases;

const BASE: &str = r#"{"cluster": "c1", "zookeeper": "zk:2181", "docker_registry": "reg.example.net",
    "volumes": [], "log_writer": {"driver": "null"}}"#;

/// An instance of a scenario, loaded.
struct Loaded {
    config: MarathonConfig,
    id: String,
    want: u32,
}

fn load(case: &Value) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: String, text: &str| {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let mut system: Value = serde_json::from_str(BASE).unwrap();
    for (key, value) in case["etc"].as_object().into_iter().flatten() {
        system[key] = value.clone();
    }
    write("etc/all.json".to_owned(), &system.to_string());
    let (service, name) = (case["service"].as_str().unwrap(), case["instance"].as_str().unwrap());
    for (file, text) in case["files"].as_object().unwrap() {
        if let Some(text) = text.as_str() {
            write(format!("soa/{service}/{file}"), text);
        }
    }
    let etc = dir.path().join("etc");
    let settings = Settings::read(&paasta::load(&etc).unwrap().unwrap(), &etc).unwrap();
    let mut documents = Documents::new(dir.path().join("soa"));
    documents.refresh().unwrap();
    let files = documents.service(service).unwrap();
    let cluster = settings.cluster().unwrap();
    let instance = load::instance(files, Kind::Marathon, service, name, cluster).unwrap();
    let deployment = Deployment::v1(files, &instance).unwrap();
    let config = MarathonConfig::read(&instance).unwrap();
    let (instance, deployment, settings) = (&instance, &deployment, &settings);
    let app =
        App::of(Given { files, instance, deployment, settings, scaled: None }, &config).unwrap();
    let want = json::canonical(app.definition.get("instances").unwrap()).unwrap();
    Loaded { config, id: format!("/{}", app.id), want: want.parse().unwrap() }
}

fn app(given: &Value, id: &str, now: Timestamp) -> RunningApp {
    let task = |(number, task): (usize, &Value)| Task {
        id: format!("{}.t{number}", id.trim_start_matches('/')),
        app_id: id.to_owned(),
        host: task["host"].as_str().unwrap_or("localhost").to_owned(),
        ports: vec![task["port"].as_u64().unwrap().try_into().unwrap()],
        state: task["state"].as_str().unwrap_or("TASK_RUNNING").to_owned(),
        started_at: (task["started"] != false).then(|| now - SignedDuration::from_secs(1000)),
        alive: match task.get("alive") {
            None => vec![true],
            Some(alive) => alive.as_bool().into_iter().collect(),
        },
    };
    let tasks = given["tasks"].as_array().into_iter().flatten().enumerate().map(task).collect();
    let instances = given["instances"].as_u64().unwrap().try_into().unwrap();
    RunningApp { id: id.to_owned(), instances, tasks, has_health_checks: true }
}

/// What is known of the tasks of an app.
fn facts(case: &Value, given: &Value, app: &RunningApp, loaded: &Loaded, now: Timestamp) -> Facts {
    let params = HealthParams::read(&loaded.config.bounce_health_params().unwrap()).unwrap();
    let of = |task: &Task| {
        let at = app.tasks.iter().position(|other| other.id == task.id).unwrap();
        &given["tasks"][at]
    };
    let is_registered = |task: &Task| {
        let status = of(task)["haproxy_status"].as_str().unwrap_or("UP");
        of(task)["in_haproxy"] != false && status.starts_with("UP")
    };
    let happy = happy::tasks(app, &params, now, is_registered);
    let delay = match drain_method(loaded) {
        drain::Method::Hacheck(parameters) => Some(parameters.delay),
        _ => None,
    };
    let draining_hosts = case["draining_hosts"].as_array();
    let fact = |task: &Task| {
        let hacheck = &of(task)["hacheck"];
        let since = hacheck["since_seconds_ago"].as_f64();
        Fact {
            is_happy: happy.iter().any(|other| other.id == task.id),
            is_draining: match delay {
                Some(_) if hacheck["fail"] == "ALL" => None,
                Some(_) => Some(since.is_some()),
                None => Some(false),
            },
            is_safe_to_kill: delay.is_none_or(|delay| since.is_some_and(|since| since > delay)),
            host_is_draining: draining_hosts
                .is_some_and(|hosts| hosts.contains(&task.host.as_str().into())),
        }
    };
    app.tasks.iter().map(|task| (task.id.clone(), fact(task))).collect()
}

fn drain_method(loaded: &Loaded) -> drain::Method {
    let config = &loaded.config;
    let params = config.drain_method_params().unwrap();
    drain::Method::parse(&config.drain_method().unwrap(), &params).unwrap()
}

/// All that a pass does, as words.
fn ours(step: &Step<'_>, loaded: &Loaded) -> BTreeSet<String> {
    let is_removed = |app: &str| step.remove.contains(&app);
    let scaled = step.scale.iter().filter(|scale| !is_removed(scale.app));
    let asks = matches!(drain_method(loaded), drain::Method::Hacheck(_));
    let down = step.drain.iter().filter(|task| asks && task.state != "TASK_UNREACHABLE");
    let up = if asks { step.undrain.len() } else { 0 };
    let mut words: BTreeSet<String> = [format!("{up} up"), format!("{} down", down.count())].into();
    words.extend(scaled.map(|scale| format!("scale {} to {}", scale.app, scale.to)));
    words.extend(step.create_app.then(|| "create".to_owned()));
    words.extend(step.kill.iter().map(|task| format!("kill {}", task.id)));
    words.extend(step.remove.iter().map(|app| format!("remove {app}")));
    words
}

fn theirs(expected: &Value) -> BTreeSet<String> {
    let calls = expected["marathon_calls"].as_array().unwrap();
    let path =
        |call: &Value| call["path"].as_str().unwrap().trim_start_matches("/v2/apps/").to_owned();
    let removed: Vec<_> =
        calls.iter().filter(|call| call["method"] == "DELETE").map(path).collect();
    let down = match &expected["hacheck_down_posts_any"]["count"] {
        Value::Null => expected["hacheck_down_posts"].as_array().unwrap().len(),
        count => usize::try_from(count.as_u64().unwrap()).unwrap(),
    };
    let up = expected["hacheck_up_posts"].as_array().unwrap().len();
    let mut words: BTreeSet<String> = [format!("{up} up"), format!("{down} down")].into();
    for call in calls {
        match (call["method"].as_str().unwrap(), call["path"].as_str().unwrap()) {
            ("POST", "/v2/apps") => drop(words.insert("create".to_owned())),
            ("POST", "/v2/tasks/delete") => {
                let ids = call["body"]["ids"].as_array().unwrap();
                words.extend(ids.iter().map(|id| format!("kill {}", id.as_str().unwrap())));
            }
            ("PUT", _) if !removed.contains(&path(call)) => {
                words.insert(format!("scale {} to {}", path(call), call["body"]["instances"]));
            }
            ("DELETE", _) => drop(words.insert(format!("remove {}", path(call)))),
            _ => {}
        }
    }
    words
}

#[test]
fn golden_passes_do_the_same() {
    let file = cases::json(&cases::kind("marathon").join("deploy/scenarios.json"));
    let now: Timestamp = "2018-03-31T09:05:07Z".parse().unwrap();
    let mut wrong = Vec::new();
    for case in cases::list(&file["scenarios"]) {
        let loaded = load(case);
        assert_eq!(loaded.id, case["expected"]["new_app_id"].as_str().unwrap());
        let (mut new, mut old, mut known) = (None, Vec::new(), Facts::new());
        for given in case["apps"].as_array().unwrap() {
            let id = match given["id"].as_str().unwrap() {
                "NEW" => &loaded.id,
                id => id,
            };
            let (service, name) =
                (case["service"].as_str().unwrap(), case["instance"].as_str().unwrap());
            if !JobId::matches(service, name, id) {
                continue;
            }
            let running = app(given, id, now);
            known.extend(facts(case, given, &running, &loaded, now));
            let is_here = given["shard"].as_u64().unwrap_or(0) == 0;
            if id == loaded.id && is_here { new = Some(running) } else { old.push(running) }
        }
        let config = &loaded.config;
        let method = config.bounce_method().unwrap();
        let seen = Seen {
            want: loaded.want,
            method: Method::parse(&method, &config.bounce_margin_factor).unwrap(),
            new: new.as_ref(),
            old: &old.iter().collect::<Vec<_>>(),
            facts: &known,
            drains_at_once: drain_method(&loaded) == drain::Method::Noop,
        };
        let step = next(&seen);
        let (mut ours, mut theirs) = (ours(&step, &loaded), theirs(&case["expected"]));
        // A task that cannot be drained is killed by whoever finds that out.
        let name = case["name"].as_str().unwrap();
        if matches!(name, "drain-post-fails" | "is-draining-fails") {
            let is_drain = |word: &String| word.ends_with(" down") || word.ends_with(" up");
            ours.retain(is_drain);
            theirs.retain(is_drain);
        }
        if ours != theirs {
            wrong.push(format!("{name}: {ours:?}\nexpected {theirs:?}"));
        }
    }
    cases::assert_none(&wrong);
}
