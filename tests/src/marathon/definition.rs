//! An app as it was asked for: checked, with its defaults, and read as far as the simulator acts on it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{check, ids::AppId, refusal::Refusal};

/// What is run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Definition {
    pub(super) id: AppId,
    pub(super) instances: usize,
    pub(super) constraints: Vec<Constraint>,
    pub(super) checks: Vec<HealthCheck>,
    /// A port of the host each; `None` for any.
    pub(super) ports: Vec<Option<u16>>,
    pub(super) backoff: Backoff,
    /// How long a task may take to end.
    pub(super) grace: Duration,
    pub(super) is_oldest_first: bool,
    /// All fields, with those defaults that the server shows.
    pub(super) fields: Map<String, Value>,
}

/// `[field, operator, value]`; the value may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Constraint {
    pub(super) field: String,
    pub(super) operator: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HealthCheck {
    pub(super) protocol: String,
    pub(super) path: String,
    pub(super) port: Option<u16>,
    pub(super) port_index: usize,
    pub(super) grace: Duration,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// 0: never killed for it.
    pub(super) max_failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) factor: f64,
    pub(super) most: Duration,
}

impl Definition {
    /// A new app.
    pub(super) fn create(body: &str) -> Result<Self, Refusal> {
        Self::of(check::object(body)?)
    }

    /// This app with the fields of `body` in the place of its own; whether its tasks become others.
    pub(super) fn updated(&self, body: &str) -> Result<(Self, bool), Refusal> {
        let update = check::object(body)?;
        check::form(&update)?;
        let mut fields = self.fields.clone();
        fields.extend(update.into_iter().filter(|(name, _)| name != "id"));
        let updated = Self::of(fields)?;
        let differs = |name: &String| updated.fields.get(name) != self.fields.get(name);
        let is_other =
            updated.fields.keys().any(|name| check::changes_tasks(name) && differs(name));
        Ok((updated, is_other))
    }

    /// An app that an update makes, as there was none.
    pub(super) fn created_by_update(id: &AppId, body: &str) -> Result<Self, Refusal> {
        let mut fields = check::object(body)?;
        fields.insert("id".to_owned(), json!(id.as_str()));
        Self::of(fields)
    }

    /// This app with so many instances.
    pub(super) fn scaled(&self, instances: usize) -> Self {
        let mut scaled = self.clone();
        scaled.instances = instances;
        scaled.fields.insert("instances".to_owned(), json!(instances));
        scaled
    }

    fn of(mut fields: Map<String, Value>) -> Result<Self, Refusal> {
        check::form(&fields)?;
        check::app(&fields)?;
        let id = AppId::new(fields.get("id").and_then(Value::as_str).unwrap_or_default());
        for (name, default) in defaults() {
            fields.entry(name).or_insert(default);
        }
        fields.insert("id".to_owned(), json!(id.as_str()));
        complete_checks(&mut fields);
        let seconds = |name: &str| number(fields.get(name)).map(Duration::from_secs);
        Ok(Self {
            id,
            instances: number(fields.get("instances")).and_then(|n| n.try_into().ok()).unwrap_or(1),
            constraints: list(fields.get("constraints")).iter().map(constraint).collect(),
            checks: list(fields.get("healthChecks")).iter().map(health_check).collect(),
            ports: ports(&fields),
            backoff: Backoff {
                first: seconds("backoffSeconds").unwrap_or_default(),
                factor: fields.get("backoffFactor").and_then(Value::as_f64).unwrap_or(1.15),
                most: seconds("maxLaunchDelaySeconds").unwrap_or_default(),
            },
            grace: seconds("taskKillGracePeriodSeconds").unwrap_or(Duration::from_secs(3)),
            is_oldest_first: fields.get("killSelection") == Some(&json!("OLDEST_FIRST")),
            fields,
        })
    }
}

impl Backoff {
    /// The delay after one more failure.
    pub(super) fn after(&self, last: Option<Duration>) -> Duration {
        let next = last.map_or(self.first.as_secs_f64(), |last| last.as_secs_f64() * self.factor);
        Duration::try_from_secs_f64(next).unwrap_or(self.most).min(self.most)
    }
}

fn defaults() -> Vec<(String, Value)> {
    let defaults = json!({
        "cmd": null, "args": null, "user": null, "env": {}, "instances": 1, "cpus": 1, "mem": 128,
        "disk": 0, "gpus": 0, "executor": "", "constraints": [], "uris": [], "fetch": [],
        "storeUrls": [], "backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 3600,
        "container": null, "healthChecks": [], "readinessChecks": [], "dependencies": [],
        "labels": {}, "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
        "ipAddress": null, "residency": null, "secrets": {}, "taskKillGracePeriodSeconds": null,
        "requirePorts": false,
    });
    match defaults {
        Value::Object(map) => map.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The server shows health checks with the defaults of all their fields.
fn complete_checks(fields: &mut Map<String, Value>) {
    let checks = fields.get_mut("healthChecks").and_then(Value::as_array_mut);
    for check in checks.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_command = check.get("protocol").and_then(Value::as_str) == Some("COMMAND");
        for (name, default) in [
            ("protocol", json!("HTTP")),
            ("gracePeriodSeconds", json!(300)),
            ("intervalSeconds", json!(60)),
            ("timeoutSeconds", json!(20)),
            ("maxConsecutiveFailures", json!(3)),
        ] {
            check.entry(name).or_insert(default);
        }
        if !is_command && !check.contains_key("port") {
            check.entry("portIndex").or_insert(json!(0));
        }
    }
}

fn ports(fields: &Map<String, Value>) -> Vec<Option<u16>> {
    let fixed = |port: Option<&Value>| {
        number(port).and_then(|port| port.try_into().ok()).filter(|port| *port != 0)
    };
    let docker = fields.get("container").and_then(|container| container.get("docker"));
    if let Some(mappings) = docker.and_then(|docker| docker.get("portMappings")) {
        return list(Some(mappings)).iter().map(|port| fixed(port.get("hostPort"))).collect();
    }
    let is_required = fields.get("requirePorts").and_then(Value::as_bool).unwrap_or(false);
    let wish = |port: Option<&Value>| fixed(port).filter(|_| is_required);
    if let Some(definitions) = fields.get("portDefinitions") {
        return list(Some(definitions)).iter().map(|port| wish(port.get("port"))).collect();
    }
    match fields.get("ports") {
        Some(ports) => list(Some(ports)).iter().map(|port| wish(Some(port))).collect(),
        None => vec![None],
    }
}

fn constraint(value: &Value) -> Constraint {
    let word = |at: usize| value.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    Constraint { field: word(0), operator: word(1), value: word(2) }
}

fn health_check(value: &Value) -> HealthCheck {
    let text = |name: &str, default: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    let whole = |name: &str, default: u64| number(value.get(name)).unwrap_or(default);
    HealthCheck {
        protocol: text("protocol", "HTTP"),
        path: text("path", "/"),
        port: number(value.get("port")).and_then(|port| port.try_into().ok()),
        port_index: usize::try_from(whole("portIndex", 0)).unwrap_or_default(),
        grace: Duration::from_secs(whole("gracePeriodSeconds", 300)),
        interval: Duration::from_secs(whole("intervalSeconds", 60)),
        timeout: Duration::from_secs(whole("timeoutSeconds", 20)),
        max_failures: whole("maxConsecutiveFailures", 3),
    }
}

/// A whole number, which may be written as `4.0`.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| format!("{:.0}", value.as_f64()?).parse().ok())
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
