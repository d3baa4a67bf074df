//! What an operator means by a name: which registrations of this host.

use std::sync::Arc;

use soa_configs::Namespace;

use super::View;
use crate::nerve::registrations::{Registration, Registrations};

/// One instance of this host in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub namespace: Namespace,
    pub port: u16,
}

impl Target {
    #[must_use]
    pub fn of(registration: &Registration) -> Self {
        Self { namespace: registration.key.namespace.clone(), port: registration.port }
    }

    /// Whether this is the instance of a registration.
    pub(super) fn is(&self, registration: &Registration) -> bool {
        registration.port == self.port && registration.key.namespace == self.namespace
    }
}

/// Finds the registrations that `text` names.
///
/// # Errors
/// A sentence that says what there is instead.
pub fn resolve(text: &str, view: &View) -> Result<Vec<Target>, String> {
    find(text, &view.registrations.borrow())
}

fn find(text: &str, registrations: &Registrations) -> Result<Vec<Target>, String> {
    if text.is_empty() {
        return Err(
            "name a target: SERVICE.NAMESPACE[:PORT], a container or a local process".to_owned()
        );
    }
    let meant = |r: &&Arc<Registration>| {
        let id = r.key.task.to_string();
        let by_namespace = match text.rsplit_once(':') {
            Some((namespace, port)) => {
                r.key.namespace.as_str() == namespace && port.parse() == Ok(r.port)
            }
            None => r.key.namespace.as_str() == text,
        };
        // Docker's own rule: a beginning of the id will do. Twelve characters are what it prints.
        by_namespace || r.title == text || id == text || (text.len() >= 12 && id.starts_with(text))
    };
    let found = registrations.wanted.values().filter(meant);
    let mut targets: Vec<Target> = found.map(|r| Target::of(r)).collect();
    targets.sort();
    targets.dedup();
    if !targets.is_empty() {
        return Ok(targets);
    }
    let known: Vec<String> = registrations
        .wanted
        .values()
        .map(|r| format!("{}:{} ({})", r.key.namespace, r.port, r.title))
        .take(20)
        .collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(format!("`{}` names no task of this host; there are: {known}", text.escape_debug()))
}
