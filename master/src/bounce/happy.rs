//! Which tasks serve (marathon-sync.md §12).

use jiff::Timestamp;
use soa_configs::yaml::{Map, Node};

use crate::marathon::running::{RunningApp, Task};

/// What it takes for a new task to count (`bounce_health_params`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HealthParams {
    /// Seconds since it started. `None`: they do not count.
    pub min_task_uptime: Option<f64>,
    /// The HAProxy of its own host must send to it. Default: no.
    pub check_haproxy: bool,
}

/// A parameter that there is not, or not of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHealthParams {
    #[error("bounce_health_params: {0:?} is not known; expected check_haproxy or min_task_uptime")]
    Unknown(String),
    #[error("bounce_health_params: min_task_uptime: expected seconds")]
    Uptime,
}

impl HealthParams {
    /// PaaSTA looks at them only once there is an app to look at.
    ///
    /// # Errors
    /// When one is not known, or no number.
    pub fn read(map: &Map) -> Result<Self, InvalidHealthParams> {
        let mut params = Self::default();
        for entry in map.iter() {
            match entry.key.as_text() {
                Some("check_haproxy") => params.check_haproxy = !entry.value.is_falsy(),
                Some("min_task_uptime") => params.min_task_uptime = uptime(&entry.value)?,
                Some(other) => return Err(InvalidHealthParams::Unknown(other.to_owned())),
                None => {
                    return Err(InvalidHealthParams::Unknown(entry.key.value.kind().to_owned()));
                }
            }
        }
        Ok(params)
    }
}

fn uptime(node: &Node) -> Result<Option<f64>, InvalidHealthParams> {
    match node.as_f64() {
        Some(seconds) => Ok(Some(seconds)),
        None if node.is_null() => Ok(None),
        None => Err(InvalidHealthParams::Uptime),
    }
}

/// The tasks of an app that serve, in its order. `is_registered` says whether the HAProxy of a task's
/// host sends to it; it is asked only where that counts.
#[must_use]
pub fn tasks<'a>(
    app: &'a RunningApp,
    params: &HealthParams,
    now: Timestamp,
    is_registered: impl Fn(&Task) -> bool,
) -> Vec<&'a Task> {
    let is_healthy = |task: &&Task| {
        let Some(started) = task.started_at else { return false };
        let uptime = now.duration_since(started).as_secs_f64();
        let is_old_enough = params.min_task_uptime.is_none_or(|least| uptime >= least);
        let is_alive =
            if task.alive.is_empty() { !app.has_health_checks } else { task.alive.contains(&true) };
        is_old_enough && is_alive
    };
    let tasks = app.tasks.iter().filter(is_healthy);
    tasks.filter(|task| !params.check_haproxy || is_registered(task)).collect()
}

#[cfg(test)]
mod tests {
    use soa_configs::yaml;

    use super::*;

    #[test]
    fn parameters_are_known_ones() {
        let read = |text: &str| HealthParams::read(yaml::parse(text).unwrap().as_map().unwrap());
        let params = HealthParams { min_task_uptime: Some(2.5), check_haproxy: true };
        assert_eq!(read("{check_haproxy: true, min_task_uptime: 2.5}"), Ok(params));
        assert_eq!(read("{check_haproxy: no, min_task_uptime: }"), Ok(HealthParams::default()));
        assert!(read("{haproxy: true}").unwrap_err().to_string().contains("\"haproxy\""));
        assert_eq!(read("{min_task_uptime: soon}"), Err(InvalidHealthParams::Uptime));
    }
}
