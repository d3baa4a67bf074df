//! How tasks are to fare, by the id of their app.

use std::time::Duration;

/// Where results of health checks come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Good from the first result on.
    #[default]
    Good,
    /// Every result is bad.
    Bad,
    /// Results stay as they are.
    Kept,
    /// The first check of the app is really done against the task, over HTTP or TCP.
    Asked,
}

/// What becomes of a task. The default: it runs at once, is healthy at once, and dies at once when it
/// is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// No host has room for another task.
    pub no_offers: bool,
    /// From staged to running, or to the failure.
    pub start_delay: Duration,
    /// It fails instead of running, and the app is held back as its back-off says.
    pub fails_to_start: bool,
    /// From running to the first result of its health check.
    pub health_delay: Duration,
    pub health: Health,
    /// Between results; the app's own interval if none.
    pub check_every: Option<Duration>,
    /// It fails when it has run for so long.
    pub dies_after: Option<Duration>,
    /// Its host is out of reach when it has run for so long.
    pub unreachable_after: Option<Duration>,
    /// It is replaced when it was out of reach for so long; never if none.
    pub replaced_after: Option<Duration>,
    /// From the order to die to the end.
    pub kill_delay: Duration,
    /// A deleted app is listed for so long. The real one stops at once.
    pub listed_after_deletion: Duration,
}

impl Behaviour {
    /// Nothing happens by itself but the end of what is killed.
    #[must_use]
    pub fn frozen() -> Self {
        Self {
            no_offers: true,
            start_delay: Duration::MAX,
            health: Health::Kept,
            ..Self::default()
        }
    }
}

/// Behaviours by patterns of app ids, with their leading slash.
pub type Script = crate::script::Script<Behaviour>;

#[cfg(test)]
mod tests {
    use super::{super::ids::AppId, *};

    #[test]
    fn the_last_rule_that_fits_counts() {
        let slow = Behaviour { start_delay: Duration::from_secs(9), ..Behaviour::default() };
        let script = Script::all(slow).with("/web.*", Behaviour::default());
        assert_eq!(script.of(AppId::new("api.main").as_str()), slow);
        assert_eq!(script.of(AppId::new("web.main").as_str()), Behaviour::default());
    }
}
