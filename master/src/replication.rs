//! Whether enough of an instance is there (marathon-sync.md §17).
//!
//! Pure: what was seen goes in.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use soa_configs::{documents::ServiceDocuments, marathon::MarathonConfig, yaml::Map};

use crate::{
    events::{Status, of_instance},
    marathon::running::Task,
};

/// Younger tasks do not count yet.
const SETTLED: SignedDuration = SignedDuration::from_mins(1);

const HELP: &str = "\n\nSome of the instances that should run are not available: they may not be started, \
    not be healthy, or not be registered. `paasta status -vv` of this instance shows its tasks and their last \
    errors, `paasta logs` what they say. If it was deployed just now, see whether the new version becomes healthy.";

/// How many of an instance there should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// `service.instance`.
    pub name: String,
    pub expected: i64,
    /// Percent; below it is critical.
    pub threshold: f64,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub status: Status,
    pub output: String,
}

/// Whether HAProxy is asked, and not Marathon: the instance is in SmartStack, under its own name.
#[must_use]
pub fn is_counted_in_haproxy(config: &MarathonConfig, asked: &Asked) -> bool {
    let is_its_own = config.registrations.first().is_some_and(|first| *first == asked.name);
    is_its_own && config.namespace.is_in_smartstack
}

/// What an instance says of its events, with the defaults of this check.
#[must_use]
pub fn overrides(files: &ServiceDocuments, config: &MarathonConfig) -> Map {
    of_instance(files, &config.container.monitoring, "2m")
}

/// Whether there are too few, and how many percent there are. Of nothing there are always enough.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
pub fn share(available: u64, expected: i64, threshold: f64) -> (bool, f64) {
    if expected == 0 {
        return (false, 100.0);
    }
    let percent = available as f64 / expected as f64 * 100.0;
    (percent < threshold, percent)
}

/// By what HAProxy serves in each location.
#[must_use]
pub fn by_location(asked: &Asked, available: &BTreeMap<String, u64>) -> Finding {
    let Asked { name, expected, threshold } = asked;
    let Ok(locations @ 1..) = i64::try_from(available.len()) else {
        let output = format!(
            "Service {name} has no Smartstack replication info. Make sure the discover key in your \
             smartstack.yaml is valid!\n"
        );
        return Finding { status: Status::Critical, output };
    };
    let here = expected / locations;
    let (mut few, mut enough) = (String::new(), String::new());
    for (location, count) in available {
        let (is_under, percent) = share(*count, here, *threshold);
        let (lines, word) = if is_under { (&mut few, "CRITICAL") } else { (&mut enough, "OK") };
        lines.push_str(&format!(
            "- Service {name} has {count} out of {here} expected instances in {location} ({word}: {:.0}%)\n",
            percent.trunc()
        ));
    }
    if few.is_empty() {
        return Finding { status: Status::Ok, output: enough };
    }
    if !enough.is_empty() {
        few.push_str("\n\nThe following locations are OK:\n");
        few.push_str(&enough);
    }
    Finding { status: Status::Critical, output: few + HELP }
}

/// By the healthy tasks that Marathon knows.
#[must_use]
pub fn by_tasks(asked: &Asked, available: u64) -> Finding {
    let Asked { name, expected, threshold } = asked;
    let (is_under, _) = share(available, *expected, *threshold);
    let output = format!(
        "Service {name} has {available} out of {expected} expected instances available!\n(threshold: {threshold}%)"
    );
    if is_under {
        return Finding { status: Status::Critical, output: output + HELP };
    }
    Finding { status: Status::Ok, output }
}

/// Whether a task counts: it has run for more than a minute, and no health check finds fault with it.
#[must_use]
pub fn counts(task: &Task, now: Timestamp) -> bool {
    let is_settled = task.started_at.is_some_and(|at| now.duration_since(at) > SETTLED);
    is_settled && task.alive.iter().all(|alive| *alive)
}

/// How many servers of a backend are up, in HAProxy's statistics. `None`: these are none.
#[must_use]
pub fn servers_up(statistics: &str, backend: &str) -> Option<u64> {
    let mut lines = statistics.lines();
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let column = |name| header.iter().position(|column| *column == name);
    let (proxy, server, status) = (column("pxname")?, column("svname")?, column("status")?);
    let is_up = |line: &&str| {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        field(proxy) == backend
            && !matches!(field(server), "FRONTEND" | "BACKEND")
            && field(status).starts_with("UP")
    };
    u64::try_from(lines.filter(is_up).count()).ok()
}

/// An agent of Mesos: its host, and what it says of its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    pub hostname: String,
    pub attributes: BTreeMap<String, String>,
}

/// The hosts of each location of a type, in the order of the agents, without those that are barred.
#[must_use]
pub fn locations<'a>(
    agents: &'a [Agent],
    discover: &str,
    barred: &[(String, String)],
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut locations = BTreeMap::<_, Vec<_>>::new();
    for Agent { hostname, attributes } in agents {
        let is_barred = barred.iter().any(|(kind, value)| attributes.get(kind) == Some(value));
        if let Some(location) = attributes.get(discover).filter(|_| !is_barred) {
            locations.entry(location.as_str()).or_default().push(hostname.as_str());
        }
    }
    locations
}
