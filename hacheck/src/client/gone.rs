//! Hosts that were found gone during one round of requests.
//!
//! A host that is gone has as many tasks as any other: each would wait for the same timeout, and hold
//! up the tasks of healthy hosts meanwhile.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::Fault;

#[derive(Debug, Default)]
pub(super) struct Gone {
    hosts: Mutex<HashMap<String, Fault>>,
}

impl Gone {
    /// What an earlier request of this round has found.
    pub(super) fn known(&self, host: &str) -> Option<Fault> {
        self.hosts.lock().get(host).cloned()
    }

    pub(super) fn note(&self, host: &str, fault: &Fault) {
        if fault.is_host_gone() {
            self.hosts.lock().insert(host.to_owned(), fault.clone());
        }
    }
}
