use std::time::Duration;

use super::*;

fn parse(text: &str) -> Config {
    Config::parse(Path::new("hacheck.yaml"), text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    Config::parse(Path::new("hacheck.yaml"), text).expect_err(text).to_string()
}

fn allowed(config: &Config) -> Vec<String> {
    config.settings.remote_marks.allow.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_without_settings_is_all_defaults() {
    for text in ["", "\n", "# nothing\n", "---\n", "{}"] {
        let config = parse(text);
        assert_eq!(config.settings.checks.cache_time, Duration::from_secs(1), "{text:?}");
        assert_eq!(config.settings.checks.timeout, Duration::from_secs(10));
        assert_eq!(config.settings.http_headers_to_copy, ["host"]);
        assert_eq!(config.log, LogTarget::Stderr);
        assert_eq!(config.open_files, OpenFiles::Max);
        assert_eq!(allowed(&config), [""; 0]);
        assert_eq!(config.warnings, [""; 0]);
    }
}

#[test]
fn the_file_of_the_fleet_is_taken_as_it_is() {
    let text = "cache_time: 1.0\nallow_remote_spool_changes: true\nhttp_headers_to_copy:\n    - Host\n    - X-Mode\n";
    let config = parse(text);
    assert_eq!(config.settings.checks.cache_time, Duration::from_secs(1));
    assert_eq!(config.settings.http_headers_to_copy, ["host", "x-mode"]);
    assert_eq!(allowed(&config), ["0.0.0.0/0", "::/0"]);
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(allowed(&parse("allow_remote_spool_changes: yes")), ["0.0.0.0/0", "::/0"]);
}

#[test]
fn every_old_key_has_its_effect() {
    let config = parse(
        "cache_time: '2.5'\nhealthcheck_timeout: 3\nservice_name_header: X-Service\n\
         http_headers_to_copy: []\nlog_path: /var/log/hacheck.log\nrlimit_nofile: 4096\n\
         mysql_username: me\nmysql_password: 0123\n",
    );
    let login = config.settings.checks.mysql.as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.password.expose()), ("me", "0123"));
    assert_eq!(parse("mysql_password: x").settings.checks.mysql, None);
    assert_eq!(config.settings.checks.cache_time, Duration::from_millis(2500));
    assert_eq!(config.settings.checks.timeout, Duration::from_secs(3));
    assert_eq!(config.settings.service_name_header.unwrap(), "x-service");
    assert!(config.settings.http_headers_to_copy.is_empty());
    assert_eq!(config.log, LogTarget::File("/var/log/hacheck.log".into()));
    assert_eq!(config.open_files, OpenFiles::Exactly(4096));
    assert_eq!(parse("log_path: stdout").log, LogTarget::Stdout);
    assert_eq!(parse("rlimit_nofile: max").open_files, OpenFiles::Max);
    let config = parse("max_clients: 100");
    assert!(config.warnings[0].contains("checks.per_target"), "{:?}", config.warnings);
}

