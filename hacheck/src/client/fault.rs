//! What can go wrong between a drain method and the hacheck of a host.

use std::{fmt, sync::Arc, time::Duration};

use super::{Task, Unreadable, answer::shown, http::Reply};
use crate::names::ServiceName;

/// Why nothing certain can be said about a task. It never means that the task may be stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub struct DrainError {
    /// Where the task runs.
    pub host: String,
    /// The first registration at fault, in the order given; `None` if it is the task itself.
    pub registration: Option<ServiceName>,
    /// What happened.
    #[source]
    pub fault: Fault,
}

/// What happened to one request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The task has no port, so it has no mark.
    #[error("the task has no port")]
    NoPort,
    /// Nobody knows the host by this name.
    #[error("its name cannot be resolved")]
    Unknown(#[source] Arc<std::io::Error>),
    /// The host does not let anyone connect in time: it, or the network to it, is gone.
    #[error("it lets nobody connect within {0:?}")]
    Gone(Duration),
    /// The host is there, or something on the way to it, and refuses to connect.
    #[error("nobody can connect to hacheck")]
    Unreachable(#[source] Arc<std::io::Error>),
    /// Connected, and no complete answer in time.
    #[error("hacheck does not answer within {0:?}")]
    Silent(Duration),
    /// Connected, and no proper answer: cut off, no HTTP, or too long.
    #[error("hacheck's answer cannot be received: {0}")]
    Broken(String),
    /// hacheck says no.
    #[error("hacheck answers {status}: {text:?}")]
    Refused {
        /// HTTP status, 400 or above.
        status: u16,
        /// The beginning of the body.
        text: String,
    },
    /// The answer is none of hacheck's.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Fault {
    /// Whether a change that was asked for may have been made all the same.
    #[must_use]
    pub fn may_have_worked(&self) -> bool {
        // hacheck answers 500 to a mark that is in force but not on disk.
        match self {
            Self::Silent(_) | Self::Broken(_) | Self::Unreadable(_) => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::NoPort | Self::Unknown(_) | Self::Gone(_) | Self::Unreachable(_) => false,
        }
    }

    /// Whether the host itself seems to be away, so that asking again at once is of no use.
    #[must_use]
    pub fn is_host_gone(&self) -> bool {
        use std::io::ErrorKind::{HostUnreachable, NetworkUnreachable};
        match self {
            Self::Unknown(_) | Self::Gone(_) => true,
            Self::Unreachable(error) => {
                matches!(error.kind(), HostUnreachable | NetworkUnreachable)
            }
            _ => false,
        }
    }

    /// With its cause, on one line.
    pub(crate) fn explained(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    pub(super) fn refused(reply: &Reply) -> Self {
        Self::Refused { status: reply.status, text: shown(&reply.body) }
    }
}

impl DrainError {
    pub(super) fn of(task: &Task, registration: Option<&ServiceName>, fault: Fault) -> Self {
        Self { host: task.host.clone(), registration: registration.cloned(), fault }
    }
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.escape_debug();
        match &self.registration {
            Some(registration) => write!(f, "cannot ask {host} about {registration}"),
            None => write!(f, "cannot ask {host}"),
        }
    }
}
