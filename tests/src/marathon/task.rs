//! One task.

use std::net::Ipv4Addr;

use super::{
    ids::{AppId, TaskId},
    moment::Moment,
};

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Staging,
    Running,
    /// Its host does not answer since then. One that `is_replaced` no longer counts.
    Unreachable {
        since: Moment,
        is_replaced: bool,
    },
    /// It was told to die then.
    Killing {
        since: Moment,
    },
}

/// What its health check has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    pub is_alive: bool,
    pub consecutive_failures: u64,
    pub first_success: Option<Moment>,
    pub last_success: Option<Moment>,
    pub last_failure: Option<Moment>,
    pub last_failure_cause: Option<String>,
}

/// A task on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub app: AppId,
    /// The host's name.
    pub host: String,
    pub address: Ipv4Addr,
    pub slave: String,
    pub ports: Vec<u16>,
    /// Of the app when it was staged.
    pub version: Moment,
    pub staged_at: Moment,
    pub started_at: Option<Moment>,
    pub phase: Phase,
    /// None before the first.
    pub results: Option<Results>,
    /// Of whatever has made it unreachable: not a second time.
    pub(super) was_unreachable: bool,
}

impl Task {
    /// Whether it counts as one of the wanted instances.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(
            self.phase,
            Phase::Staging | Phase::Running | Phase::Unreachable { is_replaced: false, .. }
        )
    }

    /// As Mesos calls it.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Staging => "TASK_STAGING",
            Phase::Running => "TASK_RUNNING",
            Phase::Unreachable { .. } => "TASK_UNREACHABLE",
            Phase::Killing { .. } => "TASK_KILLING",
        }
    }

    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.results.as_ref().is_some_and(|results| results.is_alive)
    }

    /// Notes one result: good, or why not.
    pub(super) fn note(&mut self, now: Moment, result: Result<(), String>) {
        let results = self.results.get_or_insert_default();
        match result {
            Ok(()) => {
                results.is_alive = true;
                results.consecutive_failures = 0;
                results.first_success.get_or_insert(now);
                results.last_success = Some(now);
            }
            Err(cause) => {
                results.is_alive = false;
                results.consecutive_failures += 1;
                results.last_failure = Some(now);
                results.last_failure_cause = Some(cause);
            }
        }
    }

    /// When the last result came.
    pub(super) fn last_result(&self) -> Option<Moment> {
        self.results.as_ref().and_then(|results| results.last_success.max(results.last_failure))
    }
}
