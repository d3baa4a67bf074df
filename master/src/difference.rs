//! How an app of Marathon or a job of Chronos differs from what soa-configs ask, field by field, and where each
//! value comes from.
//!
//! Pure. Fields are those of their interfaces, as they are sent (marathon-sync.md §8, chronos-sync.md §5).

mod fields;
mod source;

use std::fmt;

use serde_json::{Value, json};
use soa_configs::{
    documents::ServiceDocuments,
    ids::JobId,
    load::{Instance, Origin},
    paasta::Settings,
};

use self::source::{Files, OfApp, OfJob};
use crate::{chronos::Job, deploy::wanted::Wanted};

pub use self::fields::{Field, compare};

/// A field that is to be another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub field: Field,
    /// What its value is made of. Never empty.
    pub from: Vec<Source>,
}

/// What a value is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A key in a file of the service.
    Written { key: String, origin: Origin },
    /// A key of the system configuration.
    System(&'static str),
    /// The count that the autoscaler wrote last.
    Autoscaler,
    /// PaaSTA adds it to every app or job.
    Computed,
    /// Nobody says anything of this key.
    Default(String),
}

/// What is beside a running app: `found` is what Marathon has, `None` nothing.
///
/// # Errors
/// When the body of the request cannot be read, which is a defect.
pub fn of_app(
    found: Option<&Value>,
    wanted: &Wanted,
    files: &ServiceDocuments,
    settings: &Settings,
) -> serde_json::Result<Vec<Difference>> {
    let body: Value = serde_json::from_str(&wanted.body)?;
    let own = Files { instance: &wanted.instance, files };
    let makes = OfApp { own, wanted, settings };
    let hashes = (
        found.and_then(|found| hash_of_id(found.get("id")?.as_str()?)),
        hash_of_id(&wanted.app.id),
    );
    Ok(told(found, &body, hashes, |path| makes.of(path)))
}

/// What is beside a job that Chronos has: `found` is what it lists, `None` nothing.
///
/// # Errors
/// When the job cannot be written as JSON.
pub fn of_job(
    found: Option<&Value>,
    job: &Job,
    (instance, files): (&Instance, &ServiceDocuments),
    settings: &Settings,
) -> anyhow::Result<Vec<Difference>> {
    let mut body: Value = serde_json::from_str(&job.hash_input()?)?;
    let mut found = found.cloned();
    if let Some(found) = &mut found {
        // Chronos moves the start, and counts the repetitions down, with every run.
        let (is, to_be) = (found.get("schedule"), body.get("schedule"));
        if let (Some(is), Some(to_be)) = (is, to_be)
            && interval(is) == interval(to_be)
            && interval(is).is_some()
        {
            found["schedule"] = to_be.clone();
        }
        // To it they are a set.
        for job in [found, &mut body] {
            let parents = job.get_mut("parents").and_then(Value::as_array_mut);
            parents.into_iter().for_each(|parents| parents.sort_by_key(Value::to_string));
        }
    }
    let found = found.as_ref();
    let makes = OfJob { own: Files { instance, files }, settings };
    let description = |found: &Value| found.get("description")?.as_str().map(str::to_owned);
    let hashes = (found.and_then(description), Some(job.hash.clone()));
    Ok(told(found, &body, hashes, |path| makes.of(path)))
}

/// The part of a repeating interval that stays.
fn interval(schedule: &Value) -> Option<&str> {
    schedule.as_str()?.rsplit_once('/').map(|(_, interval)| interval)
}

fn told(
    found: Option<&Value>,
    wanted: &Value,
    hashes: (Option<String>, Option<String>),
    makes: impl Fn(&str) -> Vec<Source>,
) -> Vec<Difference> {
    let made = |field: Field| Difference { from: makes(&field.path), field };
    let fields = compare(found.unwrap_or(&Value::Null), wanted);
    let mut differences: Vec<Difference> = fields.into_iter().map(made).collect();
    // Signatures of secrets and force_bounce make another hash of what looks the same.
    if let (Some(is), Some(to_be)) = hashes
        && is != to_be
        && !differences.iter().any(|difference| difference.field.is_hashed())
    {
        let (is, to_be) = (Some(is.into()), Some(to_be.into()));
        differences.push(made(Field { path: "config_hash".to_owned(), is, to_be }));
    }
    differences
}

fn hash_of_id(id: &str) -> Option<String> {
    let (_, hash) = JobId::parse(id.trim_start_matches('/')).ok()?.hashes?;
    Some(hash)
}

/// A list of objects, for programs.
#[must_use]
pub fn as_json(differences: &[Difference]) -> Value {
    differences.iter().map(Difference::as_json).collect::<Vec<_>>().into()
}

impl Source {
    fn as_json(&self) -> Value {
        match self {
            Self::Written { key, origin: Origin { layer, file, line } } => {
                json!({"layer": layer.as_str(), "file": file, "line": line, "key": key})
            }
            Self::System(key) => json!({"layer": "system", "key": key}),
            Self::Autoscaler => json!({"layer": "autoscaler"}),
            Self::Computed => json!({"layer": "computed"}),
            Self::Default(key) => json!({"layer": "default", "key": key}),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { key, origin } => write!(f, "{key} in {origin}"),
            Self::System(key) => write!(f, "{key} in the system configuration"),
            Self::Autoscaler => f.write_str("the autoscaler's count"),
            Self::Computed => f.write_str("computed"),
            Self::Default(key) => write!(f, "default of {key}"),
        }
    }
}

impl Difference {
    fn as_json(&self) -> Value {
        let Field { path, is, to_be } = &self.field;
        let from: Vec<_> = self.from.iter().map(Source::as_json).collect();
        json!({"field": path, "is": is, "to_be": to_be, "from": from})
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field { path, is, to_be } = &self.field;
        write!(f, "{path}: ")?;
        match (is, to_be) {
            (Some(is), Some(to_be)) => write!(f, "{is} -> {to_be}")?,
            (None, Some(to_be)) => write!(f, "{to_be}")?,
            (Some(is), None) => write!(f, "{is} -> nothing")?,
            (None, None) => f.write_str("nothing")?,
        }
        let from: Vec<_> = self.from.iter().map(Source::to_string).collect();
        write!(f, " ({})", from.join("; "))
    }
}
