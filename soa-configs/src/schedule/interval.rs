//! The time between two runs of a cron schedule, as the checks of the old tools compute it.
//!
//! Alerts depend on this number, so its oddities are kept: a walk in time keeps the distance from UTC
//! that holds where it begins, whatever the clocks of the zone do on the way; and going back past the
//! beginning of a month or year passes over a day or month that is as large as that month or year is
//! long (the 31st, December).

use jiff::{
    Span, Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use super::cron::{Cron, Field, Fields};

/// Seconds between the first run after `now` and the run before that one. `None`: one of them is
/// beyond the end of the next or the start of the previous year, where the original stops to look.
pub(super) fn around(cron: &Cron, now: Timestamp, zone: &TimeZone) -> Option<f64> {
    let Cron::Fields(fields) = cron else { return None };
    let Fields { minute, hour, day, month, weekday, .. } = &**fields;
    if ![minute, hour, day, month, weekday].into_iter().all(|field| field.is_iterable) {
        return None;
    }
    let next = run(fields, now, zone, Direction::Later)?;
    let before = run(fields, next, zone, Direction::Earlier)?;
    i32::try_from(next.as_second() - before.as_second()).ok().map(f64::from)
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Later,
    Earlier,
}

/// The next run in a direction. When both kinds of day are restricted, either is enough, and the
/// original wants to find a run of each kind.
fn run(
    fields: &Fields,
    from: Timestamp,
    zone: &TimeZone,
    direction: Direction,
) -> Option<Timestamp> {
    let offset = zone.to_offset(from);
    let clock = offset.to_datetime(from);
    let walk = |days: Days| Walk { fields, days, direction }.run(clock);
    let found = if fields.day.is_star || fields.weekday.is_star {
        walk(Days::Both)?
    } else {
        let (by_day, by_weekday) = (walk(Days::OfMonth)?, walk(Days::OfWeek)?);
        match direction {
            Direction::Later => by_day.min(by_weekday),
            Direction::Earlier => by_day.max(by_weekday),
        }
    };
    offset.to_timestamp(found).ok()
}

/// Which of the two fields for days count.
#[derive(Clone, Copy, PartialEq)]
enum Days {
    Both,
    OfMonth,
    OfWeek,
}

/// A walk from run to run.
struct Walk<'f> {
    fields: &'f Fields,
    days: Days,
    direction: Direction,
}

impl Walk<'_> {
    fn run(&self, from: DateTime) -> Option<DateTime> {
        let minute = Span::new().minutes(if self.is_back() { -1 } else { 1 });
        let mut at = from.checked_add(minute).ok()?;
        let year = at.year();
        while (at.year() - year).abs() <= 1 {
            match self.step(at)? {
                Some(next) => at = next,
                None => return at.with().second(0).subsec_nanosecond(0).build().ok(),
            }
        }
        None
    }

    fn is_back(&self) -> bool {
        self.direction == Direction::Earlier
    }

    /// Outer `None`: the calendar ends. Inner `None`: this is a run.
    fn step(&self, at: DateTime) -> Option<Option<DateTime>> {
        let Fields { minute, hour, day, month, weekday, .. } = self.fields;
        if let Some(months) = self.away(*month, at.month(), 1, 12) {
            return self.months(at, months).map(Some);
        }
        let size = if self.is_back() { usual_length(at.month() - 1) } else { at.days_in_month() };
        if self.days != Days::OfWeek
            && let Some(days) = self.away(*day, at.day(), 1, size)
        {
            return self.days(at, days).map(Some);
        }
        let of_week = at.weekday().to_sunday_zero_offset();
        if self.days != Days::OfMonth
            && let Some(days) = self.away(*weekday, of_week, 0, 7)
        {
            return self.days(at, days).map(Some);
        }
        if let Some(hours) = self.away(*hour, at.hour(), 0, 24) {
            let there = at.checked_add(Span::new().hours(hours)).ok()?;
            let (minute, second) = if self.is_back() { (59, 59) } else { (0, 0) };
            return there.with().minute(minute).second(second).build().ok().map(Some);
        }
        if let Some(minutes) = self.away(*minute, at.minute(), 0, 60) {
            return at.checked_add(Span::new().minutes(minutes)).ok().map(Some);
        }
        Some(None)
    }

    /// To the edge of another month.
    fn months(&self, at: DateTime, months: i64) -> Option<DateTime> {
        let there = at.date().checked_add(Span::new().months(months)).ok()?;
        let day = if self.is_back() { usual_length(there.month()) } else { 1 };
        self.edge(there.with().day(day).build().ok()?)
    }

    fn days(&self, at: DateTime, days: i64) -> Option<DateTime> {
        self.edge(at.date().checked_add(Span::new().days(days)).ok()?)
    }

    /// The moment of a day at which a walk comes to it.
    fn edge(&self, date: Date) -> Option<DateTime> {
        let time = if self.is_back() { Time::new(23, 59, 59, 0) } else { Ok(Time::midnight()) };
        Some(date.to_datetime(time.ok()?))
    }

    /// How far the nearest allowed value is in the direction; `None`: this one is allowed. `size` is
    /// how many values there are.
    fn away(&self, field: Field, value: i8, least: i8, size: i8) -> Option<i64> {
        let allows = |value: &i8| field.allows(value.unsigned_abs().into());
        if field.is_star || allows(&value) {
            return None;
        }
        let all = || (least..=31.max(size)).filter(allows);
        let away = if self.is_back() {
            let fits = all().rfind(|allowed| *allowed < size).or(all().next_back());
            match all().rfind(|allowed| *allowed <= value) {
                Some(before) => i64::from(before) - i64::from(value),
                None => i64::from(fits?) - i64::from(value) - i64::from(size),
            }
        } else {
            match all().find(|allowed| *allowed >= value) {
                Some(later) => i64::from(later) - i64::from(value),
                None => i64::from(all().next()?) - i64::from(value) + i64::from(size),
            }
        };
        (away != 0).then_some(away)
    }
}

/// The length of a month in a year that is no leap year; 0 is December.
fn usual_length(month: i8) -> i8 {
    match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
