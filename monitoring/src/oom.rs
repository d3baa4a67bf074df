//! What people are told when the kernel kills processes of an instance for want of memory
//! (cli-and-monitoring.md A5).

use std::collections::BTreeSet;

use soa_configs::yaml::{Map, Node};

use crate::events::Status;

/// What was killed of one instance within a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kills {
    pub count: u64,
    /// The names of the processes; `None`: they are not known.
    pub processes: Option<BTreeSet<String>>,
}

/// The name of the check of an instance.
#[must_use]
pub fn name(service: &str, instance: &str) -> String {
    format!("oom-killer.{service}.{instance}")
}

/// Whether an instance wants to hear of it (`check_oom_events`, default true).
#[must_use]
pub fn is_wanted(monitoring: &Map) -> bool {
    monitoring.get("check_oom_events").is_none_or(|wanted| !wanted.is_falsy())
}

/// What the event of `service.instance` says.
#[must_use]
pub fn finding(instance: &str, monitoring: &Map, kills: &Kills) -> (Status, String) {
    if !is_wanted(monitoring) {
        return (Status::Ok, format!("This check is disabled for {instance}."));
    }
    if kills.count == 0 {
        return (Status::Ok, format!("No oom events for {instance} in the last minute."));
    }
    let names = kills.processes.as_ref().map_or_else(String::new, |names| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!(" ({})", names.join(","))
    });
    let output = format!(
        "The Out Of Memory killer killed {} processes{names} in the last minute in {instance} containers.",
        kills.count
    );
    (Status::Critical, output)
}

/// What the instance says of its events, and what this check insists on. `mem` is its limit in MB, if it
/// is known; `realert_every` counts events.
#[must_use]
pub fn overrides(monitoring: &Map, mem: Option<&Node>, realert_every: i64) -> Map {
    let mut overrides = monitoring.clone();
    overrides.set("page", Node::made(false));
    overrides.set("ticket", Node::made(false));
    overrides.set("alert_after", Node::made("0m"));
    overrides.set("realert_every", Node::made(realert_every));
    overrides.set("runbook", Node::made("y/check-oom-events"));
    let whole = mem.and_then(Node::as_f64).map(|mem| format!(" past {:.0}MB", mem.trunc()));
    let tip = format!("Try bumping the memory limit{}", whole.unwrap_or_default());
    overrides.set("tip", Node::made(tip));
    overrides
}
