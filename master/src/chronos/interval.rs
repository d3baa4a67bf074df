//! How often a job runs, as the checks count it (chronos-sync.md §3 and §11).

use jiff::{SignedDuration, Timestamp};
use soa_configs::{
    chronos::JobConfig,
    schedule::{self, Schedule},
};

/// The time from one run to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Above 0.
    pub seconds: f64,
    /// Of cron schedules PaaSTA writes it with a point.
    is_float: bool,
}

impl Interval {
    /// Around `now`. `None`: it is not known, as of jobs that others start and of months and years.
    #[must_use]
    pub fn of(schedule: Option<&str>, zone: Option<&str>, now: Timestamp) -> Option<Self> {
        let schedule = schedule?;
        let seconds = schedule::interval_seconds(schedule, zone, now)?;
        let is_float = matches!(Schedule::parse(schedule), Ok(Schedule::Cron(_)));
        (seconds > 0.0).then_some(Self { seconds, is_float })
    }

    /// See [`Self::of`].
    #[must_use]
    pub fn of_job(config: &JobConfig, now: Timestamp) -> Option<Self> {
        Self::of(config.schedule.as_deref(), config.schedule_time_zone.as_deref(), now)
    }

    /// `None`: no length of time is so long.
    #[must_use]
    pub fn length(self) -> Option<SignedDuration> {
        SignedDuration::try_from_secs_f64(self.seconds).ok()
    }

    /// Whole minutes.
    #[must_use]
    pub fn minutes(self) -> f64 {
        (self.seconds / 60.0).floor()
    }

    /// `1h30m`, of cron schedules `1.0h30.0m`.
    #[must_use]
    pub fn text(self) -> String {
        hours_and_minutes(self.minutes(), self.is_float)
    }

    /// How many minutes pass between two reminders, if nobody says it: those of a run, a day at most.
    #[must_use]
    pub(super) fn reminder(self) -> (f64, bool) {
        if self.minutes() > A_DAY { (A_DAY, false) } else { (self.minutes(), self.is_float) }
    }
}

/// In minutes.
const A_DAY: f64 = 1440.0;

/// Parts that are zero are left out.
pub(super) fn hours_and_minutes(minutes: f64, is_float: bool) -> String {
    let part = |number: f64, unit: char| match (number == 0.0, is_float) {
        (true, _) => String::new(),
        (false, true) => format!("{number:.1}{unit}"),
        (false, false) => format!("{number:.0}{unit}"),
    };
    part((minutes / 60.0).floor(), 'h') + &part(minutes.rem_euclid(60.0), 'm')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_written_as_hours_and_minutes() {
        let now = "2018-03-14T09:05:07Z".parse().unwrap();
        for (schedule, text) in [
            ("R/2015-01-01T00:00:00Z/PT1H", Some("1h")),
            ("R/2015-01-01T00:00:00Z/PT90M", Some("1h30m")),
            ("0 */2 * * *", Some("2.0h")),
            ("0 3 * * *", Some("24.0h")),
            ("R/2015-01-01T00:00:00Z/P1M", None),
            ("@daily", None),
        ] {
            let interval = Interval::of(Some(schedule), None, now);
            assert_eq!(interval.map(Interval::text).as_deref(), text, "{schedule}");
        }
        let reminder = |schedule| Interval::of(Some(schedule), None, now).unwrap().reminder();
        assert_eq!(reminder("0 3 * * *"), (1440.0, true));
        assert_eq!(reminder("0 3 * * 1"), (1440.0, false));
    }
}
