//! Five fields of cron, as a UNIX cron parser takes them: no nicknames, no seconds.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::TimeZone,
};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The 29th of February comes at least once in so many days.
const FAR: usize = 9 * 366;

/// Which values are allowed, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    weekdays: Vec<i8>,
    /// Both kinds of day are restricted: either is enough.
    either: bool,
}

impl Cron {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return None };
        let mut weekdays = field(weekday, 0, 7, &WEEKDAYS, 0)?;
        if weekdays.contains(&7) {
            weekdays.push(0);
        }
        Some(Self {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            weekdays,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    /// The first run after a moment. A wall-clock time that a zone skips is the one after the gap.
    pub(super) fn after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = zone.to_datetime(moment);
        let days = from.date().series(1.day()).take(FAR).filter(|date| self.allows(*date));
        let times = days.flat_map(|date| {
            let hours = self.hours.iter();
            hours.flat_map(move |hour| {
                self.minutes.iter().map(move |minute| date.at(*hour, *minute, 0, 0))
            })
        });
        let runs = times.filter(|time: &DateTime| *time >= from.saturating_sub(1.hour()));
        let mut runs = runs.filter_map(|time| Some(time.to_zoned(zone.clone()).ok()?.timestamp()));
        runs.find(|run| *run > moment)
    }

    fn allows(&self, date: Date) -> bool {
        let by_day = self.days.contains(&date.day());
        let by_weekday = self.weekdays.contains(&date.weekday().to_sunday_zero_offset());
        let is_day = if self.either { by_day || by_weekday } else { by_day && by_weekday };
        self.months.contains(&date.month()) && is_day
    }
}

/// Sorted.
fn field(text: &str, least: i8, most: i8, names: &[&str], first_name: i8) -> Option<Vec<i8>> {
    let value = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let named = named.and_then(|at| i8::try_from(at).ok()).map(|at| at + first_name);
        let number = || {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten()
        };
        named.or_else(number).filter(|value| (least..=most).contains(value))
    };
    let mut values = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step: &usize| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            None => (value(range)?, value(range)?),
        };
        values.extend((from..=to).step_by(step));
    }
    values.sort_unstable();
    values.dedup();
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, from: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let moment: Timestamp = from.parse().unwrap();
        Cron::parse(cron).unwrap().after(moment, &zone).unwrap().to_string()
    }

    #[test]
    fn the_next_run_is_the_first_one_after_a_moment() {
        for (cron, from, zone, wanted) in [
            ("* * * * *", "2018-03-14T09:05:07Z", "UTC", "2018-03-14T09:06:00Z"),
            ("0 3 * * *", "2018-03-14T03:00:00Z", "UTC", "2018-03-15T03:00:00Z"),
            ("*/20 1-2 * * mon", "2018-03-14T09:05:07Z", "UTC", "2018-03-19T01:00:00Z"),
            ("0 0 29 feb *", "2018-03-14T09:05:07Z", "UTC", "2020-02-29T00:00:00Z"),
            ("0 0 13 * 5", "2018-03-14T09:05:07Z", "UTC", "2018-03-16T00:00:00Z"),
            // The night in which the clocks of that zone are put forward, and back.
            ("30 2 * * *", "2018-03-11T08:00:00Z", "America/Los_Angeles", "2018-03-11T10:30:00Z"),
            ("30 1 * * *", "2018-11-04T07:00:00Z", "America/Los_Angeles", "2018-11-04T08:30:00Z"),
            ("30 1 * * *", "2018-11-04T08:30:00Z", "America/Los_Angeles", "2018-11-05T09:30:00Z"),
        ] {
            assert_eq!(next(cron, from, zone), wanted, "{cron} after {from}");
        }
    }

    #[test]
    fn what_is_no_cron_is_refused() {
        for text in
            ["", "@daily", "* * * *", "60 * * * *", "* * * * * *", "*/0 * * * *", "5-1 * * * *"]
        {
            assert_eq!(Cron::parse(text), None, "{text}");
        }
    }
}
