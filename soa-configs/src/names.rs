//! Names as the fleet writes them.

use std::{fmt, str::FromStr, sync::Arc};

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
const MAX_LENGTH: usize = 200;

impl Namespace {
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
        assert!("a".repeat(100).parse::<Namespace>().is_err());
        assert!(format!("{}.main", "a".repeat(300)).parse::<Namespace>().is_err());
    }
}
