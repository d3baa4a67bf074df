//! Two definitions of an app, field by field. What Marathon adds by itself is no difference.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// One field of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// As `container.docker.image`. Items of lists are named by what tells them apart:
    /// `container.docker.parameters[memory-swap]`, `container.volumes[/nail]`, `healthChecks[0].path`.
    pub path: String,
    /// `None`: it is not there.
    pub is: Option<Value>,
    /// `None`: it is not to be there.
    pub to_be: Option<Value>,
}

impl Field {
    /// A new app follows when it changes; others are changed in place, or wait for the next app.
    pub(super) fn is_hashed(&self) -> bool {
        !matches!(self.path.as_str(), "instances" | "backoffSeconds")
    }
}

/// Those that we send always or not at all, so that they are gone when they are not sent. Of others Marathon
/// has values of its own.
const OURS: [&str; 13] = [
    "acceptedResourceRoles",
    "args",
    "arguments",
    "cmd",
    "command",
    "constraints",
    "container.docker.parameters[",
    "container.parameters[",
    "container.volumes[",
    "env.",
    "environmentVariables[",
    "healthChecks[",
    "parents",
];
/// Marathon gives a port where none is meant.
const ANY_PORT: &str = "portDefinitions[";

/// The fields that differ, by name. Both are objects as Marathon has them; else they have no fields.
#[must_use]
pub fn compare(found: &Value, wanted: &Value) -> Vec<Field> {
    let shared: BTreeSet<&str> = [found, wanted].into_iter().flat_map(shared_paths).collect();
    let (mut is, mut to_be) = (BTreeMap::new(), BTreeMap::new());
    leaves("", found, &shared, &mut is);
    leaves("", wanted, &shared, &mut to_be);
    // What they are called says which are compared.
    to_be.remove("id");
    to_be.remove("name");
    let mut fields: Vec<Field> = Vec::new();
    for (path, value) in &to_be {
        let found = is.get(path);
        let is_any = path.starts_with(ANY_PORT) && is_zero(value) && found.is_some();
        if !is_any && found.is_none_or(|found| !are_equal(path, found, value)) {
            let (path, is, to_be) = (path.clone(), found.cloned(), Some(value.clone()));
            fields.push(Field { path, is, to_be });
        }
    }
    for (path, value) in is {
        let item = path.rfind(']').map_or(path.as_str(), |end| &path[..=end]);
        let is_ours = OURS.iter().any(|ours| path.starts_with(ours));
        let is_sent = to_be.range(item.to_owned()..).next().is_some_and(|(to_be, _)| {
            to_be.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        // The default, which some versions of Marathon write out.
        let is_default = path == "acceptedResourceRoles" && value == serde_json::json!(["*"]);
        if is_ours && !is_sent && !is_default {
            fields.push(Field { path, is: Some(value), to_be: None });
        }
    }
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    fields
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}

/// Marathon writes `1` where `1.0` was sent, or the other way round; Chronos says `docker` for `DOCKER`.
fn are_equal(path: &str, a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64(), a.as_str(), b.as_str()) {
        (Some(a), Some(b), ..) => a.total_cmp(&b).is_eq(),
        (.., Some(a), Some(b)) if path == "container.type" => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

/// Where in a container more than one volume lies: their hosts' paths tell them apart.
fn shared_paths(definition: &Value) -> Vec<&str> {
    let volumes = definition.pointer("/container/volumes").and_then(Value::as_array);
    let paths = volumes.into_iter().flatten().filter_map(|volume| volume["containerPath"].as_str());
    let mut paths: Vec<&str> = paths.collect();
    paths.sort_unstable();
    paths.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect()
}

type Leaves = BTreeMap<String, Value>;

/// Everything that is not empty, by its path. Lists of plain values are one.
fn leaves(path: &str, value: &Value, shared: &BTreeSet<&str>, leaves_: &mut Leaves) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{name}"), value, shared, leaves_);
            }
        }
        Value::Array(list) if list.is_empty() => {}
        Value::Array(list) => match list.iter().map(Value::as_object).collect::<Option<Vec<_>>>() {
            Some(items) => in_list(path, &items, shared, leaves_),
            None => drop(leaves_.insert(path.to_owned(), value.clone())),
        },
        _ => drop(leaves_.insert(path.to_owned(), value.clone())),
    }
}

fn in_list(
    path: &str,
    items: &[&Map<String, Value>],
    shared: &BTreeSet<&str>,
    leaves_: &mut Leaves,
) {
    for (at, item) in items.iter().enumerate() {
        let text = |name| item.get(name).and_then(Value::as_str);
        let key = text("key").or_else(|| text("name"));
        if let (Some(key), Some(value)) = (key, item.get("value")) {
            several(leaves_, format!("{path}[{key}]"), value);
            continue;
        }
        let name = match text("containerPath") {
            Some(there) if shared.contains(there) => {
                format!("{there} from {}", text("hostPath").unwrap_or("nothing"))
            }
            Some(there) => there.to_owned(),
            None => at.to_string(),
        };
        for (key, value) in *item {
            leaves(&format!("{path}[{name}].{key}"), value, shared, leaves_);
        }
    }
}

