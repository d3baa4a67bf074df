use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("agent.yaml")).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error} {cause}")
    })
}

#[test]
fn an_empty_file_has_all_defaults_and_says_what_it_assumed() {
    for text in ["", "# only a comment\n", "{}"] {
        let config = parse(text).unwrap();
        assert_eq!(config.soa_dir, Path::new("/nail/etc/services"));
        assert_eq!(config.hacheck.listen, "0.0.0.0:6666".parse().unwrap());
        assert_eq!(config.admin.listen, "127.0.0.1:6667".parse().unwrap());
        assert_eq!(config.registry.kind, RegistryKind::Embedded);
        assert_eq!(config.registry.layouts.len(), 2);
        assert!(
            config.assumptions.iter().any(|a| a.contains("ZooKeeper")),
            "{:?}",
            config.assumptions
        );
        assert!(config.assumptions.iter().any(|a| a.contains("host.address")));
    }
}

#[test]
fn files_of_services_are_written_unless_the_settings_say_otherwise_and_others_only_if_they_do() {
    let files = parse("").unwrap().files;
    assert_eq!(files.services_dir.as_deref(), Some(Path::new("/var/run/synapse/services")));
    assert!(!files.ip_map && files.envoy_dir.is_none() && files.envoy_migration.is_none());
    let files = parse("files: {services_dir: '', envoy_dir: /e, ip_map: true}").unwrap().files;
    assert!(files.ip_map && files.services_dir.is_none());
    assert_eq!(files.envoy_dir.as_deref(), Some(Path::new("/e")));
}