#[test]
fn our_own_keys_have_theirs() {
    let config = parse(
        "allow_remote_spool_changes: true\n\
         remote_marks: {allow: [10.4.0.0/16], token: s3cret-word, per_second: 5, burst: 7}\n\
         targets: [10.5.0.0/16, 'fd00::/8']\n\
         checks: {per_target: 1, in_total: 2, waiting: 3, cache_entries: 4, cache_bytes: 5,\n  \
         per_target_per_second: 6, per_second: 7, keep_alive: no, kept_connections: 8,\n  \
         redis: {password: pass}, rabbitmq: {user: me, password: pass}}\n",
    );
    assert_eq!(allowed(&config), ["10.4.0.0/16"], "the list is narrower than everyone");
    let marks = config.settings.remote_marks;
    assert_eq!((marks.per_second.get(), marks.burst.get()), (5, 7));
    assert!(marks.token.unwrap().is(b"s3cret-word"));
    let targets: Vec<_> = config.settings.target_networks.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["10.5.0.0/16", "fd00::/8"]);
    let c = config.settings.checks;
    let limits = [c.per_target, c.in_total, c.waiting, c.cache_entries, c.cache_bytes];
    assert_eq!(limits, [1, 2, 3, 4, 5]);
    assert_eq!((c.per_target_per_second.get(), c.per_second.get()), (6, 7));
    assert_eq!((c.keep_alive, c.kept_connections), (false, 8));
    let redis = c.redis.unwrap();
    assert_eq!((redis.user.as_str(), redis.password.expose()), ("", "pass"));
    assert_eq!(c.rabbitmq.unwrap().user, "me");
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn unknown_keys_are_warned_about_and_change_nothing() {
    let config = parse(
        "cache_time: 2\ncache_tme: 3\nstatsd: {host: a, port: [1, 2]}\n\
         remote_marks:\n  alow: [10.0.0.0/8]\n",
    );
    assert_eq!(config.settings.checks.cache_time, Duration::from_secs(2));
    let expected = [
        "hacheck.yaml:2: cache_tme is no setting; did you mean cache_time?",
        "hacheck.yaml:3: statsd is no setting",
        "hacheck.yaml:5: remote_marks.alow is no setting; did you mean remote_marks.allow?",
    ];
    assert_eq!(config.warnings, expected);
}

#[test]
fn what_the_old_program_misread_is_refused_with_a_way_out() {
    let cases = [
        ("allow_remote_spool_changes: 'false'", "without quotes"),
        ("allow_remote_spool_changes: \"true\"", "without quotes"),
        ("http_headers_to_copy: X-Mode", "write [X-Mode]"),
        ("service_name_header:", "leave the line out"),
    ];
    for (text, way_out) in cases {
        let error = refused(&format!("cache_time: 1\n{text}\n"));
        assert!(error.contains(way_out), "{text}: {error}");
        assert!(error.contains("hacheck.yaml:2"), "{text}: {error}");
        assert!(error.contains(text), "the line itself is shown: {error}");
    }
}

#[test]
fn values_without_sense_are_refused_where_they_stand() {
    let cases = [
        "cache_time: soon",
        "cache_time: -1",
        "cache_time: .inf",
        "cache_time: .nan",
        "cache_time:",
        "healthcheck_timeout: [1]",
        "service_name_header: 'X Service'",
        "http_headers_to_copy: [Host, 'a b']",
        "http_headers_to_copy: {Host: 1}",
        "allow_remote_spool_changes: 2",
        "log_path:",
        "log_path: ''",
        "rlimit_nofile: 3",
        "rlimit_nofile: many",
        "targets: 10.0.0.0/8",
        "targets: [everything]",
        "remote_marks: true",
        "remote_marks: {burst: 0}",
        "checks: {per_target: 0}",
        "checks: {per_target: lots}",
        "checks: {redis: {pasword: x}}",
        "healthcheck_timeout: 0",
        "remote_marks: {token: ''}",
        "remote_marks: {token: short}",
        "mysql_username:",
    ];
    for text in cases {
        let error = refused(&format!("# a comment\n{text}\n"));
        assert!(error.contains("hacheck.yaml:2"), "{text}: {error}");
    }
    for text in ["cache_time: soon", "checks: {per_target: lots}"] {
        assert!(refused(text).contains("expected a number"), "{text}: {}", refused(text));
    }
    for text in ["- a\n", "just text", "a: b: c", "cache_time: [1"] {
        assert!(refused(text).contains("hacheck.yaml"), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let root = tempfile::tempdir().unwrap();
    let error = Config::load(&root.path().join("none")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /"), "{error}");
    let error = Config::load(root.path()).unwrap_err();
    assert!(error.to_string().ends_with("it is no regular file"), "{error}");
    let binary = root.path().join("binary");
    io::Write::write_all(&mut fs::File::create(&binary).unwrap(), b"\xff\xfe").unwrap();
    assert!(Config::load(&binary).unwrap_err().to_string().ends_with("no UTF-8 text"));
}
