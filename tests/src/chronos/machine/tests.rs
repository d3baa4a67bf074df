use std::time::Duration;

use serde_json::json;

use super::*;
use crate::chronos::script::Behaviour;

fn at(time: &str) -> Timestamp {
    format!("2018-03-14T{time}Z").parse().unwrap()
}

fn machine(script: Script) -> Machine {
    Machine::new(at("09:00:00"), script)
}

fn scheduled(name: &str, schedule: &str) -> String {
    json!({"name": name, "command": "x", "schedule": schedule, "epsilon": "PT60S", "retries": 1})
        .to_string()
}

fn dependent(name: &str, parents: &[&str]) -> String {
    json!({"name": name, "command": "x", "parents": parents}).to_string()
}

fn told(machine: &mut Machine) -> Vec<String> {
    machine.take_events().iter().map(ToString::to_string).collect()
}

fn refusal(machine: &mut Machine, body: &str, path: Path) -> (u16, String) {
    let refusal = machine.put(body, path).unwrap_err();
    (refusal.status, refusal.body.to_string())
}

#[test]
fn schedules_fire_and_children_follow_when_all_their_parents_ended_well() {
    let mut machine =
        machine(Script::all(Behaviour { takes: Duration::from_secs(10), fails: false }));
    machine.put(&scheduled("a", "R2/2018-03-14T09:30:00Z/PT1H"), Path::Scheduled).unwrap();
    machine.put(&scheduled("b", "0 * * * *"), Path::Scheduled).unwrap();
    machine.put(&dependent("c", &["a", "b"]), Path::Dependent).unwrap();
    machine.take_events();
    machine.step(at("09:30:05"));
    assert_eq!(told(&mut machine), ["job a: attempt 0 runs"]);
    machine.step(at("10:00:20"));
    let events =
        ["job a: succeeded", "job b: attempt 0 runs", "job b: succeeded", "job c: attempt 0 runs"];
    assert_eq!(told(&mut machine), [&events[..], &["job c: succeeded"]].concat());
    assert_eq!(machine.job("c").unwrap().last_success, Some(at("10:00:20")));
    machine.step(at("10:59:00"));
    let events =
        ["job a: attempt 0 runs", "job a: disabled, it repeats no more", "job a: succeeded"];
    assert_eq!(told(&mut machine), events);
}

#[test]
fn a_failed_run_is_tried_again_a_minute_later_as_often_as_it_may() {
    let mut machine =
        machine(Script::all(Behaviour { takes: Duration::from_secs(5), fails: true }));
    machine.put(&scheduled("a", "R/2018-03-14T09:30:00Z/PT1H"), Path::Scheduled).unwrap();
    machine.put(&dependent("b", &["a"]), Path::Dependent).unwrap();
    machine.take_events();
    machine.step(at("10:00:00"));
    let one = ["job a: attempt 0 runs", "job a: failed", "job a: attempt 1 runs", "job a: failed"];
    assert_eq!(told(&mut machine), one);
    let job = machine.job("a").unwrap();
    assert_eq!((job.errors, job.last_error, job.last_success), (2, Some(at("09:31:10")), None));
}

#[test]
fn what_the_real_one_refuses_is_refused() {
    let mut machine = machine(Script::default());
    machine.put(&scheduled("a", "R/2018-03-14T09:30:00Z/PT1H"), Path::Scheduled).unwrap();
    machine.put(&dependent("b", &["a"]), Path::Dependent).unwrap();
    for (body, path, status, part) in [
        ("[]".to_owned(), Path::Scheduled, 400, "JSON"),
        (r#"{"name": "a"}"#.to_owned(), Path::Scheduled, 422, "command"),
        (scheduled("a/b", "0 * * * *"), Path::Scheduled, 400, "name"),
        (scheduled("c", "@daily"), Path::Scheduled, 422, "@daily"),
        (dependent("c", &["a", "z"]), Path::Dependent, 400, "does not have all parents defined!"),
        (dependent("c", &[]), Path::Dependent, 500, ""),
        (dependent("b", &[]), Path::Dependent, 400, ""),
        (dependent("a", &["b"]), Path::Dependent, 400, "its own parent"),
    ] {
        let (got, text) = refusal(&mut machine, &body, path);
        assert!(got == status && text.contains(part), "{body}: {got} {text}");
    }
    assert_eq!(machine.delete("z").unwrap_err().status, 400);
    assert_eq!(machine.kill("z").unwrap_err().status, 500);
    assert_eq!(machine.run_now("z").unwrap_err().status, 400);
}

#[test]
fn a_lost_parent_leaves_its_own_parents_or_its_schedule() {
    let mut machine = machine(Script::default());
    machine.put(&scheduled("a", "R/2018-03-14T09:30:00Z/PT1H"), Path::Scheduled).unwrap();
    machine.put(&dependent("b", &["a"]), Path::Dependent).unwrap();
    machine.put(&dependent("c", &["b"]), Path::Dependent).unwrap();
    machine.delete("b").unwrap();
    assert_eq!(machine.job("c").unwrap().parents(), ["a"]);
    machine.delete("a").unwrap();
    assert!(machine.job("c").unwrap().parents().is_empty());
    machine.take_events();
    machine.step(at("09:31:00"));
    assert_eq!(told(&mut machine), ["job c: attempt 0 runs", "job c: succeeded"]);
}

#[test]
fn a_run_goes_on_when_its_job_is_replaced_and_ends_when_it_is_killed() {
    let mut machine =
        machine(Script::all(Behaviour { takes: Duration::from_secs(600), fails: false }));
    machine.put(&scheduled("a", "R/2018-03-14T09:00:00Z/PT1H"), Path::Scheduled).unwrap();
    machine.step(at("09:01:00"));
    let body = json!({"name": "a", "command": "y", "schedule": "R/2018-03-14T11:00:00Z/PT1H",
        "lastSuccess": "2018-03-14T08:00:00.000Z", "successCount": 7});
    machine.put(&body.to_string(), Path::Scheduled).unwrap();
    let job = machine.job("a").unwrap();
    let kept = (job.is_running(), job.last_success, job.successes);
    assert_eq!(kept, (true, Some(at("08:00:00")), 7));
    machine.kill("a").unwrap();
    assert!(!machine.job("a").unwrap().is_running());
}
