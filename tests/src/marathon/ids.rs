//! Names of apps and tasks.

use std::fmt;

/// Of an app, with its leading slash: `/web.main.git01234567.config89abcdef`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppId(String);

/// Of a task: `web.main.git01234567.config89abcdef.00000001-...`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(String);

/// What an id may be made of, in the server's words.
pub(super) const ID_RULE: &str = "must fully match regular expression \
    '^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'";

impl AppId {
    /// However many slashes are in front.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(format!("/{}", text.trim_matches('/')))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every segment is lower-case letters, digits and inner dashes, joined by dots.
    pub(super) fn is_legal(&self) -> bool {
        self.0
            .split('/')
            .skip(1)
            .all(|segment| matches!(segment, "." | "..") || segment.split('.').all(is_legal_part))
    }

    /// The first of the ids of its tasks.
    fn flat(&self) -> String {
        self.0.trim_start_matches('/').replace('/', "_")
    }
}

fn is_legal_part(part: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(is_legal) && !part.starts_with('-') && !part.ends_with('-')
}

impl TaskId {
    /// The `number`th task of a Marathon that is told apart by `origin`.
    pub(super) fn nth(app: &AppId, origin: u32, number: u64) -> Self {
        Self(format!("{}.{}", app.flat(), uuid(origin, number)))
    }

    /// What a client sent; none if it cannot be the id of a task.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (app, rest) = text.rsplit_once(['.', '_'])?;
        (!app.is_empty() && !rest.is_empty()).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TaskId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// In the form of one that was made from a time.
pub(super) fn uuid(origin: u32, number: u64) -> String {
    let (low, high) = (number & 0xffff_ffff, number >> 32 & 0xffff);
    format!("{low:08x}-{high:04x}-11e8-8000-{origin:012x}")
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_leading_slash_however_it_is_written() {
        for text in ["web.main", "/web.main", "//web.main"] {
            assert_eq!(AppId::new(text).as_str(), "/web.main");
        }
    }

    #[test]
    fn capitals_underscores_and_outer_dashes_are_illegal() {
        for legal in ["a", "a.b", "my--svc.main.git01.config02", "group/app"] {
            assert!(AppId::new(legal).is_legal(), "{legal}");
        }
        for illegal in ["", "Web", "a_b", "-a", "a-", "a..b", "a b", "a/", "a//b", "gitimg:late"] {
            let id = AppId(format!("/{illegal}"));
            assert!(!id.is_legal(), "{illegal}");
        }
    }

    #[test]
    fn the_id_of_a_task_begins_with_its_app_without_slashes() {
        let id = TaskId::nth(&AppId::new("/group/app"), 7, 1);
        assert_eq!(id.as_str(), "group_app.00000001-0000-11e8-8000-000000000007");
        assert_eq!(TaskId::parse(id.as_str()), Some(id));
        for ill in ["", "x", "x.", ".x"] {
            assert_eq!(TaskId::parse(ill), None, "{ill}");
        }
    }
}
