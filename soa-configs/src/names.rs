//! Names as the fleet writes them.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use crate::file::FileError;

/// One load-balanced pool, written `service.namespace`.
///
/// It becomes a znode name, a HAProxy section name and a piece of a hacheck path, so the alphabet is
/// the one all three share: letters, digits, `_`, `-` and `.` (hacheck.md §3). The first dot divides.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

/// Why a text is not a [`Namespace`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a SERVICE.NAMESPACE name: {reason}", .text.escape_debug())]
pub struct InvalidName {
    text: String,
    reason: &'static str,
}

/// ZooKeeper, HAProxy and file names all take more; nothing sane needs more.
pub(crate) const MAX_LENGTH: usize = 200;

impl Namespace {
    /// # Errors
    /// When `service.namespace` is no such name, or `service` itself holds a dot.
    pub fn new(service: &str, namespace: &str) -> Result<Self, InvalidName> {
        let name: Self = format!("{service}.{namespace}").parse()?;
        if name.service() == service {
            return Ok(name);
        }
        Err(InvalidName { text: name.to_string(), reason: "a service has no dot in its name" })
    }

    /// The whole name, `service.namespace`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first dot.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(service, _)| service)
    }

    /// The part after the first dot.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, namespace)| namespace)
    }
}

impl FromStr for Namespace {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let invalid = |reason| {
            let text = text.chars().take(MAX_LENGTH).collect();
            Err(InvalidName { text, reason })
        };
        if text.len() > MAX_LENGTH {
            return invalid("it is longer than 200 characters");
        }
        if !text.chars().all(allowed) {
            return invalid("only letters, digits, `_`, `-` and `.` are allowed");
        }
        match text.split_once('.') {
            Some((service, namespace)) if !service.is_empty() && !namespace.is_empty() => {
                Ok(Self(text.into()))
            }
            _ => invalid("it needs a service, a dot and a namespace"),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Namespace {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Namespace {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a cluster, as in `marathon-norcal-devc.yaml`: letters, digits, `_` and `-`, because it
/// is a piece of a file name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster(Arc<str>);

/// Why a text is not a [`Cluster`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the name of a cluster (letters, digits, `_`, `-`)", .0.escape_debug())]
pub struct InvalidCluster(String);

impl Cluster {
    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Cluster {
    type Err = InvalidCluster;

    fn from_str(text: &str) -> Result<Self, InvalidCluster> {
        if is_word(text) {
            return Ok(Self(text.into()));
        }
        Err(InvalidCluster(text.chars().take(MAX_LENGTH).collect()))
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether this can be a service, an instance or a cluster: dots would divide Marathon's ids in the
/// wrong place (nerve.md §7.2).
pub(crate) fn is_word(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && text.len() <= MAX_LENGTH && text.chars().all(allowed)
}

/// The name of a service is that of its directory, so the fault is shown at a file of it.
pub(crate) fn check_service(service: &str, file: &Path) -> Result<(), FileError> {
    if is_word(service) {
        return Ok(());
    }
    let reason = format!(
        "the directory {service:?} is not the name of a service (letters, digits, `_`, `-`)"
    );
    Err(FileError::Invalid { file: file.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dot_divides() {
        let name: Namespace = "my_svc.main.canary".parse().unwrap();
        assert_eq!((name.service(), name.namespace()), ("my_svc", "main.canary"));
    }

    #[test]
    fn what_could_leave_a_line_or_a_directory_is_refused() {
        for text in
            ["", "web", ".main", "web.", "..", "a/b.main", "web.main\n", "web. main", "é.main"]
        {
            assert!(text.parse::<Namespace>().is_err(), "{text:?} was taken");
        }
        assert!(Namespace::new("a.b", "main").is_err());
        assert!("a".repeat(100).parse::<Namespace>().is_err());
        assert!(format!("{}.main", "a".repeat(300)).parse::<Namespace>().is_err());
    }

    #[test]
    fn a_cluster_cannot_leave_its_directory() {
        assert_eq!("norcal-devc".parse::<Cluster>().unwrap().as_str(), "norcal-devc");
        for text in ["", "..", "a/b", "a.b", "a b", "a\n"] {
            assert!(text.parse::<Cluster>().is_err(), "{text:?} was taken");
        }
    }
}
