//! How runs are to fare, by the name of their job.

use std::time::Duration;

use crate::marathon::is_like;

/// What becomes of a run. The default: it succeeds at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// By the clock of the simulator.
    pub takes: Duration,
    pub fails: bool,
}

/// Behaviours by patterns of names; the last that fits counts.
#[derive(Clone, Debug, Default)]
pub struct Script {
    rules: Vec<(String, Behaviour)>,
}

impl Script {
    /// One behaviour for all.
    #[must_use]
    pub fn all(behaviour: Behaviour) -> Self {
        Self::default().with("*", behaviour)
    }

    /// Jobs whose name is like `pattern` (`*` stands for anything) behave so.
    #[must_use]
    pub fn with(mut self, pattern: &str, behaviour: Behaviour) -> Self {
        self.rules.push((pattern.to_owned(), behaviour));
        self
    }

    #[must_use]
    pub fn of(&self, job: &str) -> Behaviour {
        let rule = self.rules.iter().rev().find(|(pattern, _)| is_like(pattern, job));
        rule.map(|(_, behaviour)| *behaviour).unwrap_or_default()
    }
}
