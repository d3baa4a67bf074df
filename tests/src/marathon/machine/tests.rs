mod laws;
mod places;

use std::{net::Ipv4Addr, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::marathon::{Behaviour, Health, Phase, Reply, Request, answer};

const START: Moment = Moment::from_millis(1_516_708_800_000);

/// A machine with hosts `h1`, `h2`, ... in habitats `a`, `b`, `a`, ...
fn machine(hosts: u8, script: Script) -> Machine {
    let host = |n: u8| {
        let mut host = Host::at(Ipv4Addr::new(127, 0, 0, n));
        host.name = format!("h{n}");
        host.with_attribute("habitat", if n % 2 == 1 { "a" } else { "b" })
    };
    Machine::new(7, START, (1..=hosts).map(host).collect(), script)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn app(id: &str, instances: usize) -> Value {
    json!({"id": id, "cmd": "run", "instances": instances})
}

fn with_check(id: &str, instances: usize) -> Value {
    let check = json!({"protocol": "HTTP", "path": "/status", "portIndex": 0,
        "gracePeriodSeconds": 60, "intervalSeconds": 10, "maxConsecutiveFailures": 3});
    json!({"id": id, "cmd": "run", "instances": instances, "healthChecks": [check]})
}

/// Asks, and lets what is due happen.
fn ask(machine: &mut Machine, method: &str, path: &str, body: &Value) -> Reply {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = body.to_string();
    let reply = answer(machine, &Request { method, path, query, body: &body });
    machine.step(machine.now);
    reply
}

fn get(machine: &mut Machine, path: &str) -> Value {
    let reply = ask(machine, "GET", path, &Value::Null);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body.unwrap()
}

fn create(machine: &mut Machine, body: &Value) {
    let reply = ask(machine, "POST", "/v2/apps", body);
    assert_eq!(reply.status, 201, "{reply:?}");
}

fn wait(machine: &mut Machine, duration: Duration) {
    machine.step(machine.now.after(duration));
}

fn states(machine: &Machine) -> Vec<&'static str> {
    machine.tasks().map(Task::state).collect()
}

#[test]
fn a_task_is_staged_runs_and_is_healthy_when_the_script_says() {
    let slow =
        Behaviour { start_delay: seconds(5), health_delay: seconds(7), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(slow));
    create(&mut machine, &with_check("web", 1));
    assert_eq!(states(&machine), ["TASK_STAGING"]);
    let lock = machine.deployments();
    assert_eq!(lock.len(), 1);

    wait(&mut machine, seconds(5));
    assert_eq!(states(&machine), ["TASK_RUNNING"]);
    let shown = get(&mut machine, "/v2/tasks");
    assert_eq!(shown["tasks"][0]["startedAt"], "2018-01-23T12:00:05.000Z");
    assert_eq!(shown["tasks"][0].get("healthCheckResults"), None);
    assert_eq!(machine.deployments(), lock, "it is locked until it is healthy");

    wait(&mut machine, seconds(7));
    let shown = get(&mut machine, "/v2/apps//web");
    let result = &shown["app"]["tasks"][0]["healthCheckResults"][0];
    assert_eq!(result["alive"], true);
    assert_eq!(result["firstSuccess"], "2018-01-23T12:00:12.000Z");
    assert_eq!(shown["app"]["tasksHealthy"], 1);
    assert!(machine.deployments().is_empty());
}

#[test]
fn a_locked_app_is_changed_only_by_force() {
    let slow = Behaviour { start_delay: seconds(5), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(slow));
    create(&mut machine, &app("web", 1));
    let lock = machine.deployments().remove(0);
    for (method, path, body) in [
        ("PUT", "/v2/apps//web", json!({"instances": 2})),
        ("DELETE", "/v2/apps//web?force=false", Value::Null),
        ("POST", "/v2/tasks/delete?scale=True", json!({"ids": [task_ids(&machine)[0]]})),
    ] {
        let reply = ask(&mut machine, method, path, &body);
        assert_eq!(reply.status, 409, "{method} {path}");
        let body = reply.body.unwrap();
        assert_eq!(body["deployments"], json!([{"id": lock}]));
        let message = body["message"].as_str().unwrap();
        assert!(message.ends_with(&format!("View details at '/v2/deployments/{lock}'.")));
        assert_eq!(
            machine.deployments(),
            *std::slice::from_ref(&lock),
            "a refusal changes nothing"
        );
    }
    let reply = ask(&mut machine, "PUT", "/v2/apps//web?force=True", &json!({"instances": 2}));
    assert_eq!(reply.status, 200);
    assert_ne!(machine.deployments(), [lock]);
    assert_eq!(machine.deployments(), [reply.deployment.unwrap()]);
    assert_eq!(machine.tasks.len(), 2);
    let same = ask(&mut machine, "PUT", "/v2/apps//web", &json!({"instances": 2}));
    assert_eq!(same.status, 200, "what changes nothing asks for no lock");
}

fn task_ids(machine: &Machine) -> Vec<String> {
    machine.tasks().map(|task| task.id.to_string()).collect()
}

#[test]
fn kill_and_scale_counts_only_living_tasks_and_never_goes_below_nothing() {
    let dying = Behaviour { kill_delay: seconds(10), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(dying));
    create(&mut machine, &app("web", 3));
    let ids = task_ids(&machine);
    let kill = json!({"ids": [ids[0], "web.gone", "other.gone"]});
    let path = "/v2/tasks/delete?scale=True&force=True";
    for _ in 0..2 {
        assert_eq!(ask(&mut machine, "POST", path, &kill).status, 200);
        assert_eq!(machine.instances(&AppId::new("web")), Some(2));
    }
    assert_eq!(states(&machine), ["TASK_KILLING", "TASK_RUNNING", "TASK_RUNNING"]);
    wait(&mut machine, seconds(10));
    assert!(machine.deployments().is_empty());
    assert_eq!(task_ids(&machine), ids[1..]);

    ask(&mut machine, "PUT", "/v2/apps/web?force=true", &json!({"instances": 0}));
    assert_eq!(machine.deployments().len(), 1, "it is locked while tasks die");
    ask(&mut machine, "POST", path, &json!({"ids": ids}));
    assert_eq!(machine.instances(&AppId::new("web")), Some(0));
    for (query, ids, status) in [
        ("scale=true&wipe=true", json!({"ids": []}), 400),
        ("scale=true", json!({"ids": ["nonsense"]}), 400),
        ("scale=true", json!({"ids": [1]}), 400),
        ("scale=true", json!({}), 400),
        ("wipe=true", json!({"ids": ["a.b"]}), 200),
    ] {
        let reply = ask(&mut machine, "POST", &format!("/v2/tasks/delete?{query}"), &ids);
        assert_eq!(reply.status, status, "{query} {ids}");
    }
}

#[test]
fn a_killed_task_is_replaced_unless_the_app_is_scaled_too() {
    let mut machine = machine(1, Script::default());
    create(&mut machine, &app("web", 1));
    let first = task_ids(&machine);
    let reply = ask(&mut machine, "POST", "/v2/tasks/delete", &json!({"ids": first}));
    assert_eq!(reply.body.unwrap()["tasks"][0]["id"], json!(first[0]));
    assert_eq!(machine.tasks.len(), 1);
    assert_ne!(task_ids(&machine), first);
}

#[test]
fn what_fails_to_start_is_held_back_longer_each_time_and_the_queue_shows_it() {
    let failing = Behaviour { fails_to_start: true, ..Behaviour::default() };
    let mut machine = machine(1, Script::all(failing));
    let mut body = app("web", 2);
    body["backoffSeconds"] = json!(10);
    body["backoffFactor"] = json!(2);
    body["maxLaunchDelaySeconds"] = json!(30);
    create(&mut machine, &body);
    // Both failed at once: 10, then 20 s.
    let queue = get(&mut machine, "/v2/queue");
    assert_eq!(queue["queue"][0]["count"], 2);
    assert_eq!(queue["queue"][0]["delay"], json!({"timeLeftSeconds": 20.0, "overdue": false}));
    let failure = get(&mut machine, "/v2/apps//web");
    assert_eq!(failure["app"]["lastTaskFailure"]["state"], "TASK_FAILED");
    wait(&mut machine, seconds(20));
    let queue = get(&mut machine, "/v2/queue");
    assert_eq!(queue["queue"][0]["delay"]["timeLeftSeconds"], 30.0, "no longer than the limit");

    machine.set_script(Script::default());
    wait(&mut machine, seconds(29));
    assert!(states(&machine).is_empty());
    wait(&mut machine, seconds(1));
    assert_eq!(states(&machine), ["TASK_RUNNING", "TASK_RUNNING"]);
    assert_eq!(get(&mut machine, "/v2/queue"), json!({"queue": []}));
}

#[test]
fn a_sick_task_is_killed_after_its_grace_and_replaced_after_the_back_off() {
    let sick = Behaviour { health: Health::Bad, ..Behaviour::default() };
    let mut machine = machine(1, Script::all(sick));
    create(&mut machine, &with_check("web", 1));
    let first = task_ids(&machine);
    wait(&mut machine, seconds(59));
    assert_eq!(task_ids(&machine), first, "failures within the grace period kill nobody");
    let shown = get(&mut machine, "/v2/tasks");
    assert_eq!(shown["tasks"][0]["healthCheckResults"][0]["alive"], false);
    assert_eq!(shown["tasks"][0]["healthCheckResults"][0]["consecutiveFailures"], 6);
    wait(&mut machine, seconds(2));
    assert_ne!(task_ids(&machine), first);
}

#[test]
fn a_task_out_of_reach_counts_until_it_is_replaced() {
    let lost = Behaviour {
        unreachable_after: Some(seconds(5)),
        replaced_after: Some(seconds(60)),
        ..Behaviour::default()
    };
    let mut machine = machine(1, Script::all(lost));
    create(&mut machine, &app("web", 1));
    let first = TaskId::from(task_ids(&machine)[0].as_str());
    wait(&mut machine, seconds(5));
    assert_eq!(states(&machine), ["TASK_UNREACHABLE"]);
    machine.set_script(Script::all(Behaviour { unreachable_after: None, ..lost }));
    wait(&mut machine, seconds(60));
    assert_eq!(states(&machine), ["TASK_UNREACHABLE", "TASK_RUNNING"]);
    machine.find(&first);
    wait(&mut machine, seconds(0));
    assert_eq!(states(&machine), ["TASK_RUNNING"], "one too many has to go");
}

#[test]
fn a_task_dies_by_the_script_and_comes_back() {
    let mortal = Behaviour { dies_after: Some(seconds(100)), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(mortal));
    create(&mut machine, &app("web", 1));
    let first = task_ids(&machine);
    wait(&mut machine, seconds(100));
    assert!(states(&machine).is_empty());
    wait(&mut machine, seconds(1));
    assert_eq!(states(&machine), ["TASK_RUNNING"]);
    assert_ne!(task_ids(&machine), first);
}

#[test]
fn scaling_down_takes_the_youngest_and_those_that_do_not_run_first() {
    let slow = Behaviour { start_delay: seconds(5), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(slow));
    create(&mut machine, &app("web", 2));
    wait(&mut machine, seconds(5));
    let old = task_ids(&machine);
    for (instances, left) in [(4, 4), (2, 2), (1, 1)] {
        let body = json!({"instances": instances});
        ask(&mut machine, "PUT", "/v2/apps//web?force=true", &body);
        assert_eq!(machine.tasks.len(), left);
    }
    assert_eq!(task_ids(&machine), old[..1]);
}

#[test]
fn a_changed_definition_makes_all_tasks_anew() {
    let mut machine = machine(1, Script::default());
    create(&mut machine, &app("web", 2));
    let before = task_ids(&machine);
    wait(&mut machine, seconds(1));
    ask(&mut machine, "PUT", "/v2/apps//web", &json!({"cmd": "other"}));
    let after = task_ids(&machine);
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|task| !before.contains(task)));
    assert_eq!(get(&mut machine, "/v2/apps//web")["app"]["cmd"], "other");
}

