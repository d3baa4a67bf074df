//! The state as master and agents tell it.

use serde_json::{Map, Value, json};

use super::{Listing, State};
use crate::marathon::{Host, Task};

const FRAMEWORK: &str = "20180123-120000-0-0000";

/// What the master says at a path; none if there is nothing.
pub(super) fn master(state: &State, path: &str) -> Option<Value> {
    let slaves: Vec<Value> = state.hosts.iter().map(slave).collect();
    Some(match path {
        "/master/maintenance/status" | "/maintenance/status" => maintenance(state),
        "/master/slaves" | "/slaves" => json!({"slaves": slaves, "recovered_slaves": []}),
        "/master/state" | "/master/state.json" | "/state" | "/state.json" => json!({
            "version": "1.4.1", "id": "20180123-120000", "hostname": "localhost",
            "pid": "master@127.0.0.1:5050", "leader": "master@127.0.0.1:5050",
            "activated_slaves": slaves.len(), "slaves": slaves, "frameworks": [framework(state)],
            "completed_frameworks": [], "unregistered_frameworks": [], "orphan_tasks": [],
        }),
        "/master/state-summary" | "/state-summary" => {
            let summary = |host: &Host| {
                let mut slave = slave(host);
                slave["TASK_RUNNING"] = json!(on(state, &host.name).count());
                slave["framework_ids"] = json!([FRAMEWORK]);
                slave
            };
            let slaves: Vec<Value> = state.hosts.iter().map(summary).collect();
            let mut marathon = framework(state);
            if let Some(fields) = marathon.as_object_mut() {
                fields.remove("tasks");
                fields.remove("completed_tasks");
            }
            json!({"hostname": "localhost", "slaves": slaves, "frameworks": [marathon]})
        }
        "/master/frameworks" | "/frameworks" => json!({
            "frameworks": [framework(state)], "completed_frameworks": [],
            "unregistered_frameworks": [],
        }),
        "/master/flags" | "/flags" => json!({"flags": {"port": "5050", "cluster": "simulated"}}),
        "/metrics/snapshot" => json!({
            "master/elected": 1.0, "master/slaves_active": slaves.len(),
            "master/tasks_running": state.tasks.len(),
        }),
        _ => return None,
    })
}

/// What the agent of a host says at a path; none if there is nothing.
pub(super) fn agent(state: &State, host: &str, path: &str) -> Option<Value> {
    let host = state.hosts.iter().find(|one| one.name == host)?;
    Some(match path {
        "/state" | "/state.json" | "/slave(1)/state" | "/slave(1)/state.json" => {
            let mut shown = slave(host);
            let executors: Vec<Value> = on(state, &host.name).map(executor).collect();
            shown["frameworks"] = json!([{
                "id": FRAMEWORK, "name": "marathon", "executors": executors,
                "completed_executors": [],
            }]);
            shown["completed_frameworks"] = json!([]);
            shown
        }
        "/monitor/statistics" | "/monitor/statistics.json" => {
            on(state, &host.name).map(|task| statistics(state, task)).collect()
        }
        _ => return None,
    })
}

fn on<'a>(state: &'a State, host: &'a str) -> impl Iterator<Item = &'a Task> {
    state.tasks.iter().filter(move |task| task.host == host)
}

fn maintenance(state: &State) -> Value {
    let machine = |name: &String| {
        let host = state.hosts.iter().find(|host| host.name == *name);
        let ip = host.map_or_else(|| "127.0.0.1".to_owned(), |host| host.address.to_string());
        json!({"hostname": name, "ip": ip})
    };
    let draining = |name: &String| match state.listing {
        Listing::ById => json!({"id": machine(name), "statuses": []}),
        Listing::Direct => machine(name),
    };
    let mut status = Map::new();
    let lists = [
        ("draining_machines", state.draining.iter().map(draining).collect::<Vec<_>>()),
        ("down_machines", state.down.iter().map(machine).collect()),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        status.insert(name.to_owned(), list.into());
    }
    status.into()
}

fn slave(host: &Host) -> Value {
    let ports = format!("[{}-{}]", host.ports.start(), host.ports.end());
    json!({
        "id": host.slave_id(), "hostname": host.name, "active": true, "version": "1.4.1",
        "pid": format!("slave(1)@{}:5051", host.address), "attributes": host.attributes,
        "resources": {"cpus": 4.0, "mem": 8192.0, "disk": 65536.0, "gpus": 0.0, "ports": ports},
        "used_resources": {"cpus": 0.0, "mem": 0.0, "disk": 0.0, "gpus": 0.0},
        "registered_time": 1_516_708_800.0,
    })
}

fn framework(state: &State) -> Value {
    let tasks: Vec<Value> = state.tasks.iter().map(task).collect();
    json!({
        "id": FRAMEWORK, "name": "marathon", "active": true, "hostname": "localhost",
        "webui_url": "", "tasks": tasks, "completed_tasks": [],
    })
}

fn task(task: &Task) -> Value {
    json!({
        "id": task.id.as_str(), "name": task.app.as_str().trim_start_matches('/'),
        "framework_id": FRAMEWORK, "executor_id": "", "slave_id": task.slave,
        "state": task.state(), "statuses": [],
        "resources": {"cpus": 1.0, "mem": 128.0, "disk": 0.0, "ports": ports(task)},
    })
}

fn ports(task: &Task) -> String {
    let ranges: Vec<String> = task.ports.iter().map(|port| format!("{port}-{port}")).collect();
    format!("[{}]", ranges.join(", "))
}

fn executor(one: &Task) -> Value {
    json!({
        "id": one.id.as_str(), "source": one.id.as_str(), "container": one.id.as_str(),
        "tasks": [task(one)], "queued_tasks": [], "completed_tasks": [],
        "resources": {"cpus": 1.1, "mem": 160.0, "ports": ports(one)},
    })
}

fn statistics(state: &State, task: &Task) -> Value {
    let usage = state.usage.get(&task.id).copied().unwrap_or_default();
    json!({
        "executor_id": task.id.as_str(), "executor_name": "Command Executor",
        "framework_id": FRAMEWORK, "source": task.id.as_str(),
        "statistics": {
            "cpus_limit": usage.cpus_limit, "cpus_user_time_secs": usage.user_seconds,
            "cpus_system_time_secs": usage.system_seconds, "mem_rss_bytes": usage.memory,
            "mem_limit_bytes": 167_772_160, "timestamp": 1_516_708_800.0,
        },
    })
}
