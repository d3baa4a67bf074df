//! The container: image, Docker's parameters, ports, volumes (marathon-sync.md §6.1 and §6.4).

use std::{collections::BTreeMap, ops::Range};

use soa_configs::{
    container::Container,
    json,
    load::Instance,
    marathon::MarathonConfig,
    paasta::Settings,
    yaml::{Map, Node, Value},
};

use super::{AppError, Given, expect_number, whole};

/// What Mesos' executor takes of an app's memory, in MB.
const EXECUTOR_MB: f64 = 64.0;
/// Which of Docker's parameters they are.
const LABELS: Range<usize> = 3..5;

pub(super) fn container(
    given: Given<'_>,
    config: &MarathonConfig,
    image: &str,
) -> Result<Node, AppError> {
    let mut docker: Map = [
        ("image", Node::made(image)),
        ("network", config.container.net.clone()),
        ("parameters", Node::made(parameters(given.instance, &config.container)?)),
    ]
    .into_iter()
    .collect();
    if config.container.net.as_text() == Some("BRIDGE") {
        let mapping: Map = [
            ("containerPort", config.container_port.clone()),
            ("hostPort", config.host_port.clone()),
            ("protocol", Node::made("tcp")),
        ]
        .into_iter()
        .collect();
        docker.set("portMappings", Node::made(vec![Node::made(mapping)]));
    }
    let container: Map = [
        ("type", Node::made("DOCKER")),
        ("docker", Node::made(docker)),
        ("volumes", Node::made(volumes(given.settings, given.instance)?)),
    ]
    .into_iter()
    .collect();
    Ok(Node::made(container))
}

/// The container as it is hashed: labels only say whose it is.
pub(super) fn without_labels(container: &Node) -> Node {
    let Some(container) = container.as_map() else { return container.clone() };
    let Some(docker) = container.get("docker").and_then(Node::as_map) else {
        return Node::made(container.clone());
    };
    let parameters = docker.get("parameters").and_then(Node::as_list).unwrap_or_default().iter();
    let kept = parameters.enumerate().filter(|(at, _)| !LABELS.contains(at));
    let kept: Vec<Node> = kept.map(|(_, parameter)| parameter.clone()).collect();
    let (mut docker, mut container) = (docker.clone(), container.clone());
    docker.set("parameters", Node::made(kept));
    container.set("docker", Node::made(docker));
    Node::made(container)
}

/// Docker's parameters of an instance, of Marathon or Chronos; their order counts in the hash.
pub(crate) fn parameters(instance: &Instance, own: &Container) -> Result<Vec<Node>, AppError> {
    let mut parameters = vec![
        parameter("memory-swap", format!("{}m", swap(own)?)),
        parameter("cpu-period", integral("cfs_period_us", &own.cfs_period_us)?),
        parameter("cpu-quota", quota(own)?.to_string()),
        parameter("label", format!("paasta_service={}", instance.service)),
        parameter("label", format!("paasta_instance={}", instance.instance)),
    ];
    for (name, value) in &own.extra_docker_args {
        parameters.push(parameter(name, value.value.clone()));
    }
    for (name, limit) in &own.ulimit {
        let mut value = format!("{name}={}", integral("ulimit", &limit.soft)?);
        if let Some(hard) = &limit.hard {
            value.push(':');
            value.push_str(&integral("ulimit", hard)?);
        }
        parameters.push(parameter("ulimit", value));
    }
    parameters.extend(own.cap_add.iter().map(|name| parameter("cap-add", name.as_str())));
    Ok(parameters)
}

fn parameter(key: &str, value: impl Into<Value>) -> Node {
    let pair: Map = [("key", Node::made(key)), ("value", Node::made(value))].into_iter().collect();
    Node::made(pair)
}

fn swap(own: &Container) -> Result<i64, AppError> {
    let mem = expect_number("mem", &own.mem)?;
    whole(mem + EXECUTOR_MB, f64::ceil).ok_or_else(|| unfit("mem"))
}

/// Microseconds of processor time in each period.
fn quota(own: &Container) -> Result<i64, AppError> {
    let cpus = expect_number("cpus", &own.cpus)?;
    let period = expect_number("cfs_period_us", &own.cfs_period_us)?;
    let burst = expect_number("cpu_burst_pct", &own.cpu_burst_pct)?;
    whole(cpus * period * (100.0 + burst) / 100.0, f64::trunc).ok_or_else(|| unfit("cpus"))
}

fn unfit(key: &str) -> AppError {
    AppError::WrongValue { key: key.to_owned(), expected: "a number that an integer can hold" }
}

/// The part of a number before its point, in decimal digits.
fn integral(key: &str, node: &Node) -> Result<String, AppError> {
    match &node.value {
        Value::Int(_) => json::canonical(node).map_err(|_| unfit(key)),
        _ => {
            let number = expect_number(key, node)?;
            whole(number, f64::trunc).map(|number| number.to_string()).ok_or_else(|| unfit(key))
        }
    }
}

/// Those of the host and the instance's own, of two with the same paths the later one, sorted.
pub(crate) fn volumes(settings: &Settings, instance: &Instance) -> Result<Vec<Node>, AppError> {
    settings.volumes()?;
    let own = instance.merged.get("extra_volumes").and_then(Node::as_list);
    let all = settings.volumes_as_written.iter().chain(own.unwrap_or_default());
    let mut by_paths = BTreeMap::new();
    for volume in all {
        let path = |name| {
            let text = volume.as_map()?.get(name)?.as_text()?;
            Some(text.trim_end_matches('/').to_owned())
        };
        let paths =
            path("containerPath").unwrap_or_default() + &path("hostPath").unwrap_or_default();
        by_paths.insert(paths, volume.clone());
    }
    let mut volumes: Vec<Node> = by_paths.into_values().collect();
    volumes.sort_by_cached_key(pairs);
    Ok(volumes)
}

/// What Python sorts maps by here: their sorted pairs.
fn pairs(volume: &Node) -> Vec<(String, String)> {
    let entries = volume.as_map().into_iter().flat_map(Map::texts);
    let text = |node: &Node| match node.as_text() {
        Some(text) => text.to_owned(),
        None => json::canonical(node).unwrap_or_default(),
    };
    let mut pairs: Vec<_> =
        entries.map(|(name, entry)| (name.to_owned(), text(&entry.value))).collect();
    pairs.sort();
    pairs
}