#[test]
fn oom_kills_are_told_unless_the_settings_say_otherwise() {
    let told = parse("").unwrap().oom_events.unwrap();
    assert_eq!((told.sensu, told.realert_every), (None, 1));
    let named = parse("oom_events: {sensu: '[::1]:3030', realert_every: -1}").unwrap();
    let named = named.oom_events.unwrap();
    assert_eq!((named.sensu, named.realert_every), (Some(("::1".to_owned(), 3030)), -1));
    assert!(parse("oom_events: {enabled: false}").unwrap().oom_events.is_none());
    let error = parse("oom_events:\n  sensu: here\n  realert_every: 0\n").unwrap_err();
    for part in
        ["line 2: oom_events.sensu: `here`: expected HOST:PORT", "line 3: oom_events.realert"]
    {
        assert!(error.contains(part), "{part} is missing in:\n{error}");
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let error = parse(
        "host:\n  name: 'a b'\n  address: nowhere\nhacheck:\n  listen: here\n  remote_marks: {allow: [10.0.0.0/8, x]}\n\
         registry: {kind: etcd, read: v3, layouts: []}\nguard: {share: 2}\ndocker: {resync: soon}\n\
         log: {level: agent=loud}\n",
    )
    .unwrap_err();
    for part in [
        "line 2: host.name: `a b`",
        "line 3: host.address: `nowhere`: expected an IP address",
        "line 5: hacheck.listen: `here`: expected ADDRESS:PORT",
        "line 6: hacheck.remote_marks.allow: `x`",
        "line 7: registry.kind: `etcd`: expected zookeeper or embedded",
        "line 7: registry.read: `v3`: expected v1, v2 or both",
        "line 7: registry.layouts",
        "line 8: guard.share",
        "line 9: docker.resync: `soon` is no duration",
        "line 10: log.level: `agent=loud`",
    ] {
        assert!(error.contains(part), "{part} is missing in:\n{error}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_its_line() {
    let error = parse("hacheck:\n  lisen: 0.0.0.0:1\n").unwrap_err();
    assert!(error.contains("line 2") && error.contains("lisen"), "{error}");
}

#[test]
fn secrets_come_from_files_whose_readers_are_told_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    crate::atomic_file::write(&file, b"sesame\n").unwrap();
    let text = format!(
        "registry: {{hosts: [zk1], auth: {{user: u, password_file: {}}}, acl: owner}}",
        file.display()
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.registry.security.digest.as_ref().unwrap().password.expose(), "sesame");
    assert!(!format!("{config:?}").contains("sesame"));
    let told = |config: &Config| config.assumptions.iter().any(|a| a.contains("chmod 600"));
    assert!(told(&config), "{:?}", config.assumptions);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!told(&parse(&text).unwrap()));
    for (text, expected) in [
        ("registry: {acl: owner}", "owner needs a login"),
        ("registry: {acl: mine}", "expected open or owner"),
        ("registry: {auth: {user: u}}", "needs either password or password_file"),
        ("registry: {auth: {user: 'u:v', password: x}}", "without `:`"),
        ("registry: {sasl: {user: u, password: ''}}", "not empty"),
        ("registry: {sasl: {user: u, password_file: /missing}}", "cannot read /missing"),
        ("registry: {tls: {ca: /missing.pem}}", "cannot read /missing.pem: No such file"),
        ("registry: {tls: {ca: /missing.pem, cert: /c}}", "cert and key go together"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_topology_directory_names_the_registry_of_this_host_and_those_of_others() {
    let dir = tempfile::tempdir().unwrap();
    crate::atomic_file::write(&dir.path().join("local.yaml"), b"- [zk2, 1]\n- [zk1, 1]").unwrap();
    let text =
        format!("registry: {{topology_dir: {}, location_type: region}}", dir.path().display());
    let registry = parse(&text).unwrap().registry;
    let RegistryKind::ZooKeeper { ensemble, .. } = registry.kind else { panic!("{registry:?}") };
    assert_eq!(ensemble.as_str(), "zk1:1,zk2:1");
    assert_eq!(registry.topology, Some(dir.path().join("local.yaml")));
    assert_eq!(registry.location_type, "region");
    let hosts = text.replace("{topology", "{hosts: [zk3], topology");
    let registry = parse(&hosts).unwrap().registry;
    assert_eq!(registry.topology, None, "hosts that are given come first");
    let wrong = parse("registry: {location_type: a b}").unwrap_err();
    assert!(wrong.contains("registry.location_type"), "{wrong}");
}

#[test]
fn zookeeper_is_used_when_hosts_are_named() {
    let config =
        parse("registry: {hosts: ['zk1:2181', 'zk2:2181'], session_timeout: 20s}").unwrap();
    let ensemble = "zk1:2181,zk2:2181".parse().unwrap();
    let session_timeout = Duration::from_secs(20);
    assert_eq!(config.registry.kind, RegistryKind::ZooKeeper { ensemble, session_timeout });
    assert!(parse("registry: {kind: zookeeper}").unwrap_err().contains("needs registry.hosts"));
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let none = Overrides::default();
    assert!(Config::load(Path::new("/nonexistent/agent.yaml"), true, &none).is_err());
    let config = Config::load(Path::new("/nonexistent/agent.yaml"), false, &none).unwrap();
    assert!(config.assumptions[0].contains("/nonexistent/agent.yaml is not there"));
}

#[test]
fn the_packaged_file_is_valid() {
    let text = include_str!("../../../packaging/agent.yaml");
    parse(text).unwrap();
}

#[test]
fn what_would_fail_at_the_start_fails_the_check() {
    for (text, expected) in [
        ("host: {address: 0.0.0.0}", "no address of one host"),
        ("registry: {hosts: []}", "no server is named"),
        ("registry: {hosts: ['a b']}", "`a b`: expected HOST:PORT"),
        ("hacheck: {headers_to_copy: ['X Mode']}", "`X Mode`"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_host_of_a_fleet_does_not_fall_back_to_a_registry_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("state_dir: {}", dir.path().display());
    assert_eq!(parse(&text).unwrap().registry.kind, RegistryKind::Embedded);
    crate::atomic_file::write(&dir.path().join("sessions.json"), b"{}").unwrap();
    assert!(parse(&text).unwrap_err().contains("belongs to a fleet"));
    let asked = format!("{text}\nregistry: {{kind: embedded}}");
    assert_eq!(parse(&asked).unwrap().registry.kind, RegistryKind::Embedded);
}
