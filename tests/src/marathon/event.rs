//! What happened, for people and for whoever runs real tasks.

use std::fmt;

use super::ids::{AppId, TaskId};

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Created, or scaled to so many.
    Wanted {
        app: AppId,
        instances: usize,
    },
    Deleted {
        app: AppId,
    },
    /// No task can be placed now.
    Waiting {
        app: AppId,
        reason: &'static str,
    },
    Staged {
        task: TaskId,
        host: String,
        ports: Vec<u16>,
    },
    Running {
        task: TaskId,
    },
    Healthy {
        task: TaskId,
    },
    Unhealthy {
        task: TaskId,
        cause: String,
    },
    Unreachable {
        task: TaskId,
    },
    Reachable {
        task: TaskId,
    },
    /// It was told to die.
    Killing {
        task: TaskId,
    },
    /// It is no more; `TASK_KILLED`, `TASK_FAILED` or `TASK_GONE`.
    Ended {
        task: TaskId,
        state: &'static str,
        message: String,
    },
    DeploymentStarted {
        id: String,
    },
    DeploymentFinished {
        id: String,
    },
    DeploymentCancelled {
        id: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wanted { app, instances } => write!(f, "app {app}: {instances} wanted"),
            Self::Deleted { app } => write!(f, "app {app}: deleted"),
            Self::Waiting { app, reason } => write!(f, "app {app}: no host fits: {reason}"),
            Self::Staged { task, host, ports } => {
                write!(f, "task {task}: staged on {host} {ports:?}")
            }
            Self::Running { task } => write!(f, "task {task}: running"),
            Self::Healthy { task } => write!(f, "task {task}: healthy"),
            Self::Unhealthy { task, cause } => write!(f, "task {task}: unhealthy: {cause}"),
            Self::Unreachable { task } => write!(f, "task {task}: unreachable"),
            Self::Reachable { task } => write!(f, "task {task}: reachable again"),
            Self::Killing { task } => write!(f, "task {task}: told to die"),
            Self::Ended { task, state, message } => write!(f, "task {task}: {state}: {message}"),
            Self::DeploymentStarted { id } => write!(f, "deployment {id}: started"),
            Self::DeploymentFinished { id } => write!(f, "deployment {id}: finished"),
            Self::DeploymentCancelled { id } => write!(f, "deployment {id}: cancelled"),
        }
    }
}
