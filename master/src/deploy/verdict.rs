//! How a pass over an instance came out: for the caller, for the next pass, and for Sensu
//! (marathon-sync.md §10).

use std::time::Duration;

use crate::events::Status;

/// Seconds until an instance that is not as it should be is looked at again.
pub const SOON: Duration = Duration::from_secs(60);

/// How a pass came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The pass did not come to its end: exit code 1, and the daemon waits longer each time.
    pub has_failed: bool,
    /// When it should be looked at again. `None`: when something changes.
    pub again: Option<Duration>,
    /// What Sensu is told. `None`: nothing.
    pub event: Option<(Status, String)>,
    /// What the one who called should read.
    pub complaints: Vec<String>,
}

impl Verdict {
    /// The instance is as it should be, or one step nearer.
    #[must_use]
    pub fn deployed(again: Option<Duration>) -> Self {
        let event = Some((Status::Ok, "Service deployed.".to_owned()));
        Self { again, event, ..Self::default() }
    }

    /// There is nothing to be done for it.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// It is wrong in a way that its owners must hear of, and that fails no pass.
    #[must_use]
    pub fn wrong(output: String, again: Option<Duration>) -> Self {
        Self {
            again,
            complaints: vec![output.trim_end().to_owned()],
            event: Some((Status::Critical, output)),
            has_failed: false,
        }
    }

    /// The pass failed because of the instance: its owners must hear of it.
    #[must_use]
    pub fn failed(output: String) -> Self {
        Self { has_failed: true, ..Self::wrong(output, None) }
    }

    /// The pass failed because of something that no owner of a service can mend. An event for each of
    /// them would be a storm.
    #[must_use]
    pub fn unable(complaint: String) -> Self {
        Self { has_failed: true, complaints: vec![complaint], ..Self::default() }
    }
}
