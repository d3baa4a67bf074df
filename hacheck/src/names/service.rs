//! The name of a service in hacheck's paths and in names of mark files.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// What paths and marks name: a registration such as `api.main`, or the reserved word `all`
/// (hacheck.md §3, §9).
///
/// Letters, digits, `.`, `_` and `-`; never `.` or `..`, which would be directories in the spool
/// (hacheck.md §16.18). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

/// Why a text is not a [`ServiceName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a service name: {reason}", .text.escape_debug())]
pub struct InvalidServiceName {
    text: String,
    reason: &'static str,
}

impl ServiceName {
    /// Longest name in bytes. With an IPv6 address and a port it still fits a file name.
    pub const MAX_LENGTH: usize = 200;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the reserved word that stands for everything on a host.
    #[must_use]
    pub fn is_all(&self) -> bool {
        &*self.0 == "all"
    }
}

/// Whether a byte may stand in the name of a service.
pub(crate) fn is_service_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Tables of services are looked up by text as it comes from a path, without a copy of it.
impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl ServiceName {
    /// Whether `text` is the name of a service, without a copy of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(text: &str) -> Result<&str, InvalidServiceName> {
        let reason = match text {
            "" => "it is empty",
            "." | ".." => "it is a directory",
            _ if text.len() > Self::MAX_LENGTH => "it is longer than 200 characters",
            _ if !text.bytes().all(is_service_byte) => {
                "only letters, digits, `.`, `_` and `-` are allowed"
            }
            _ => return Ok(text),
        };
        Err(InvalidServiceName { text: text.chars().take(Self::MAX_LENGTH).collect(), reason })
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(text: &str) -> Result<Self, InvalidServiceName> {
        Self::check(text).map(|text| Self(text.into()))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_made_of_letters_digits_dots_and_dashes() {
        for good in ["svc.main", "a", "A-b_c.9", "all", "...", ".x.tmp", &"x".repeat(200)] {
            assert_eq!(good.parse::<ServiceName>().map(|name| name.to_string()), Ok(good.into()));
        }
        for bad in ["", ".", "..", "a b", "a/b", "a:1", "a%20", "\u{e4}", "a\n", &"x".repeat(201)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_error_shows_the_name_on_one_line() {
        let error = "a\nb".parse::<ServiceName>().unwrap_err().to_string();
        assert!(error.starts_with("`a\\nb` is not a service name"), "{error}");
    }
}
