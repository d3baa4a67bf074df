//! How an app that Marathon has differs from what soa-configs ask, field by field, and where each value
//! comes from.
//!
//! Pure. Fields are those of Marathon's interface, as they are sent (marathon-sync.md §8).

mod fields;
mod source;

use std::fmt;

use serde_json::{Value, json};
use soa_configs::{
    documents::ServiceDocuments,
    ids::JobId,
    load::{Deployment, Origin},
    paasta::Settings,
};

use crate::deploy::wanted::Wanted;

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
    /// PaaSTA adds it to every app.
    Computed,
    /// Nobody says anything of this key.
    Default(String),
}

/// What is beside a running app: `found` is what Marathon has, `None` nothing.
///
/// # Errors
/// When the body of the request cannot be read, which is a defect.
pub fn differences(
    found: Option<&Value>,
    wanted: &Wanted,
    files: &ServiceDocuments,
    settings: &Settings,
) -> serde_json::Result<Vec<Difference>> {
    let body: Value = serde_json::from_str(&wanted.body)?;
    let makes = source::Makes { wanted, files, settings };
    let fields = compare(found.unwrap_or(&Value::Null), &body);
    let mut differences: Vec<Difference> =
        fields.into_iter().map(|field| Difference { from: makes.of(&field.path), field }).collect();
    // Signatures of secrets and force_bounce start a new app that looks like the old one.
    let hash = found.and_then(|found| config_hash(found.get("id")?.as_str()?));
    if let (Some(is), Some(to_be)) = (hash, config_hash(&wanted.app.id))
        && is != to_be
        && !differences.iter().any(|difference| difference.field.is_hashed())
    {
        let (is, to_be) = (Some(is.into()), Some(to_be.into()));
        let field = Field { path: "config_hash".to_owned(), is, to_be };
        differences.push(Difference { from: makes.of(&field.path), field });
    }
    Ok(differences)
}

fn config_hash(id: &str) -> Option<String> {
    let (_, hash) = JobId::parse(id.trim_start_matches('/')).ok()?.hashes?;
    Some(hash)
}

impl Source {
    #[must_use]
    pub fn as_json(&self) -> Value {
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
    #[must_use]
    pub fn as_json(&self) -> Value {
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

/// The entry of an instance in `deployments.json`, as a key.
fn deployed(wanted: &Wanted, key: &str) -> String {
    format!("{}.{key}", Deployment::v1_key(&wanted.instance))
}