#[test]
fn the_same_definition_again_changes_nothing_and_defaults_are_shown() {
    let mut machine = machine(1, Script::default());
    let body = json!({"id": "web", "cmd": "run", "healthChecks": [{"path": "/"}]});
    create(&mut machine, &body);
    let before = task_ids(&machine);
    let shown = get(&mut machine, "/v2/apps//web");
    assert_eq!(shown["app"]["healthChecks"][0]["intervalSeconds"], 60);
    assert_eq!(shown["app"]["healthChecks"][0]["portIndex"], 0);
    wait(&mut machine, seconds(1));
    assert_eq!(ask(&mut machine, "PUT", "/v2/apps//web", &body).status, 200);
    assert_eq!(task_ids(&machine), before);
    assert!(machine.deployments().is_empty());
}

#[test]
fn a_deleted_app_is_gone_at_once_and_its_id_is_locked_while_tasks_die() {
    let dying = Behaviour { kill_delay: seconds(10), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(dying));
    create(&mut machine, &app("web", 1));
    assert_eq!(ask(&mut machine, "DELETE", "/v2/apps//web", &Value::Null).status, 200);
    assert!(machine.app_ids().is_empty());
    assert_eq!(states(&machine), ["TASK_KILLING"]);
    assert_eq!(ask(&mut machine, "POST", "/v2/apps", &app("web", 1)).status, 409);
    wait(&mut machine, seconds(10));
    assert!(states(&machine).is_empty());
    create(&mut machine, &app("web", 1));
}

