use super::*;
use crate::{load::Kind, yaml};

fn read(text: &str) -> Result<MarathonConfig, ConfigError> {
    let merged = yaml::parse(text).unwrap().as_map().unwrap().clone();
    let (service, instance) = ("web".to_owned(), "main".to_owned());
    let (cluster, deploy_group) = ("c1".parse().unwrap(), String::new());
    let kind = Kind::Marathon;
    MarathonConfig::read(&Instance { kind, service, instance, cluster, merged, deploy_group })
}

fn class(text: &str) -> &'static str {
    match read(text) {
        Ok(_) => "none",
        Err(ConfigError::WrongType { .. }) => "wrong_type",
        Err(ConfigError::BadValue { .. }) => "bad_value",
        Err(ConfigError::MissingKey(_)) => "missing_key",
        Err(ConfigError::InvalidJobName(_)) => "invalid_job_name",
        Err(_) => "other",
    }
}

#[test]
fn null_is_no_list_and_no_map_where_paasta_stumbles_over_it() {
    for key in
        ["env", "ulimit", "cap_add", "extra_volumes", "extra_constraints", "deploy_blacklist"]
    {
        assert_eq!(class(&format!("{key}: ")), "wrong_type", "{key}");
    }
    for key in ["registrations", "instances", "cpus", "mem", "disk", "cfs_period_us"] {
        assert_eq!(class(&format!("{key}: ")), "wrong_type", "{key}");
    }
    for key in
        ["args", "cmd", "constraints", "deploy_whitelist", "max_instances", "extra_docker_args"]
    {
        assert_eq!(class(&format!("{key}: ")), "none", "{key}");
    }
    assert_eq!(class("{constraints: [], extra_constraints: }"), "none");
}

#[test]
fn values_of_another_kind_are_refused_as_python_refuses_them() {
    for (text, wanted) in [
        ("ulimit: {nofile: {soft: '5'}}", "wrong_type"),
        ("ulimit: {nofile: {soft: 1.5, hard: 2}}", "none"),
        ("disk: '2048'", "none"),
        ("disk: lots", "bad_value"),
        ("env: {yes: x}", "wrong_type"),
        ("cap_add: [5]", "none"),
        ("extra_docker_args: {init: 5}", "none"),
        ("extra_docker_args: [init]", "wrong_type"),
        ("extra_volumes: [{hostPath: /a, containerPath: /a}]", "none"),
        ("extra_volumes: [{hostPath: /a, containerPath: }]", "wrong_type"),
        ("deploy_blacklist: [region, r1]", "bad_value"),
        ("deploy_blacklist: [5]", "wrong_type"),
        ("deploy_blacklist: [[region, r1, r2]]", "bad_value"),
        ("deploy_whitelist: [region]", "bad_value"),
        ("deploy_whitelist: []", "bad_value"),
        ("registrations: web.main", "invalid_job_name"),
        ("registrations: [5]", "wrong_type"),
        ("registrations: ''", "none"),
        ("net: [x]", "wrong_type"),
        ("net: 5", "none"),
        ("instances: 1.5", "none"),
        ("{max_instances: 3, instances: many}", "none"),
        ("max_instances: many", "wrong_type"),
        ("smartstack: {main: 5}", "wrong_type"),
        ("smartstack: {main: }", "wrong_type"),
        ("smartstack: [main]", "wrong_type"),
        ("{healthcheck_mode: http, healthcheck_cmd: 5}", "none"),
        ("{healthcheck_mode: cmd, healthcheck_cmd: 5}", "none"),
    ] {
        assert_eq!(class(text), wanted, "{text}");
    }
}

#[test]
fn what_only_the_deployment_uses_keeps_nobody_from_making_the_app() {
    let config = read(
        "{bounce_health_params: [], bounce_priority: high, drain_method_params: x, autoscaling: ,
          monitoring_blacklist: [x], marathon_shard: a, monitoring: }",
    )
    .unwrap();
    assert!(config.bounce_health_params().is_err());
    assert!(config.bounce_priority().is_err());
    assert!(config.drain_method_params().is_err());
    assert!(config.autoscaling().is_err());
    assert!(config.monitoring_blacklist().is_err());
    assert!(config.marathon_shard().is_err());
    assert!(config.container.monitoring.is_empty());
}

#[test]
fn null_stays_null_where_it_goes_into_the_app() {
    let config = read("{net: , pool: , args: , healthcheck_mode: http, healthcheck_uri: }");
    let config = config.unwrap();
    assert!(config.container.net.is_null() && config.container.pool.is_null());
    assert_eq!(config.container.args, None);
    assert!(config.health_check.unwrap().uri.is_null());
    assert_eq!(read("cpus: 1").unwrap().container.args, Some(Node::made(Vec::new())));
    assert_eq!(read("nerve_ns: 5").unwrap().registrations, ["web.5"]);
    assert_eq!(read("{nerve_ns: x, registrations: []}").unwrap().registrations, ["web.x"]);
}

#[test]
fn the_autoscaler_is_limited_once_it_has_said_something() {
    let count = |text: &str, scaled| read(text).unwrap().count(scaled);
    let limits = "{min_instances: 2, max_instances: 5, instances: 9}";
    for (scaled, wanted) in [(Some(1), 2), (Some(4), 4), (Some(9), 5), (None, 5)] {
        assert_eq!(count(limits, scaled), Node::made(wanted), "{scaled:?}");
    }
    assert_eq!(count("{min_instances: 5, max_instances: 3}", None), Node::made(3));
    assert_eq!(count("instances: 2.0", Some(4)), Node::made(2.0));
}

#[test]
fn service_yaml_replaces_smartstack_yaml() {
    let config = read("smartstack: {main: {proxy_port: 0, mode: tcp}}").unwrap();
    assert!(config.namespace.is_in_smartstack);
    assert_eq!(config.namespace.mode.as_deref(), Some("tcp"));
    assert_eq!(config.drain_method().unwrap(), "hacheck");
    assert_eq!(read("cpus: 1").unwrap().drain_method().unwrap(), "noop");
}
