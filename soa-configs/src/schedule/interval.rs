//! The time between two runs of a cron schedule.

use jiff::{
    ToSpan,
    civil::{Date, DateTime},
};

use super::cron::{Cron, Field, Fields};

/// Seconds between the first run after `now` and the run before that one. `None`: one of them is
/// beyond the end of the next or the start of the previous year, where the original stops to look.
pub(super) fn around(cron: &Cron, now: DateTime) -> Option<f64> {
    let Cron::Fields(fields) = cron else { return None };
    let Fields { minute, hour, day, month, weekday, .. } = &**fields;
    if ![minute, hour, day, month, weekday].into_iter().all(|field| field.is_iterable) {
        return None;
    }
    let next = run(fields, now, Direction::Later)?;
    let before = run(fields, next, Direction::Earlier)?;
    let seconds = next.duration_since(before).as_secs();
    u32::try_from(seconds).ok().map(f64::from)
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Later,
    Earlier,
}

/// The next run in a direction. When both kinds of day are restricted, either is enough, and the
/// original wants to find a run of each kind.
fn run(fields: &Fields, from: DateTime, direction: Direction) -> Option<DateTime> {
    if fields.day.is_star || fields.weekday.is_star {
        return search(fields, from, direction, |date| {
            allows_day(fields.day, date) && allows_weekday(fields.weekday, date)
        });
    }
    let by_day = search(fields, from, direction, |date| allows_day(fields.day, date))?;
    let by_weekday = search(fields, from, direction, |date| allows_weekday(fields.weekday, date))?;
    Some(match direction {
        Direction::Later => by_day.min(by_weekday),
        Direction::Earlier => by_day.max(by_weekday),
    })
}

fn allows_day(field: Field, date: Date) -> bool {
    field.allows(date.day().unsigned_abs().into())
}

fn allows_weekday(field: Field, date: Date) -> bool {
    field.allows(date.weekday().to_sunday_zero_offset().unsigned_abs().into())
}

fn search(
    fields: &Fields,
    from: DateTime,
    direction: Direction,
    allows: impl Fn(Date) -> bool,
) -> Option<DateTime> {
    let mut date = from.date();
    while (date.year() - from.date().year()).abs() <= 1 {
        if fields.month.allows(date.month().unsigned_abs().into()) && allows(date) {
            let mut times = times(fields, date);
            let found = match direction {
                Direction::Later => times.find(|time| *time > from),
                Direction::Earlier => times.rev().find(|time| *time < from),
            };
            if found.is_some() {
                return found;
            }
        }
        date = match direction {
            Direction::Later => date.checked_add(1.day()).ok()?,
            Direction::Earlier => date.checked_sub(1.day()).ok()?,
        };
    }
    None
}

/// All times of a day that the fields allow.
fn times(fields: &Fields, date: Date) -> impl DoubleEndedIterator<Item = DateTime> {
    let hours = (0..24_i8).filter(|hour| fields.hour.allows(hour.unsigned_abs().into()));
    hours.flat_map(move |hour| {
        let minutes =
            (0..60_i8).filter(|minute| fields.minute.allows(minute.unsigned_abs().into()));
        minutes.map(move |minute| date.at(hour, minute, 0, 0))
    })
}
