//! Wall-clock time as marks carry it.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970, always finite. Marks live by the wall clock because other hosts write them
/// (hacheck.md §16.17).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct UnixTime(f64);

/// A text that is no finite number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a finite number of seconds since 1970")]
pub struct InvalidTime;

impl UnixTime {
    /// `None` if `seconds` is not finite.
    #[must_use]
    pub fn new(seconds: f64) -> Option<Self> {
        seconds.is_finite().then_some(Self(seconds))
    }

    /// The present time of this host.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0
    }
}

impl FromStr for UnixTime {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        text.parse().ok().and_then(Self::new).ok_or(InvalidTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_are_times() {
        for (text, seconds) in [("0", 0.0), ("1571234567.25", 1_571_234_567.25), ("-1", -1.0)] {
            assert_eq!(text.parse(), Ok(UnixTime(seconds)), "{text}");
        }
        for text in ["", "inf", "nan", "1e999", "soon", "1 2"] {
            assert_eq!(text.parse::<UnixTime>(), Err(InvalidTime), "{text:?}");
        }
    }
}
