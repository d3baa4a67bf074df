use std::time::Duration;

use hacheck::{checks::Kind, names::Host};

use super::*;
use crate::nerve::checks::{Ask, Question};

/// As configure_nerve writes it (nerve.md §1.3).
const FILE: &str = r#"{
    "heartbeat_path": "/var/run/nerve/heartbeat",
    "instance_id": "host7-uswest1adevc",
    "services": {
        "books.main.norcal-devc:10.1.2.3.31337.v2.new": {
            "check_interval": 2.0,
            "checks": [
                {
                    "fall": 2, "headers": {"X-Count": 5}, "host": "127.0.0.1", "open_timeout": 1.0,
                    "port": 6666, "rise": 1, "timeout": 1.0, "type": "http",
                    "uri": "/http/books.main/31337/status"
                }
            ],
            "host": "10.1.2.3",
            "labels": {"region:uswest1-devc": "", "superregion:norcal-devc": "", "a": "1"},
            "port": 31337,
            "weight": 10,
            "zk_hosts": ["zk2:2181", "zk1:2181", "zk3:2181"],
            "zk_path": "/smartstack/global/books.main"
        }
    }
}"#;

fn read(text: &str) -> Parsed<Entry> {
    parse(text, "host7-uswest1adevc", 6666).unwrap()
}

