//! How runs are to fare, by the name of their job.

use std::time::Duration;

/// What becomes of a run. The default: it succeeds at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// By the clock of the simulator.
    pub takes: Duration,
    pub fails: bool,
}

/// Behaviours by patterns of names of jobs.
pub type Script = crate::script::Script<Behaviour>;
