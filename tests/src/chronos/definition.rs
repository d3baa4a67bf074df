//! A job as it is sent, checked.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{refusal::Refusal, schedule::Schedule};

/// Which of the two paths a job comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Scheduled,
    Dependent,
}

/// What starts a job.
#[derive(Clone, Debug)]
pub(super) enum Starts {
    Schedule { schedule: Box<Schedule>, zone: Value },
    Parents(BTreeSet<String>),
}

/// A job that can be taken, as far as it alone says so.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    /// As sent.
    pub(super) fields: Map<String, Value>,
    pub(super) starts: Starts,
    pub(super) is_disabled: bool,
    /// How late a run may start.
    pub(super) epsilon: jiff::Span,
    pub(super) retries: u64,
}

impl Definition {
    pub(super) fn parse(body: &str, path: Path, now: Timestamp) -> Result<Self, Refusal> {
        let Ok(Value::Object(fields)) = serde_json::from_str(body) else {
            return Err(Refusal::bad_request("Unable to process JSON"));
        };
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        // A null stands for the text `null`, as far as the real one cares.
        let missing: Vec<String> = ["name", "command"]
            .into_iter()
            .filter(|key| !fields.contains_key(*key))
            .map(|key| format!("{key} may not be null (was null)"))
            .collect();
        if !missing.is_empty() {
            return Err(Refusal::unprocessable(&missing));
        }
        let name = text("name").unwrap_or_default().to_owned();
        let is_allowed =
            |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_.#-".contains(c);
        if name.is_empty() || !name.chars().all(is_allowed) {
            return Err(Refusal::bad_request(format!(
                "the job's name is invalid. Allowed names: '[\\w\\s\\.#_-]+' (was '{name}')"
            )));
        }
        let starts = match path {
            Path::Scheduled => scheduled(&fields, now)?,
            Path::Dependent => Starts::Parents(parents(&fields)),
        };
        let epsilon = text("epsilon").unwrap_or("PT5M").parse();
        let epsilon = epsilon.map_err(|_| Refusal::broken("Invalid format: epsilon"))?;
        Ok(Self {
            is_disabled: fields.get("disabled").and_then(Value::as_bool).unwrap_or(false),
            retries: fields.get("retries").and_then(Value::as_u64).unwrap_or(2),
            name,
            fields,
            starts,
            epsilon,
        })
    }
}

fn scheduled(fields: &Map<String, Value>, now: Timestamp) -> Result<Starts, Refusal> {
    let zone = fields.get("scheduleTimeZone").cloned().unwrap_or(Value::Null);
    let text = fields.get("schedule").and_then(Value::as_str).unwrap_or_default();
    let unreadable = || {
        Refusal::unprocessable(&[format!(
            "the scheduled job has an unparsable schedule: {text} in {zone}"
        )])
    };
    let schedule = Schedule::parse(text, zone.as_str(), now).ok_or_else(unreadable)?;
    Ok(Starts::Schedule { schedule: Box::new(schedule), zone })
}

fn parents(fields: &Map<String, Value>) -> BTreeSet<String> {
    let names = fields.get("parents").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}
