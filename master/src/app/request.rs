//! The body of the request that creates an app, and what PaaSTA's Marathon client refuses to send
//! (marathon-sync.md §8).

use soa_configs::yaml::{Map, Node, Value};

/// Why the client would not send it. The texts are the client's where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    #[error("Invalid choice \"{value}\" for param \"{parameter}\". Must be one of {choices}")]
    Choice { parameter: &'static str, value: String, choices: &'static str },
    #[error("constraints: expected a field, an operator and perhaps a value, found {0} items")]
    Constraint(usize),
    #[error("volumes: `{0}` is not known")]
    Volume(String),
    #[error(
        "invalid path (allowed: lowercase letters, digits, hyphen, \"/\", \".\", \"..\"): '{0}'"
    )]
    Id(String),
}

const NETWORKS: (&[&str], &str) =
    (&["BRIDGE", "HOST", "USER", "NONE"], "['BRIDGE', 'HOST', 'USER', 'NONE']");
const MODES: (&[&str], &str) = (&["RO", "RW"], "['RO', 'RW']");
const OF_VOLUMES: &[&str] = &["containerPath", "hostPath", "mode", "persistent", "external"];

/// What goes out under another name.
const NAMES: &[(&str, &str)] = &[
    ("accepted_resource_roles", "acceptedResourceRoles"),
    ("backoff_factor", "backoffFactor"),
    ("backoff_seconds", "backoffSeconds"),
    ("health_checks", "healthChecks"),
    ("max_launch_delay_seconds", "maxLaunchDelaySeconds"),
    ("port_definitions", "portDefinitions"),
    ("require_ports", "requirePorts"),
];

/// Sent exactly as they are; inside all others nothing that is empty goes out.
const EXACT: &[&str] = &["args", "env", "uris"];

pub(super) fn body(id: &str, definition: &Map) -> Result<Node, InvalidRequest> {
    // The client looks at the beginning only.
    let begins_well = id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !begins_well {
        return Err(InvalidRequest::Id(id.to_owned()));
    }
    let mut body = Map::default();
    for (name, entry) in definition.texts() {
        let value = match name {
            "container" => container(&entry.value)?,
            "constraints" => constraints(&entry.value)?,
            _ if EXACT.contains(&name) => entry.value.clone(),
            _ => filled(&entry.value),
        };
        if !is_empty(&value) {
            let renamed = NAMES.iter().find(|(ours, _)| *ours == name);
            body.set(renamed.map_or(name, |(_, theirs)| theirs), value);
        }
    }
    Ok(Node::made(body))
}

fn container(node: &Node) -> Result<Node, InvalidRequest> {
    let Some(mut container) = node.as_map().cloned() else { return Ok(node.clone()) };
    if let Some(mut docker) = container.get("docker").and_then(Node::as_map).cloned() {
        choice("network", docker.get("network"), NETWORKS)?;
        docker.set("privileged", Node::made(false));
        docker.set("forcePullImage", Node::made(false));
        container.set("docker", Node::made(docker));
    }
    let volumes = container.get("volumes").and_then(Node::as_list).unwrap_or_default();
    let volumes: Vec<Node> = volumes.iter().map(volume).collect::<Result<_, _>>()?;
    container.set("volumes", Node::made(volumes));
    Ok(filled(&Node::made(container)))
}

fn volume(node: &Node) -> Result<Node, InvalidRequest> {
    let Some(mut volume) = node.as_map().cloned() else { return Ok(node.clone()) };
    let unknown = volume.texts().map(|(name, _)| name).find(|name| !OF_VOLUMES.contains(name));
    if let Some(name) = unknown {
        return Err(InvalidRequest::Volume(name.to_owned()));
    }
    if volume.get("mode").is_none() {
        volume.set("mode", Node::made("RW"));
    }
    choice("mode", volume.get("mode"), MODES)?;
    Ok(Node::made(volume))
}

fn choice(
    parameter: &'static str,
    value: Option<&Node>,
    (known, choices): (&[&str], &'static str),
) -> Result<(), InvalidRequest> {
    let text = value.and_then(Node::as_text);
    if text.is_some_and(|text| known.contains(&text)) {
        return Ok(());
    }
    let value = text.unwrap_or_else(|| value.map_or("nothing", |value| value.value.kind()));
    Err(InvalidRequest::Choice { parameter, value: value.to_owned(), choices })
}

fn constraints(node: &Node) -> Result<Node, InvalidRequest> {
    let lists = node.as_list().unwrap_or_default().iter();
    let sent = lists.map(|list| {
        let items = list.as_list().unwrap_or_default();
        match items {
            [field, operator, value] if is_empty(value) => {
                Ok(Node::made(vec![field.clone(), operator.clone()]))
            }
            [_, _] | [_, _, _] => Ok(list.clone()),
            _ => Err(InvalidRequest::Constraint(items.len())),
        }
    });
    Ok(Node::made(sent.collect::<Result<Vec<_>, _>>()?))
}

/// Null, and texts, lists and maps without content.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

/// Without what is empty, at every level.
fn filled(node: &Node) -> Node {
    match &node.value {
        Value::List(list) => {
            let items = list.iter().map(filled).filter(|item| !is_empty(item));
            Node::made(items.collect::<Vec<_>>())
        }
        Value::Map(map) => {
            let entries = map.texts().map(|(name, entry)| (name, filled(&entry.value)));
            Node::made(entries.filter(|(_, value)| !is_empty(value)).collect::<Map>())
        }
        _ => node.clone(),
    }
}
