//! What Marathon says of apps and tasks, as far as bounces and checks need it (marathon-sync.md §22).

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Marathon asks its tasks for health.
    #[serde(default, rename = "healthChecks", deserialize_with = "is_not_empty")]
    pub has_health_checks: bool,
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
    #[serde(default)]
    pub ports: Vec<u16>,
    /// As Mesos has it: `TASK_RUNNING`, `TASK_UNREACHABLE`, ...
    #[serde(default)]
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
    #[serde(default)]
    alive: bool,
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