/// One entry with these keys over the necessary ones.
fn with(more: &str) -> Parsed<Entry> {
    let keys = r#""host": "10.1.2.3", "port": 80, "zk_hosts": ["zk1"], "zk_path": "/a/b""#;
    read(&format!(r#"{{"services": {{"web": {{{keys}{more}}}}}}}"#))
}

fn ask(entry: &Entry) -> &Ask {
    match &entry.plan.checks[0].question {
        Question::Ask(ask) => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_configure_nerve_wrote_is_registered_as_nerve_would() {
    let parsed = read(FILE);
    assert_eq!(parsed.problems, []);
    let conf = NerveConf { items: parsed.items, ..NerveConf::nothing() };
    let all = Registrations { complete: true, ..Registrations::default() };
    let all = all.with_nerve_conf(&conf, "host7-uswest1adevc");
    assert!(all.complete);
    let (key, registration) = all.wanted.iter().next().unwrap();
    assert_eq!(key.namespace.as_str(), "books.main");
    let (at, record) = registration.records.iter().next().unwrap();
    assert_eq!(at.ensemble.as_str(), "zk1:2181,zk2:2181,zk3:2181");
    assert_eq!(at.parent.as_str(), "/smartstack/global/books.main");
    let payload = r#"{"host":"10.1.2.3","port":31337,"name":"host7-uswest1adevc","weight":10,"labels":{"region:uswest1-devc":"","superregion:norcal-devc":"","a":"1"}}"#;
    assert_eq!(String::from_utf8(record.encode()).unwrap(), payload);
    let plan = &registration.plan;
    assert_eq!((plan.interval, plan.confirms), (Duration::from_secs(2), false));
    let check = &plan.checks[0];
    assert_eq!((check.rise.get(), check.fall.get()), (1, 2));
    assert_eq!(check.timeout, Duration::from_secs(1));
    // hacheck is asked in process.
    let ask = ask(&conf.items[0]);
    assert_eq!(
        (ask.kind, ask.host, ask.port, &*ask.uri),
        (Kind::Http, Host::Local, 31337, "/status")
    );
    assert_eq!(ask.headers["X-Count"], "5");
}

#[test]
fn what_the_agent_registers_itself_is_not_doubled() {
    let conf = NerveConf { items: read(FILE).items, ..NerveConf::nothing() };
    let once = Registrations::default().with_nerve_conf(&conf, "host7-uswest1adevc");
    let mut own = once;
    let (_, registration) = own.wanted.pop_first().unwrap();
    let mut registration = Registration::clone(&registration);
    registration.key.task = TaskId("container".into());
    own.wanted.insert(registration.key.clone(), Arc::new(registration));
    let both = own.clone().with_nerve_conf(&conf, "host7-uswest1adevc");
    assert_eq!(both.wanted, own.wanted);
}

#[test]
fn checks_that_go_elsewhere_are_made_as_nerve_made_them() {
    let parsed = with(
        r#", "checks": [
            {"type": "tcp"}, {"type": "noop"}, {"type": "redis", "port": 6379, "password": "x"},
            {"type": "http", "uri": "/health?x", "ssl": true, "host": "10.0.0.9", "expect": "well"}]"#,
    );
    assert_eq!(parsed.problems, []);
    let plan = &parsed.items[0].plan;
    assert_eq!(plan.interval, Duration::from_millis(500));
    let shown: Vec<String> = plan.checks.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["tcp-127.0.0.1:80", "redis-127.0.0.1:6379", "https-10.0.0.9:80"]);
    assert_eq!(plan.checks[0].timeout, Duration::from_millis(100));
    assert_eq!(parsed.items[0].namespace.as_str(), "web.nerve", "it has no other name");
    assert_eq!(parsed.items[0].labels, None);
}

#[test]
fn nothing_to_check_is_always_up_and_load_tests_are_copies() {
    assert_eq!(with("").items[0].plan.checks, []);
    let mocked = r#", "check_mocked": true, "checks": [{"type": "tcp"}]"#;
    assert_eq!(with(mocked).items[0].plan.checks, []);
    let copies = with(r#", "load_test_concurrency": 3, "labels": {}, "weight": "7""#).items;
    let keys: Vec<&str> = copies.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["web_0", "web_1", "web_2"]);
    assert_eq!(
        (copies[0].weight, copies[0].labels.as_ref().map(IndexMap::len)),
        (Some(7), Some(0))
    );
}

#[test]
fn a_wrong_entry_is_refused_alone_with_its_key() {
    for (more, expected) in [
        (r#", "port": "none""#, "`port`: expected a port"),
        (r#", "host": "web1""#, "`host` `web1`: expected an IP address"),
        (r#", "zk_path": "a/../b""#, "`zk_path`"),
        (r#", "zk_hosts": []"#, "`zk_hosts`: no server"),
        (r#", "weight": -1"#, "`weight`: expected a whole number"),
        (r#", "labels": {"a": 1}"#, "`labels`: `a`"),
        (r#", "reporter_type": "etcd""#, "expected zookeeper"),
        (r#", "node_type": "persistent""#, "expected ephemeral_sequential"),
        (r#", "checks": [{"type": "http"}]"#, "check 1: `uri` is missing"),
        (r#", "checks": [{"type": "tcp"}, {"type": "mysql"}]"#, "check 2: `type` `mysql`"),
        (r#", "checks": [{"type": "tcp", "timeout": 0}]"#, "`timeout`"),
        (r#", "check_interval": 0"#, "`check_interval`"),
        (r#", "haproxy_server_options": "a\nb""#, "control characters"),
        (r#", "load_test_concurrency": 5000"#, "at most 1000"),
    ] {
        let keys = r#""host": "10.1.2.3", "port": 80, "zk_hosts": ["zk1"], "zk_path": "/a/b""#;
        // The last of two equal keys counts, as in Ruby.
        let bad = keys.split(", \"").filter(|pair| {
            let key = pair.trim_start_matches('"').split('"').next().unwrap_or_default();
            !more.contains(&format!("\"{key}\":"))
        });
        let bad: Vec<String> =
            bad.map(|pair| format!("\"{}", pair.trim_start_matches('"'))).collect();
        let bad = format!("{}{more}", bad.join(", "));
        let text = format!(r#"{{"services": {{"bad": {{{bad}}}, "good": {{{keys}}}}}}}"#);
        let parsed = read(&text);
        let names: Vec<&str> = parsed.items.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(names, ["good"], "{more}");
        assert_eq!(parsed.problems[0].0, "bad", "{more}");
        assert!(parsed.problems[0].1.contains(expected), "{more}: {}", parsed.problems[0].1);
    }
}

#[test]
fn what_has_no_effect_is_told_and_stops_nothing() {
    for (more, expected) in [
        (r#", "colour": "red""#, "`colour` is not known"),
        (r#", "use_path_encoding": true"#, "has no effect"),
    ] {
        let parsed = with(more);
        assert_eq!(parsed.items.len(), 1);
        assert!(parsed.problems[0].1.contains(expected), "{:?}", parsed.problems);
    }
    let other = read(r#"{"instance_id": "other", "services": {}}"#);
    assert!(other.problems[0].1.contains("two names are two servers"));
}

#[test]
fn a_truncated_file_is_no_file() {
    assert!(parse(&FILE[..FILE.len() / 2], "h", 6666).is_err());
    assert!(parse("- 1\n", "h", 6666).is_err());
    assert_eq!(read("").items, []);
}
