//! The rules between fields, and those for texts.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    super::{
        ids::{AppId, ID_RULE},
        pattern::Alternatives,
    },
    Faults,
};

type Fields = Map<String, Value>;

pub(super) fn app(fields: &Fields, faults: &mut Faults) {
    id(fields, faults);
    command(fields, faults);
    ports(fields, faults);
    let one_of = |a: &str, b: &str| !is_empty(fields.get(a)) && !is_empty(fields.get(b));
    if one_of("uris", "fetch") {
        faults.form("", "You cannot specify both uris and fetch fields");
    }
    if one_of("ports", "portDefinitions") {
        faults.form("", "You cannot specify both ports and port definitions");
    }
    for (at, constraint) in list(fields.get("constraints")).iter().enumerate() {
        self::constraint(&format!("/constraints({at})"), constraint, faults);
    }
    for (at, check) in list(fields.get("healthChecks")).iter().enumerate() {
        health_check(&format!("/healthChecks({at})"), check, port_count(fields), faults);
    }
    for name in fields.get("env").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty()
            || !name.bytes().all(is_legal)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            faults.rule(
                &format!("/env/{name}"),
                "must fully match regular expression '[a-zA-Z_][a-zA-Z0-9_]*'",
            );
        }
    }
    if fields.get("acceptedResourceRoles").is_some_and(|roles| list(Some(roles)).is_empty()) {
        faults.rule("/acceptedResourceRoles", "must not be empty");
    }
    for name in ["minimumHealthCapacity", "maximumOverCapacity"] {
        let value = fields.get("upgradeStrategy").and_then(|strategy| strategy.get(name));
        if value.and_then(Value::as_f64).is_some_and(|value| value > 1.0) {
            faults.rule(&format!("/upgradeStrategy/{name}"), "is greater than 1");
        }
    }
    container(fields, faults);
}

fn id(fields: &Fields, faults: &mut Faults) {
    match fields.get("id").and_then(Value::as_str) {
        None => faults.form("/id", "error.path.missing"),
        Some(id) if AppId::new(id).as_str() == "/" => faults.form("/id", "error.invalid"),
        Some(id) if !AppId::new(id).is_legal() => faults.rule("/id", ID_RULE),
        Some(_) => {}
    }
}

fn command(fields: &Fields, faults: &mut Faults) {
    let (cmd, args) = (!is_empty(fields.get("cmd")), !is_empty(fields.get("args")));
    let engine = |engine: &str| fields.get("container").is_some_and(|c| c.get(engine).is_some());
    let has_image = engine("docker") || engine("appc");
    if (cmd && args) || (!cmd && !args && !has_image) {
        let rule =
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.";
        faults.rule("/", rule);
    }
}

fn container(fields: &Fields, faults: &mut Faults) {
    let Some(container) = fields.get("container") else { return };
    if container.get("type").and_then(Value::as_str) == Some("DOCKER")
        && container.get("docker").is_none()
    {
        faults.rule("/container/docker", "must not be empty");
    }
    for (at, volume) in list(container.get("volumes")).iter().enumerate() {
        let has = |name: &str| volume.get(name).is_some();
        if !has("hostPath") && !has("persistent") && !has("external") {
            faults.rule(&format!("/container/volumes({at})/hostPath"), "must not be empty");
        }
    }
}

fn ports(fields: &Fields, faults: &mut Faults) {
    let definitions = list(fields.get("portDefinitions"));
    let mappings = list(fields.get("container").and_then(|c| c.pointer("/docker/portMappings")));
    for (path, ports) in
        [("/portDefinitions", definitions), ("/container/docker/portMappings", mappings)]
    {
        let names: Vec<&str> =
            ports.iter().filter_map(|port| port.get("name").and_then(Value::as_str)).collect();
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            faults.rule(path, "port names must be unique");
        }
        for name in names.iter().filter(|name| !is_port_name(name)) {
            faults.rule(
                path,
                format!("{name} must fully match regular expression '[a-z][a-z0-9-]*'"),
            );
        }
    }
    let fixed: Vec<&Value> = definitions
        .iter()
        .filter_map(|port| port.get("port"))
        .chain(list(fields.get("ports")))
        .filter(|port| port.as_u64() != Some(0))
        .collect();
    let distinct: BTreeSet<String> = fixed.iter().map(ToString::to_string).collect();
    if distinct.len() < fixed.len() {
        faults.rule("/portDefinitions", "ports must be unique");
    }
}

fn is_port_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// How many ports a task has, as health checks count them.
fn port_count(fields: &Fields) -> usize {
    let docker = fields.get("container").and_then(|container| container.get("docker"));
    match docker.and_then(|docker| docker.get("portMappings")) {
        Some(mappings) => list(Some(mappings)).len(),
        None if fields.contains_key("portDefinitions") => list(fields.get("portDefinitions")).len(),
        None if fields.contains_key("ports") => list(fields.get("ports")).len(),
        None => 1,
    }
}

fn constraint(path: &str, constraint: &Value, faults: &mut Faults) {
    let word =
        |at: usize| constraint.get(at).and_then(Value::as_str).filter(|word| !word.is_empty());
    let is_number = |value: &str| value.parse::<u32>().is_ok();
    match (word(1), word(2)) {
        (Some("UNIQUE"), Some(_)) => faults.rule(path, "Value specified but not used"),
        (Some("CLUSTER" | "LIKE" | "UNLIKE" | "MAX_PER"), None) => {
            faults.rule(path, "Missing value");
        }
        (Some("GROUP_BY" | "MAX_PER"), Some(value)) if !is_number(value) => {
            faults.rule(path, "Value was specified but is not a number");
        }
        (Some("LIKE" | "UNLIKE"), Some(value)) if Alternatives::parse(value).is_none() => {
            faults.rule(path, format!("'{value}' is not a valid regular expression here"));
        }
        _ => {}
    }
}

fn health_check(path: &str, check: &Value, ports: usize, faults: &mut Faults) {
    let protocol = check.get("protocol").and_then(Value::as_str).unwrap_or("HTTP");
    let has = |name: &str| check.get(name).is_some_and(|value| !value.is_null());
    if protocol == "COMMAND" {
        if !has("command") {
            faults.rule(path, "Health check protocol COMMAND needs a command");
        }
        if has("path") || has("port") || has("portIndex") {
            faults.rule(path, "Health check protocol COMMAND has neither path nor port");
        }
        return;
    }
    if has("command") {
        faults.rule(path, format!("Health check protocol {protocol} has no command"));
    }
    if protocol.ends_with("TCP") && has("path") {
        faults.rule(path, format!("Health check protocol {protocol} has no path"));
    }
    if has("port") && has("portIndex") {
        faults.rule(path, "HealthCheck must specify either a port or a portIndex");
    }
    let index = check.get("portIndex").and_then(Value::as_u64).unwrap_or(0);
    if !has("port") && usize::try_from(index).map_or(true, |index| index >= ports) {
        let rule = "Health check port indices must address an element of the ports array or container port mappings.";
        faults.rule(path, rule);
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_empty(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_none_or(str::is_empty) && list(value).is_empty()
}
