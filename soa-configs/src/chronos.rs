//! Chronos jobs: what is wrong with one, in PaaSTA's words and order, and what it says
//! (chronos-sync.md §2).

use jiff::Zoned;

use crate::{
    container::{Container, Size},
    load::Instance,
    merged::{ConfigError, Keys, shown},
    schedule::{Duration, Schedule},
    time_variables::{self, Unparseable},
    yaml::{Map, Node, Value},
};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The key at fault.
    pub key: &'static str,
    /// What PaaSTA says.
    pub message: String,
}

/// Applies every rule to a job. `now` is the moment that time variables stand for.
///
/// Some rules are applied twice and complain twice: that is what PaaSTA's synchronisation says.
#[must_use]
pub fn validate(job: &Instance, now: &Zoned) -> Vec<Complaint> {
    let map = &job.merged;
    let general = |complaints: &mut Vec<Complaint>| {
        complaints.extend(security(map));
        complaints.extend(dependencies(map));
    };
    let mut found = Vec::new();
    found.extend(number(map, "cpus"));
    found.extend(number(map, "mem"));
    general(&mut found);
    found.extend(epsilon(map));
    found.extend(retries(map));
    for key in ["cpus", "mem", "disk"] {
        found.extend(number(map, key));
    }
    found.extend(schedule(map));
    found.extend(parents(map));
    found.extend(command(map, now));
    general(&mut found);
    found
}

fn complaint(key: &'static str, message: String) -> Complaint {
    Complaint { key, message }
}

/// A boolean is an integer in Python.
fn is_integer(node: &Node) -> bool {
    matches!(node.value, Value::Int(_) | Value::Bool(_))
}

fn number(map: &Map, key: &'static str) -> Option<Complaint> {
    let node = map.get(key).filter(|node| !node.is_null())?;
    if is_integer(node) || matches!(node.value, Value::Float(_)) {
        return None;
    }
    let shown = shown(node);
    let message = format!("The specified {key} value \"{shown}\" is not a valid float or int.");
    Some(complaint(key, message))
}

fn security(map: &Map) -> Option<Complaint> {
    let node = map.get("security").filter(|node| !node.is_falsy())?;
    let Some(security) = node.as_map() else {
        return Some(complaint("security", "The specified security value is not a map".to_owned()));
    };
    // Without a firewall, PaaSTA does not look at the other keys.
    let firewall = security.get("outbound_firewall").filter(|node| !node.is_null())?;
    if !matches!(firewall.as_text(), Some("block" | "monitor")) {
        let message = format!("Unrecognized outbound_firewall value \"{}\"", shown(firewall));
        return Some(complaint("security", message));
    }
    let others = security.iter().filter(|entry| entry.key.as_text() != Some("outbound_firewall"));
    let others: Vec<String> = others.map(|entry| shown(&entry.key)).collect();
    (!others.is_empty()).then(|| {
        let others = others.join(",");
        let what = "Unrecognized items in security dict of service config";
        complaint("security", format!("{what}: \"{others}\""))
    })
}

fn dependencies(map: &Map) -> Option<Complaint> {
    let reference = map.get("dependencies_reference").filter(|node| !node.is_null())?;
    let shown = shown(reference);
    let key = "dependencies_reference";
    let Some(known) = map.get("dependencies").filter(|node| !node.is_null()) else {
        let what = "declared but no dependencies found";
        return Some(complaint(key, format!("dependencies_reference \"{shown}\" {what}")));
    };
    let is_known = known.as_map().is_some_and(|known| known.get(&shown).is_some());
    let what = "not found in dependencies dictionary";
    (!is_known).then(|| complaint(key, format!("dependencies_reference \"{shown}\" {what}")))
}

