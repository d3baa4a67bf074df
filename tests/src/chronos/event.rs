//! What happens.

use std::fmt;

use jiff::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Created {
        job: String,
    },
    Replaced {
        job: String,
    },
    Deleted {
        job: String,
    },
    Started {
        job: String,
        attempt: u32,
    },
    Succeeded {
        job: String,
    },
    Failed {
        job: String,
    },
    Killed {
        job: String,
    },
    /// Its recurrences are used up.
    Disabled {
        job: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { job } => write!(f, "job {job}: created"),
            Self::Replaced { job } => write!(f, "job {job}: replaced"),
            Self::Deleted { job } => write!(f, "job {job}: deleted"),
            Self::Started { job, attempt } => write!(f, "job {job}: attempt {attempt} runs"),
            Self::Succeeded { job } => write!(f, "job {job}: succeeded"),
            Self::Failed { job } => write!(f, "job {job}: failed"),
            Self::Killed { job } => write!(f, "job {job}: killed"),
            Self::Disabled { job } => write!(f, "job {job}: disabled, it repeats no more"),
        }
    }
}

/// As Chronos writes times.
pub(super) fn written(moment: Option<Timestamp>) -> String {
    moment.map(|moment| format!("{moment:.3}")).unwrap_or_default()
}
