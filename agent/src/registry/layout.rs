//! Where records stand: the v1 and v2 layouts (nerve.md §4.1).

use std::{fmt, str::FromStr, sync::Arc};

use soa_configs::{Namespace, Place};

/// `/nerve/<type>:<location>/<ns>` or `/smartstack/global/<ns>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    V1,
    V2,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// A text that is no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected v1 or v2")]
pub struct InvalidLayout;

impl FromStr for Layout {
    type Err = InvalidLayout;

    fn from_str(text: &str) -> Result<Self, InvalidLayout> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(InvalidLayout),
        }
    }
}

/// Where records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    V1,
    V2,
    /// In a fleet of which some hosts write only the one layout, and some only the other.
    Both,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Both => "both",
        })
    }
}

/// A text that is no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected v1, v2 or both")]
pub struct InvalidSource;

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "both" => Ok(Self::Both),
            _ => Err(InvalidSource),
        }
    }
}

impl Source {
    /// The parents under which the records of `namespace` stand: one for each place in v1, one in v2.
    #[must_use]
    pub fn parents(self, namespace: &Namespace, places: &[Place]) -> Vec<ParentPath> {
        let v1 = places.iter().map(|place| ParentPath::v1(place, namespace));
        let v2 = ParentPath::v2(namespace);
        match self {
            Self::V1 => v1.collect(),
            Self::V2 => vec![v2],
            Self::Both => v1.chain([v2]).collect(),
        }
    }

    /// Whether the places of this host have to be known first: a v1 path is made of one.
    #[must_use]
    pub fn needs_places(self) -> bool {
        self != Self::V2
    }
}

/// The znode that holds the records of one namespace (in one place, for v1): of the v1 or v2 layout, or
/// any other that a foreign configuration names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentPath(Arc<str>);

/// The longest path taken, in bytes. Those of the two layouts are far shorter.
const LONGEST_PATH: usize = 1024;

/// A text that is no parent of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an absolute znode path such as /smartstack/global/web.main, of {LONGEST_PATH} bytes at most"
)]
pub struct InvalidPath;

impl ParentPath {
    #[must_use]
    pub fn v1(place: &Place, namespace: &Namespace) -> Self {
        Self(format!("/nerve/{place}/{namespace}").into())
    }

    #[must_use]
    pub fn v2(namespace: &Namespace) -> Self {
        Self(format!("/smartstack/global/{namespace}").into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace whose records stand here; `None` outside of the two layouts.
    #[must_use]
    pub fn namespace(&self) -> Option<Namespace> {
        let namespace = match self.0.strip_prefix("/smartstack/global/") {
            Some(namespace) => namespace,
            None => {
                let (place, namespace) = self.0.strip_prefix("/nerve/")?.split_once('/')?;
                place.parse::<Place>().ok()?;
                namespace
            }
        };
        namespace.parse().ok()
    }

    /// The path of a child.
    #[must_use]
    pub fn child(&self, name: &str) -> String {
        format!("{self}/{name}")
    }
}

impl FromStr for ParentPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let parts = text.strip_prefix('/').ok_or(InvalidPath)?;
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_taken);
        // What is below /zookeeper belongs to the server itself.
        let reserved = parts == "zookeeper" || parts.starts_with("zookeeper/");
        let fits = text.len() <= LONGEST_PATH && parts.split('/').all(is_part);
        if fits && !reserved { Ok(Self(text.into())) } else { Err(InvalidPath) }
    }
}

/// Whether ZooKeeper takes a character in a path.
fn is_taken(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

impl fmt::Display for ParentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ParentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every child of this host begins with; the server appends the counter of the parent.
#[must_use]
pub fn child_prefix(instance_id: &str) -> String {
    format!("{instance_id}_")
}

/// Whether `child` is named as this host, or an old nerve on it, names its records.
#[must_use]
pub fn is_named_by(child: &str, instance_id: &str) -> bool {
    let counter = child.strip_prefix(instance_id).and_then(|rest| rest.strip_prefix('_'));
    counter.is_some_and(is_counter)
}

/// The counter of a child: what follows the last `_`, if that is a number (nerve.md §4.4).
#[must_use]
pub fn sequence(child: &str) -> Option<u64> {
    let (_, counter) = child.rsplit_once('_')?;
    is_counter(counter).then(|| counter.parse().ok()).flatten()
}

fn is_counter(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_name_their_parents() {
        let namespace: Namespace = "books.main".parse().unwrap();
        let places: Vec<Place> = ["region:a", "habitat:b"].map(|p| p.parse().unwrap()).into();
        let v1 = Source::V1.parents(&namespace, &places);
        let v1: Vec<_> = v1.iter().map(ParentPath::as_str).collect();
        assert_eq!(v1, ["/nerve/region:a/books.main", "/nerve/habitat:b/books.main"]);
        let v2 = Source::V2.parents(&namespace, &places);
        assert_eq!(v2[0].as_str(), "/smartstack/global/books.main");
        assert_eq!(v2[0].child("h_1"), "/smartstack/global/books.main/h_1");
    }

    #[test]
    fn a_path_is_read_back_and_nothing_else_is_taken() {
        for (path, namespace) in [
            ("/nerve/region:a/books.main", Some("books.main")),
            ("/smartstack/global/books.main", Some("books.main")),
            ("/envoy/global/books.main", None),
            ("/nerve/books.main", None),
            ("/a", None),
        ] {
            let parsed: ParentPath = path.parse().unwrap();
            assert_eq!(parsed.as_str(), path);
            assert_eq!(parsed.namespace().as_ref().map(Namespace::as_str), namespace, "{path}");
        }
        for path in [
            "",
            "/",
            "a/b",
            "/a/",
            "//a",
            "/a//b",
            "/smartstack/global/..",
            "/a/./b",
            "/a\nb",
            "/a\u{0}",
            "/zookeeper",
            "/zookeeper/quota",
            &format!("/{}", "a".repeat(LONGEST_PATH)),
        ] {
            assert_eq!(path.parse::<ParentPath>(), Err(InvalidPath), "{path}");
        }
    }

    #[test]
    fn the_counter_is_the_number_after_the_last_underscore() {
        assert_eq!(sequence("host7-devc_0000015910"), Some(15910));
        assert_eq!(sequence("a_b_0000000000"), Some(0));
        for child in ["host7", "host7_", "host7_+1", "host7_12x", "h_99999999999999999999999"] {
            assert_eq!(sequence(child), None, "{child}");
        }
    }

    #[test]
    fn a_host_whose_name_begins_with_ours_is_another_host() {
        assert!(is_named_by("host7_0000000001", "host7"));
        for child in ["host7_b_0000000001", "host77_0000000001", "host7", "host7_"] {
            assert!(!is_named_by(child, "host7"), "{child}");
        }
    }
}
