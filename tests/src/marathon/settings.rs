//! How a simulator is set up.

use std::{sync::Arc, time::Duration};

use super::{hosts::Host, real::Runner, script::Script};

/// All there is to choose. The default: three hosts, everything at once, no real tasks, no password.
#[derive(Clone, Debug)]
pub struct Settings {
    pub hosts: Vec<Host>,
    pub script: Script,
    /// User and password that every request must bring.
    pub login: Option<(String, String)>,
    /// Makes tasks real.
    pub runner: Option<Arc<dyn Runner>>,
    /// How long a request waits for a leader while there is none.
    pub leader_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: Host::some(3),
            script: Script::default(),
            login: None,
            runner: None,
            leader_wait: Duration::from_millis(2500),
        }
    }
}
