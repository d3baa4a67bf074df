//! What Marathon says of apps and tasks, as far as bounces and checks need it (marathon-sync.md §22).

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Something in a list that is not understood: whom it belongs to is told, and nothing is done about that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what Marathon says of {app} is not understood: {why}")]
pub struct Odd {
    /// The id of the app, with its leading `/`.
    pub app: String,
    pub why: String,
}

/// An app with its tasks (`GET /v2/apps?embed=app.tasks`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningApp {
    /// With its leading `/`.
    pub id: String,
    /// The place of the group of servers that has it. What Marathon says has none.
    #[serde(skip)]
    pub shard: usize,
    pub instances: u32,
    #[serde(default, deserialize_with = "or_nothing")]
    pub tasks: Vec<Task>,
    /// Marathon asks its tasks for health.
    #[serde(default, rename = "healthChecks", deserialize_with = "is_not_empty")]
    pub has_health_checks: bool,
    /// Why nothing but its id and its place is known. `None`: it is understood.
    #[serde(skip)]
    pub odd: Option<Odd>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    pub id: String,
    /// With its leading `/`.
    pub app_id: String,
    /// Name or address of the host it runs on.
    pub host: String,
    /// Of the host. The first one is what marks and proxies know it by.
    #[serde(default, deserialize_with = "or_nothing")]
    pub ports: Vec<u16>,
    /// As Mesos has it: `TASK_RUNNING`, `TASK_UNREACHABLE`, ...
    #[serde(default, deserialize_with = "or_nothing")]
    pub state: String,
    /// `None`: it has not started.
    #[serde(default, deserialize_with = "time")]
    pub started_at: Option<Timestamp>,
    /// The results of its health checks, as far as there are any: whether it is alive.
    #[serde(default, rename = "healthCheckResults", deserialize_with = "results")]
    pub alive: Vec<bool>,
}

#[derive(Deserialize)]
struct HealthResult {
    #[serde(default, deserialize_with = "or_nothing")]
    alive: bool,
}

impl RunningApp {
    /// Reads one app. `None`: it has no id, so it is nobody's.
    pub(super) fn read(said: &Value) -> Option<Self> {
        let id = said.get("id")?.as_str()?.to_owned();
        let read = Self::deserialize(said);
        Some(read.unwrap_or_else(|error| {
            let odd = Some(Odd { app: id.clone(), why: error.to_string() });
            Self { id, shard: 0, instances: 0, tasks: Vec::new(), has_health_checks: false, odd }
        }))
    }
}

impl Task {
    /// Reads one task.
    pub(super) fn read(said: &Value) -> Result<Self, Odd> {
        Self::deserialize(said).map_err(|error| {
            let app = said.get("appId").and_then(Value::as_str).unwrap_or_default().to_owned();
            Odd { app, why: error.to_string() }
        })
    }
}

/// Null says as much as a field that is not there.
fn or_nothing<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Deserialize::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// Null among the results, which Marathon is known to send, is none.
fn results<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
    let results: Option<Vec<Option<HealthResult>>> = Deserialize::deserialize(deserializer)?;
    Ok(results.into_iter().flatten().flatten().map(|result| result.alive).collect())
}

fn is_not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let checks: Option<Vec<Value>> = Deserialize::deserialize(deserializer)?;
    Ok(checks.is_some_and(|checks| !checks.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_say_nothing_and_what_is_not_understood_stays_known_by_its_id() {
        let task = json!({"id": "t", "appId": "/a.b", "host": "h", "ports": null, "state": null,
            "startedAt": null, "healthCheckResults": [null, {"alive": null}]});
        let app = json!({"id": "/a.b", "instances": 1, "tasks": [task], "healthChecks": null});
        let read = RunningApp::read(&app).unwrap();
        assert_eq!((read.odd, read.tasks.len(), &read.tasks[0].alive[..]), (None, 1, &[false][..]));
        let none = RunningApp::read(&json!({"id": "/a.b", "instances": 1, "tasks": null})).unwrap();
        assert_eq!((none.odd, none.tasks), (None, Vec::new()));
        for odd in [
            json!({"id": "/a.b"}),
            json!({"id": "/a.b", "instances": -1}),
            json!({"id": "/a.b", "instances": 1, "tasks": [{"id": "t"}]}),
            json!({"id": "/a.b", "instances": 1, "tasks": {}}),
        ] {
            let read = RunningApp::read(&odd).unwrap();
            assert_eq!(read.odd.map(|odd| odd.app).as_deref(), Some("/a.b"), "{odd}");
        }
        assert_eq!(RunningApp::read(&json!({"instances": 1})), None);
        let odd = json!({"id": "t", "appId": "/a.b", "host": "h", "ports": [70_000]});
        assert_eq!(Task::read(&odd).unwrap_err().app, "/a.b");
    }
}
