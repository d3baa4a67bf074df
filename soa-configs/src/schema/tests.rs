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
