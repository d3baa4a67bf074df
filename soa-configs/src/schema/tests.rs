use super::*;
use crate::yaml;

fn paths(kind: Kind, text: &str) -> Vec<String> {
    let node = yaml::parse(text).unwrap();
    check(kind, &node, text).into_iter().map(|violation| violation.path).collect()
}

#[test]
fn the_tables_name_each_key_once() {
    for kind in Kind::ALL {
        let names: BTreeSet<&str> = keys(kind).iter().map(|key| key.name).collect();
        assert_eq!(names.len(), keys(kind).len(), "{kind:?}");
    }
}

#[test]
fn jobs_of_chronos_are_checked() {
    let none: [&str; 0] = [];
    for (text, wanted) in [
        ("a: {schedule: x, cmd: x}", &none[..]),
        ("_t: {schedule: x}", &none),
        ("a: {parents: [a.b, c.d]}", &none),
        ("a: {parents: a.b}", &none),
        ("a: {cmd: x}", &["a"]),
        ("a: {schedule: x, parents: a.b}", &["a"]),
        ("a: {parents: [a.b, a.b]}", &["a/parents"]),
        ("a: {parents: [a, b.c.d]}", &["a/parents/0", "a/parents/1"]),
        ("a: {schedule: 5, retries: 1.0, disabled: 1}", &["a/schedule", "a/retries", "a/disabled"]),
        (
            "a: {schedule: x, bounce_method: brutal, cfs_period_us: 999}",
            &["a/bounce_method", "a/cfs_period_us"],
        ),
        ("a: {schedule: x, ulimit: {}}", &["a"]),
        (
            "a: {schedule: x, security: {outbound_firewall: open}}",
            &["a/security/outbound_firewall"],
        ),
        ("[]", &[""]),
        ("a:", &["a"]),
    ] {
        assert_eq!(paths(Kind::Chronos, text), wanted, "{text}");
    }
}

#[test]
fn a_misspelt_key_is_told_with_what_may_be_meant() {
    let text = "main: {cpu: 1, instnaces: 2, zzzz: 3}\n";
    let node = yaml::parse(text).unwrap();
    let remedies: Vec<_> =
        check(Kind::Marathon, &node, text).into_iter().filter_map(|v| v.fault.remedy).collect();
    assert_eq!(remedies, ["did you mean `cpus`?", "did you mean `instances`?", "remove it"]);
}

#[test]
fn instances_of_marathon_are_checked() {
    let none: [&str; 0] = [];
    let steps = "{drain: {}, stop_draining: {}, is_draining: {}, is_safe_to_kill: {}}";
    let alone = format!("a: {{drain_method_params: {steps}}}");
    let whole = format!("a: {{drain_method: http, drain_method_params: {steps}}}");
    let number = whole.replace("{drain: {}", "{drain: 1");
    for (text, wanted) in [
        ("a: {backoff_seconds: 5}", &["a"][..]),
        ("a: {previous_marathon_shards: [x, 1.5]}", &none),
        (
            "a: {bounce_health_params: {check_haproxy: 1, other: 1}}",
            &["a/bounce_health_params/check_haproxy"],
        ),
        (
            "a: {bounce_method_params: {min_task_uptime: x}}",
            &["a/bounce_method_params/min_task_uptime"],
        ),
        ("a: {ulimit: {1: {soft: x}, no: 5}}", &["a/ulimit/1/soft", "a/ulimit/False"]),
        ("a: {extra_volumes: [{a: 1, b: x}, {b: x, a: 1.0}]}", &["a/extra_volumes"]),
        ("a: {constraints: [[1], [true]]}", &["a/constraints"]),
        ("a: {constraints: [[a], [b]]}", &none),
        (&alone, &["a"]),
        (&whole, &none),
        (&number, &["a"]),
    ] {
        assert_eq!(paths(Kind::Marathon, text), wanted, "{text}");
    }
}