#[test]
fn a_deleted_app_can_be_listed_for_a_while() {
    let listed = Behaviour { listed_after_deletion: seconds(10), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(listed));
    create(&mut machine, &app("web", 1));
    ask(&mut machine, "DELETE", "/v2/apps//web?force=True", &Value::Null);
    wait(&mut machine, seconds(9));
    assert_eq!(machine.app_ids(), [AppId::new("web")]);
    wait(&mut machine, seconds(1));
    assert!(machine.app_ids().is_empty());
}

#[test]
fn a_deployment_is_undone_or_by_force_only_given_up() {
    let slow = Behaviour { start_delay: seconds(100), ..Behaviour::default() };
    let mut machine = machine(1, Script::all(slow));
    create(&mut machine, &app("web", 1));
    wait(&mut machine, seconds(100));
    for (query, status, instances) in [("", 200, 1), ("?force=true", 202, 3)] {
        ask(&mut machine, "PUT", "/v2/apps//web?force=true", &json!({"instances": 3}));
        let shown = get(&mut machine, "/v2/deployments");
        let id = shown[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(shown[0]["affectedApps"], json!(["/web"]));
        let path = format!("/v2/deployments/{id}{query}");
        let reply = ask(&mut machine, "DELETE", &path, &Value::Null);
        assert_eq!((reply.status, reply.body.is_none()), (status, status == 202));
        assert_eq!(machine.instances(&AppId::new("web")), Some(instances));
        let again = ask(&mut machine, "DELETE", &path, &Value::Null);
        assert_eq!(again.status, 404);
        assert!(machine.deployments().is_empty());
    }
}

#[test]
fn real_tasks_end_when_they_say_so_or_after_their_grace() {
    let mut machine = machine(1, Script::default()).with_real_tasks();
    create(&mut machine, &app("web", 2));
    let ids = task_ids(&machine);
    ask(&mut machine, "DELETE", "/v2/apps//web", &Value::Null);
    assert_eq!(states(&machine), ["TASK_KILLING", "TASK_KILLING"]);
    machine.ended(&TaskId::from(ids[0].as_str()));
    assert_eq!(task_ids(&machine), ids[1..]);
    wait(&mut machine, seconds(3));
    assert!(machine.tasks.is_empty());
}

#[test]
fn a_state_that_is_put_there_stays_as_it_is_until_somebody_changes_it() {
    let mut machine = machine(2, Script::all(Behaviour::frozen()));
    let unreachable = Phase::Unreachable { since: START, is_replaced: false };
    let tasks = [
        Adopted::on("h1", 1).alive(true),
        Adopted::on("h2", 2).alive(false),
        Adopted::on("h2", 3).never_started(),
        Adopted::on("h1", 4).in_phase(Phase::Staging).never_started(),
        Adopted::on("h1", 5).in_phase(unreachable),
    ];
    let ids = machine.adopt(&with_check("web", 7).to_string(), &tasks).unwrap();
    wait(&mut machine, seconds(10_000));
    let shown = get(&mut machine, "/v2/apps?embed=app.tasks");
    let tasks = shown["apps"][0]["tasks"].as_array().unwrap();
    assert_eq!(tasks.iter().map(|task| &task["ports"][0]).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(tasks[0]["startedAt"], "1970-01-01T00:00:00.000Z");
    assert_eq!(tasks[1]["healthCheckResults"][0]["alive"], false);
    assert_eq!((tasks[2].get("startedAt"), tasks[2].get("healthCheckResults")), (None, None));
    assert_eq!(
        (&tasks[3]["state"], &tasks[4]["state"]),
        (&json!("TASK_STAGING"), &json!("TASK_UNREACHABLE"))
    );
    let queue = get(&mut machine, "/v2/queue?embed=lastUnusedOffers");
    assert_eq!(queue["queue"][0]["count"], 2);
    let kill = json!({"ids": [ids[1].as_str()]});
    ask(&mut machine, "POST", "/v2/tasks/delete?scale=True&force=True", &kill);
    assert_eq!((machine.tasks.len(), machine.instances(&AppId::new("web"))), (4, Some(6)));
    machine.adopt(&app("api", 1).to_string(), &[Adopted::on("nowhere", 1)]).unwrap_err();
}

#[test]
fn what_happens_is_told_in_its_order() {
    let mut machine = machine(1, Script::default());
    create(&mut machine, &app("web", 1));
    let told: Vec<String> = machine.take_events().iter().map(ToString::to_string).collect();
    let id = &task_ids(&machine)[0];
    assert_eq!(told[0], "app /web: 1 wanted");
    assert_eq!(told[2], format!("task {id}: staged on h1 [31000]"));
    assert_eq!(told[3], format!("task {id}: running"));
    assert!(told[4].ends_with("finished"), "{told:?}");
    assert!(machine.tasks().all(|task| task.phase == Phase::Running));
}
