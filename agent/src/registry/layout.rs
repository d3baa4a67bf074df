//! Where records stand: the v1 and v2 layouts (nerve.md §4.1).

use std::fmt;
use std::sync::Arc;

use soa_configs::{Namespace, Place};

/// `/nerve/<type>:<location>/<ns>` or `/smartstack/global/<ns>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    V1,
    V2,
}

/// The znode that holds the records of one namespace (in one place, for v1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentPath(Arc<str>);

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
