//! Points in time, as Marathon writes them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// By the clock of this machine.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(millis(since.unwrap_or_default()))
    }

    /// So much later; the end of time at most.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(millis(delay)))
    }

    /// How long ago `earlier` was; nothing when it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `2018-01-23T12:00:00.000Z`
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok();
        let time = time.and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
        match time {
            Some(time) => write!(f, "{time:.3}"),
            None => write!(f, "{}", jiff::Timestamp::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_three_digits_of_fraction() {
        assert_eq!(Moment::from_millis(1_516_708_800_000).to_string(), "2018-01-23T12:00:00.000Z");
        assert_eq!(Moment::from_millis(1_516_708_800_050).to_string(), "2018-01-23T12:00:00.050Z");
    }
}
