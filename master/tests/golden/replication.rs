//! Whether enough is there, and what Sensu is told.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use jiff::{SignedDuration, Timestamp};
use paasta_master::{
    events::{Check, Event},
    marathon::running::Task,
    replication::{self, Agent, Asked, by_location, by_tasks},
};
use serde_json::Value;
use soa_configs::{
    Cluster,
    documents::Documents,
    ids::JobId,
    load::{self, Kind},
    marathon::MarathonConfig,
};

use crate::cases;

#[test]
fn golden_shares_are_the_same() {
    let file = cases::kind("marathon").join("functions/is_under_replicated.json");
    for case in cases::list(&cases::json(&file)) {
        let available = case["num_available"].as_u64().unwrap();
        let expected = case["expected_count"].as_i64().unwrap();
        let ours =
            replication::share(available, expected, case["crit_threshold"].as_f64().unwrap());
        assert_eq!(serde_json::json!([ours.0, ours.1]), case["expected"], "{case}");
    }
}

/// The event of a case, and what it should be.
fn event(case: &Value, dir: &Path) -> Value {
    fs::create_dir(dir.join("svc")).unwrap();
    for (name, text) in case["files"].as_object().unwrap() {
        if let Some(text) = text.as_str() {
            let mut file = fs::File::create(dir.join("svc").join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }
    let mut documents = Documents::new(dir);
    documents.refresh().unwrap();
    let files = documents.service("svc").unwrap();
    let cluster: Cluster = "c1".parse().unwrap();
    let instance = load::instance(files, Kind::Marathon, "svc", "main", &cluster).unwrap();
    let config = MarathonConfig::read(&instance).unwrap();
    let number = |node| soa_configs::json::canonical(node).unwrap();
    let asked = Asked {
        name: instance.to_string(),
        expected: number(&config.instances).parse().unwrap(),
        threshold: number(&config.replication_threshold).parse().unwrap(),
    };
    let finding = if replication::is_counted_in_haproxy(&config, &asked) {
        by_location(&asked, &served(case, &config, &asked))
    } else {
        by_tasks(&asked, healthy(case))
    };
    let overrides = replication::overrides(files, &config);
    let name = "check_marathon_services_replication.svc.main";
    let (status, output) = (finding.status, finding.output.as_str());
    let check = Check { name, status, output, cluster: "c1", overrides: &overrides };
    serde_json::to_value(Event::of(files, check).unwrap().unwrap()).unwrap()
}

fn served(case: &Value, config: &MarathonConfig, asked: &Asked) -> BTreeMap<String, u64> {
    let agent = |slave: &Value| Agent {
        hostname: slave["hostname"].as_str().unwrap().to_owned(),
        attributes: serde_json::from_value(slave["attributes"].clone()).unwrap(),
    };
    let agents: Vec<_> = case["mesos_slaves"].as_array().unwrap().iter().map(agent).collect();
    let mut barred = config.monitoring_blacklist().unwrap();
    barred.extend(config.container.deploy_blacklist.iter().cloned());
    let locations = replication::locations(&agents, &config.namespace.discover, &barred);
    let up = |hosts: &[&str]| {
        let text = case["haproxy_csv_by_host"][hosts[0]].as_str().unwrap();
        replication::servers_up(text, &asked.name).unwrap()
    };
    locations.into_iter().map(|(place, hosts)| (place.to_owned(), up(&hosts))).collect()
}

fn healthy(case: &Value) -> u64 {
    let now: Timestamp = "2018-03-31T09:05:07Z".parse().unwrap();
    let task = |given: &Value| Task {
        app_id: given["appId"].as_str().unwrap_or("/svc.main.gita.configb").to_owned(),
        started_at: given["age"].as_i64().map(|age| now - SignedDuration::from_secs(age)),
        alive: given["alive"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|alive| alive.as_bool().unwrap())
            .collect(),
        id: "t".to_owned(),
        host: "localhost".to_owned(),
        ports: Vec::new(),
        state: "TASK_RUNNING".to_owned(),
    };
    let tasks = case["tasks"].as_array().unwrap().iter().map(task);
    let ours = tasks.filter(|task| JobId::matches("svc", "main", &task.app_id));
    ours.filter(|task| replication::counts(task, now)).count().try_into().unwrap()
}

#[test]
fn golden_events_say_the_same() {
    let file = cases::kind("marathon").join("monitoring/replication.json");
    let mut wrong = Vec::new();
    for case in cases::list(&cases::json(&file)) {
        let dir = tempfile::tempdir().unwrap();
        let ours = event(case, dir.path());
        let [expected] = &case["expected_events"].as_array().unwrap()[..] else { panic!("{case}") };
        for key in [
            "name",
            "runbook",
            "status",
            "team",
            "tip",
            "notification_email",
            "ticket",
            "project",
            "page",
            "realert_every",
            "source",
            "ttl",
            "irc_channels",
        ] {
            if ours[key] != expected[key] {
                wrong.push(format!(
                    "{}: {key} is {}, expected {}",
                    case["name"], ours[key], expected[key]
                ));
            }
        }
        for (key, theirs) in [("alert_after", "alert_after"), ("interval", "check_every")] {
            let minutes: u64 =
                expected[theirs].as_str().unwrap().trim_end_matches('m').parse().unwrap();
            assert_eq!(ours[key], minutes * 60, "{key}");
        }
        // marathon-sync.md §25.5: the original counts the tasks of `main2` for `main`.
        let theirs = expected["output_head"].as_str().unwrap();
        let theirs = match case["name"].as_str() {
            Some("other-registration-uses-marathon") => theirs.replace("has 2 out", "has 1 out"),
            _ => theirs.to_owned(),
        };
        if !ours["output"].as_str().unwrap().starts_with(&theirs) {
            wrong.push(format!("{}: {}\nexpected {theirs}", case["name"], ours["output"]));
        }
    }
    cases::assert_none(&wrong);
}