/// A value; of a name that comes more than once, the list of them.
fn several(leaves_: &mut Leaves, path: String, value: &Value) {
    match leaves_.get_mut(&path) {
        None => drop(leaves_.insert(path, value.clone())),
        Some(Value::Array(values)) => values.push(value.clone()),
        Some(first) => *first = Value::Array(vec![first.take(), value.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(found: &Value, wanted: &Value) -> Vec<String> {
        let text = |value: Option<Value>| value.map_or("-".to_owned(), |value| value.to_string());
        let fields = compare(found, wanted).into_iter();
        fields.map(|f| format!("{} {} {}", f.path, text(f.is), text(f.to_be))).collect()
    }

    #[test]
    fn what_marathon_adds_is_no_difference() {
        let wanted = json!({
            "id": "web.main.git2.config2", "cpus": 1, "env": {"A": "b", "E": ""},
            "requirePorts": false, "portDefinitions": [{"port": 0, "protocol": "tcp"}],
            "container": {"docker": {"image": "i"}, "volumes": [{"containerPath": "/n", "mode": "RO"}]},
            "healthChecks": [{"path": "/", "intervalSeconds": 10}],
        });
        let found = json!({
            "id": "/web.main.git1.config1", "cpus": 1.0, "env": {"A": "b", "E": ""}, "user": null,
            "requirePorts": false, "acceptedResourceRoles": ["*"], "labels": {}, "version": "2018",
            "portDefinitions": [{"port": 10_005, "protocol": "tcp", "labels": {}}],
            "container": {
                "type": "DOCKER", "docker": {"image": "i", "parameters": []},
                "volumes": [{"containerPath": "/n", "mode": "RO", "external": null, "x": 1}],
            },
            "healthChecks": [{"path": "/", "intervalSeconds": 10, "ignoreHttp1xx": false}],
        });
        assert_eq!(told(&found, &wanted), Vec::<String>::new());
    }

    #[test]
    fn what_comes_changes_and_goes_is_told_by_name() {
        let parameter = |key: &str, value: &str| json!({"key": key, "value": value});
        let wanted = json!({
            "cpus": 2, "env": {"A": "c", "N": "n"}, "constraints": [["pool", "LIKE", "a"]],
            "container": {"docker": {"parameters": [
                parameter("ulimit", "a=1"), parameter("ulimit", "b=1"), parameter("cap-add", "X"),
            ]}},
        });
        let found = json!({
            "cpus": 1.0, "env": {"A": "b", "G": "g"}, "cmd": "run",
            "constraints": [["pool", "LIKE", "b"]],
            "container": {
                "docker": {"parameters": [parameter("ulimit", "a=1"), parameter("memory", "1m")]},
                "volumes": [{"containerPath": "/n", "hostPath": "/h"}],
            },
            "healthChecks": [{"path": "/"}],
        });
        assert_eq!(
            told(&found, &wanted),
            [
                "cmd \"run\" -",
                "constraints [[\"pool\",\"LIKE\",\"b\"]] [[\"pool\",\"LIKE\",\"a\"]]",
                "container.docker.parameters[cap-add] - \"X\"",
                "container.docker.parameters[memory] \"1m\" -",
                "container.docker.parameters[ulimit] \"a=1\" [\"a=1\",\"b=1\"]",
                "container.volumes[/n].containerPath \"/n\" -",
                "container.volumes[/n].hostPath \"/h\" -",
                "cpus 1.0 2",
                "env.A \"b\" \"c\"",
                "env.G \"g\" -",
                "env.N - \"n\"",
                "healthChecks[0].path \"/\" -",
            ]
        );
    }
    #[test]
    fn volumes_in_one_place_are_told_apart() {
        let volume = |there: &str, here: &str| json!({"containerPath": there, "hostPath": here});
        let with = |volumes: &[Value]| json!({"container": {"volumes": volumes}});
        let (one, other) = (volume("/n", "/a"), volume("/n", "/b"));
        let found = with(std::slice::from_ref(&one));
        assert_eq!(
            told(&found, &with(&[one, other])),
            [
                "container.volumes[/n from /b].containerPath - \"/n\"",
                "container.volumes[/n from /b].hostPath - \"/b\"",
            ]
        );
        let changed = ["container.volumes[/n].hostPath \"/a\" \"/c\""];
        assert_eq!(told(&found, &with(&[volume("/n", "/c")])), changed);
    }
}