fn epsilon(map: &Map) -> Option<Complaint> {
    let node = map.get("epsilon")?;
    let is_duration = node.as_text().is_some_and(|text| {
        // Python's `$` overlooks one line end.
        Duration::parse(text.strip_suffix('\n').unwrap_or(text)).is_some()
    });
    let shown = shown(node);
    let message =
        format!("The specified epsilon value \"{shown}\" does not conform to the ISO8601 format.");
    (!is_duration).then(|| complaint("epsilon", message))
}

fn retries(map: &Map) -> Option<Complaint> {
    let node = map.get("retries").filter(|node| !node.is_null() && !is_integer(node))?;
    let message = format!("The specified retries value \"{}\" is not a valid int.", shown(node));
    Some(complaint("retries", message))
}

fn schedule(map: &Map) -> Option<Complaint> {
    let node = map.get("schedule").filter(|node| !node.is_null())?;
    let Some(text) = node.as_text() else {
        let message = format!("The specified schedule {} is not a text", shown(node));
        return Some(complaint("schedule", message));
    };
    Some(complaint("schedule", Schedule::parse(text).err()?.to_string()))
}

/// The parents of a job: one, or a list.
#[must_use]
pub fn parents_of(job: &Map) -> Vec<String> {
    match job.get("parents").map(|node| &node.value) {
        Some(Value::List(list)) => list.iter().map(shown).collect(),
        Some(Value::Text(name)) => vec![name.to_string()],
        _ => Vec::new(),
    }
}

fn parents(map: &Map) -> Option<Complaint> {
    let names = parents_of(map);
    let wrong: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.matches('.').count() != 1).collect();
    (!wrong.is_empty()).then(|| {
        let wrong = wrong.join(", ");
        let what = "is not formatted correctly: expected service.instance";
        complaint("parents", format!("The job name(s) {wrong} {what}"))
    })
}

fn command(map: &Map, now: &Zoned) -> Option<Complaint> {
    let node = map.get("cmd").filter(|node| !node.is_falsy())?;
    let error = match node.as_text() {
        Some(command) => time_variables::render(command, now).err()?,
        None => Unparseable(shown(node)),
    };
    Some(complaint("cmd", error.to_string()))
}

/// A Chronos job.
///
/// Values that go into the job unchanged stay as they are written. A job is read after [`validate`]
/// has nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobConfig {
    pub container: Container,
    /// Cron or a repeating interval. Wins over [`Self::parents`].
    pub schedule: Option<String>,
    /// `service.instance` each; the job runs when all of them have run.
    pub parents: Vec<String>,
    /// A name of the time zone database. Default: the zone of the schedule, or UTC.
    pub schedule_time_zone: Option<String>,
    /// How late a missed run may still start: an ISO 8601 duration. Default `PT60S`.
    pub epsilon: String,
    /// As written. Default 2.
    pub retries: Node,
    /// As written. Default false.
    pub disabled: Node,
    /// Always `graceful`.
    pub bounce_method: String,
}

impl JobConfig {
    /// # Errors
    /// The first value that the tools could not work with.
    pub fn read(job: &Instance) -> Result<Self, ConfigError> {
        let keys = Keys(&job.merged);
        // Null is no duration and no list; next to a schedule nobody looks at the parents.
        let is_null = |key: &str| job.merged.get(key).is_some_and(Node::is_null);
        let wrong =
            |key: &str, expected| Err(ConfigError::WrongType { key: key.to_owned(), expected });
        if is_null("epsilon") {
            return wrong("epsilon", "a duration");
        }
        if is_null("parents") && keys.get("schedule").is_none() {
            return wrong("parents", "a list");
        }
        Ok(Self {
            container: Container::read(keys, Size::Usual)?,
            schedule: keys.optional_text("schedule")?,
            parents: parents_of(&job.merged),
            schedule_time_zone: keys.optional_text("schedule_time_zone")?,
            epsilon: keys.text("epsilon", "PT60S")?,
            retries: keys.written("retries", 2),
            disabled: keys.written("disabled", false),
            bounce_method: keys.text("bounce_method", "graceful")?,
        })
    }
}

#[cfg(test)]
mod tests;
