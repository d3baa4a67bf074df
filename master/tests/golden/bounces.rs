//! Decisions of a bounce, and which tasks serve.

use std::{collections::BTreeMap, net::IpAddr};

use paasta_master::{
    bounce::{
        Decision, Method, Situation, decide,
        happy::{self, HealthParams},
        proxies::{Registered, ServerName},
    },
    marathon::running::{RunningApp, Task},
};
use serde_json::{Value, json};
use soa_configs::{ids::JobId, json as exact, yaml::Node};

use crate::cases;

fn cases_of(name: &str) -> Value {
    cases::json(&cases::kind("marathon").join("functions").join(name))
}

fn node(value: &Value) -> Node {
    exact::parse(&value.to_string()).unwrap()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn golden_bounce_methods_decide_the_same() {
    let mut wrong = Vec::new();
    for case in cases::list(&cases_of("bounce_methods.json")) {
        let old = names(&case["old_non_draining_tasks"]);
        let situation = Situation {
            want: u32::try_from(case["new_config"]["instances"].as_u64().unwrap()).unwrap(),
            new_app_exists: case["new_app_running"].as_bool().unwrap(),
            happy_new: names(&case["happy_new_tasks"]).len(),
            old: &old,
        };
        let method = Method::parse(case["method"].as_str().unwrap(), &node(&case["margin_factor"]));
        let expected = &case["expected"];
        let is_same = match method {
            Err(_) => expected["error"].is_string(),
            Ok(method) => {
                let Decision { create_app, drain } = decide(method, &situation);
                let mut drained = drain.to_vec();
                let mut theirs = names(&expected["tasks_to_drain"]);
                // Theirs is a set.
                drained.sort_unstable();
                theirs.sort_unstable();
                expected["create_app"] == create_app && drained == theirs
            }
        };
        if !is_same {
            wrong.push(case.to_string());
        }
    }
    cases::assert_none(&wrong);
}

#[test]
fn golden_happy_tasks_are_the_same() {
    let mut wrong = Vec::new();
    for case in cases::list(&cases_of("happy_tasks.json")) {
        let app: RunningApp = serde_json::from_value(case["app"].clone()).unwrap();
        let params =
            HealthParams::read(node(&case["bounce_health_params"]).as_map().unwrap()).unwrap();
        let JobId { service, instance, .. } = JobId::parse(app.id.trim_start_matches('/')).unwrap();
        let namespace = format!("{service}.{instance}");
        let pages: BTreeMap<String, String> =
            serde_json::from_value(case["haproxy_csv_by_url"].clone()).unwrap();
        let is_registered = |task: &Task| {
            let url = format!("http://{}:3212/;csv;norefresh", task.host);
            let ip: IpAddr = case["resolver"][&task.host].as_str().unwrap().parse().unwrap();
            let page = pages
                .get(&url)
                .map(|csv| Registered::all(csv).unwrap().remove(&namespace).unwrap_or_default());
            page.is_some_and(|registered| registered.has(&[ip], &task.ports))
        };
        let now = case["now"].as_str().unwrap().parse().unwrap();
        let happy = happy::tasks(&app, &params, now, is_registered);
        let ours: Vec<&str> = happy.iter().map(|task| task.id.as_str()).collect();
        if json!(ours) != case["expected_happy_task_ids"] {
            wrong.push(format!("{}: {ours:?}", case["name"]));
        }
    }
    cases::assert_none(&wrong);
}

#[test]
fn golden_names_of_servers_are_taken_apart() {
    for case in cases::list(&cases_of("svname.json")) {
        let name = ServerName::parse(case["svname"].as_str().unwrap()).unwrap();
        assert_eq!(json!([name.ip, name.port, name.host]), case["expected"]);
    }
}
