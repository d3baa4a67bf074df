//! One pass over an instance: what it does to Marathon and to tasks.

use std::{collections::BTreeSet, fs, io::Write};

use jiff::{SignedDuration, Timestamp};
use paasta_master::{
    app::{App, Given},
    bounce::{Method, happy, happy::HealthParams},
    deploy::lines::{Bounce, Level, Line, goes_on},
    drain,
    drain::drainer::Undone,
    marathon::running::{RunningApp, Task},
    step::{Drained, Ends, Fact, Facts, Seen, Step, UNREACHABLE, next},
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
    let shard = given["shard"].as_u64().unwrap_or(0).try_into().unwrap();
    RunningApp { id: id.to_owned(), shard, instances, tasks, has_health_checks: true, odd: None }
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
            is_safe_to_kill: match delay {
                Some(_) if hacheck["fail"] == "ALL" => None,
                Some(delay) => Some(since.is_some_and(|since| since > delay)),
                None => Some(true),
            },
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

/// Everything that a pass does and says.
struct Pass {
    words: BTreeSet<String>,
    /// Sorted: of several tasks the order is free.
    lines: Vec<(bool, String)>,
    again: Option<u64>,
}

fn ours(case: &Value, seen: &Seen<'_>, loaded: &Loaded) -> Pass {
    let name =
        format!("{}.{}", case["service"].as_str().unwrap(), case["instance"].as_str().unwrap());
    let bounce = Bounce { method: seen.method, name: &name, id: loaded.id.trim_start_matches('/') };
    let mut step = next(seen);
    let mut lines: Vec<Line> = bounce.progress(seen, &step).into_iter().collect();
    lines.extend(step.create_app.then(|| bounce.creating()));
    let refused = case["create_status"].as_u64().filter(|status| step.create_app && *status >= 400);
    if refused.is_some() {
        step.drain.clear();
    }
    let drained = drained(case, &step, loaded);
    let outcomes: Vec<Drained> = drained.iter().map(|(drained, _)| *drained).collect();
    let ends = if refused.is_some() { Ends::default() } else { step.ends(seen, &outcomes) };
    lines.extend(bounce.draining(&step));
    lines.extend(bounce.ends(seen, &step, &drained, &ends));
    lines.extend(bounce.finishing(seen, &step, &ends).filter(|_| refused.is_none()));
    let again = match refused {
        None | Some(409) => goes_on(seen, &step).then_some(60),
        Some(_) => None,
    };
    let mut lines: Vec<_> =
        lines.into_iter().map(|line| (line.level == Level::Event, line.text)).collect();
    lines.sort();
    Pass { words: words(&step, &ends, loaded), lines, again }
}

/// What draining comes to, by what each hacheck answers.
fn drained(case: &Value, step: &Step<'_>, loaded: &Loaded) -> Vec<(Drained, Option<Undone>)> {
    let asks = matches!(drain_method(loaded), drain::Method::Hacheck(_));
    let apps = case["apps"].as_array().unwrap();
    let of = |task: &Task| {
        let id = |app: &Value| {
            app["id"] == *task.app_id || task.app_id == loaded.id && app["id"] == "NEW"
        };
        let app = apps.iter().find(|app| id(app)).unwrap();
        let number: usize = task.id.rsplit_once(".t").unwrap().1.parse().unwrap();
        app["tasks"][number]["hacheck"]["fail"].as_str().unwrap_or_default().to_owned()
    };
    let drained = step.drain.iter().map(|task| {
        let fails = asks && task.state != UNREACHABLE && !of(task).is_empty();
        let is_safe_to_kill = match of(task).as_str() {
            "ALL" if asks => None,
            // One that was marked just now is not down for long.
            _ => Some(!asks),
        };
        let drained = Drained { is_marked: !fails, is_safe_to_kill };
        (drained, fails.then_some(Undone::OnPurpose))
    });
    drained.collect()
}

/// All that a pass does, as words.
fn words(step: &Step<'_>, ends: &Ends<'_>, loaded: &Loaded) -> BTreeSet<String> {
    let is_removed = |app: &RunningApp| ends.remove.iter().any(|removed| removed.id == app.id);
    let scaled = step.scale.iter().filter(|scale| !is_removed(scale.app));
    let asks = matches!(drain_method(loaded), drain::Method::Hacheck(_));
    let down = step.drain.iter().filter(|task| asks && task.state != UNREACHABLE);
    let up = if asks { step.undrain.len() } else { 0 };
    let mut words: BTreeSet<String> = [format!("{up} up"), format!("{} down", down.count())].into();
    words.extend(scaled.map(|scale| format!("scale {} to {}", scale.app.id, scale.to)));
    words.extend(step.create_app.then(|| "create".to_owned()));
    words.extend(ends.kill.iter().map(|task| format!("kill {}", task.id)));
    words.extend(ends.remove.iter().map(|app| format!("remove {}", app.id)));
    words
}

/// What theirs logged, sorted. Texts that depend on language or library end where they begin.
fn their_lines(case: &Value) -> Vec<(bool, String)> {
    let lines = case["expected"]["logs"].as_array().unwrap().iter();
    let mut lines: Vec<_> = lines
        .map(|line| {
            assert_eq!((&line["component"], &line["cluster"]), (&"deploy".into(), &"c1".into()));
            (line["level"] == "event", line["line"].as_str().unwrap().to_owned())
        })
        .collect();
    lines.sort();
    lines
}

fn plain(lines: &[(bool, String)]) -> Vec<(bool, String)> {
    let cut = |text: &str| match text.split_once("exception") {
        // `due to exception when draining: ..`
        Some((_, after)) if after.starts_with(' ') && text.contains("killing task") => {
            let end = text.find(": ").unwrap_or(text.len());
            text[..end].to_owned()
        }
        _ => text.to_owned(),
    };
    let told = |text: &str| !text.starts_with("Exception raised") && !text.starts_with("Ignoring");
    lines.iter().filter(|(_, text)| told(text)).map(|(event, text)| (*event, cut(text))).collect()
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
            if id == loaded.id && running.shard == 0 {
                new = Some(running)
            } else {
                old.push(running)
            }
        }
        let config = &loaded.config;
        let method = config.bounce_method().unwrap();
        let seen = Seen {
            want: loaded.want,
            method: Method::parse(&method, &config.bounce_margin_factor).unwrap(),
            new: new.as_ref(),
            old: &old.iter().collect::<Vec<_>>(),
            facts: &known,
            // As PaaSTA does; our default is the other one.
            kills_undrained: true,
        };
        let name = case["name"].as_str().unwrap();
        let Pass { words, lines, again } = ours(case, &seen, &loaded);
        let expected = &case["expected"];
        let theirs = theirs(expected);
        if words != theirs {
            wrong.push(format!("{name}: {words:?}\nexpected {theirs:?}"));
        }
        let lines = plain(&lines);
        let any = &expected["hacheck_down_posts_any"];
        let theirs = plain(&their_lines(case));
        // Which of equal tasks are drained is left to chance, and so are the lines about them.
        let ours: Vec<_> = if any.is_null() {
            lines
        } else {
            lines.into_iter().filter(|line| theirs.contains(line)).collect()
        };
        if ours != theirs {
            wrong.push(format!("{name} says {ours:#?}\nexpected {theirs:#?}"));
        }
        if again != expected["bounce_again_in_seconds"].as_u64() {
            wrong.push(format!("{name}: again {again:?}"));
        }
    }
    cases::assert_none(&wrong);
}
