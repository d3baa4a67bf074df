//! A stable name for a configuration's skeleton.

use std::fmt;

/// FNV-1a, 64 bit. Not `std`'s hasher, whose values may change with the compiler: a new build of the
/// agent must recognise what the old one rendered, or it would reload for nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u64);

/// How HAProxy's `description` begins when the agent has set it.
const PREFIX: &str = "smartstack-";

impl Fingerprint {
    pub(super) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(super) fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// Blank lines and comments mean nothing.
    pub(super) fn add_line(self, line: &str) -> Self {
        if line.is_empty() || line.starts_with('#') {
            return self;
        }
        self.add(line.as_bytes()).add(b"\n")
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }

    /// Reads a `description` as `show info` reports it; `None`: not ours.
    pub(super) fn from_description(text: &str) -> Option<Self> {
        u64::from_str_radix(text.strip_prefix(PREFIX)?, 16).ok().map(Self)
    }
}

/// Another order of servers on every host, the same one with every build.
#[must_use]
pub fn seed(host_name: &str) -> u64 {
    Fingerprint::EMPTY.add(host_name.as_bytes()).value()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_that_of_the_published_algorithm() {
        assert_eq!(Fingerprint::EMPTY.add(b"foobar").value(), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_description_is_read_back() {
        let fingerprint = Fingerprint::EMPTY.add(b"x");
        assert_eq!(Fingerprint::from_description(&fingerprint.to_string()), Some(fingerprint));
        for foreign in ["", "smartstack-", "smartstack-xyz", "web proxy"] {
            assert_eq!(Fingerprint::from_description(foreign), None, "{foreign}");
        }
    }
}
