//! When a job should have run again, counted from its last run and by the clocks of its zone.
//!
//! [`interval`](super::interval) keeps the oddities of the original, which counts around now and with one
//! distance from UTC: in the night in which clocks are put back, the day has 25 hours, and on a Monday morning
//! the runs of working days seem a day apart. Whoever asks whether a job is stuck has to count from its last
//! run. In doubt the later moment is taken: nobody is to be woken for a run that is not due.

use jiff::{
    Span, Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use super::{
    cron::{Cron, Fields},
    iso::Duration,
};

/// Runs that are further apart are not looked for.
const FAR: usize = 2 * 366;

/// As long after `last` as the run after it is after the run before it.
pub(super) fn by_cron(cron: &Cron, last: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let Cron::Fields(fields) = cron else { return None };
    let today = zone.to_datetime(last).date();
    // What the clock says can be a day away from what it meant a change of the clocks before.
    let ahead = today.yesterday().unwrap_or(today).series(1.day());
    let back = today.tomorrow().unwrap_or(today).series(-1.day());
    let next = ahead
        .take(FAR)
        .flat_map(|date| times(fields, date))
        .filter_map(|time| moment(time, zone))
        .find(|run| *run > last)?;
    let before = back
        .take(FAR)
        .flat_map(|date| times(fields, date).rev())
        .filter_map(|time| moment(time, zone))
        .find(|run| *run <= last)?;
    last.checked_add(next.duration_since(before)).ok()
}

/// All runs of a day, by the clock.
fn times(fields: &Fields, date: Date) -> impl DoubleEndedIterator<Item = DateTime> {
    let of = |allows: &dyn Fn(u32) -> bool, most: i8| -> Vec<i8> {
        (0..most).filter(|value| allows(value.unsigned_abs().into())).collect()
    };
    let is_day = is_day(fields, date);
    let hours = if is_day { of(&|hour| fields.hour.allows(hour), 24) } else { Vec::new() };
    let minutes = of(&|minute| fields.minute.allows(minute), 60);
    hours.into_iter().flat_map(move |hour| {
        let minutes = minutes.clone().into_iter();
        minutes.map(move |minute| date.at(hour, minute, 0, 0))
    })
}

/// When both kinds of day are restricted, either is enough.
fn is_day(fields: &Fields, date: Date) -> bool {
    let by_month = fields.day.allows(date.day().unsigned_abs().into());
    let weekday = date.weekday().to_sunday_zero_offset();
    let by_week = fields.weekday.allows(weekday.unsigned_abs().into());
    let is_either = !fields.day.is_star && !fields.weekday.is_star;
    let is_day = if is_either { by_month || by_week } else { by_month && by_week };
    is_day && fields.month.allows(date.month().unsigned_abs().into())
}

/// `None`: the clock is put forward past it, and nothing need run. What the clock says twice counts when it
/// says it again.
fn moment(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => None,
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            ambiguous.later().ok()
        }
    }
}

/// Weeks and days are as long as the clocks of the zone make them, hours are hours. `None`: it has years or
/// months, or is no length of time.
pub(super) fn by_interval(
    duration: Duration,
    last: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let Duration { has_years_or_months, seconds, days } = duration;
    if has_years_or_months || seconds <= 0.0 {
        return None;
    }
    let exact = jiff::SignedDuration::try_from_secs_f64(seconds - days * 86_400.0).ok()?;
    // A part of a day has no clock to go by.
    let whole: i32 = format!("{:.0}", days.trunc()).parse().ok()?;
    let rest = jiff::SignedDuration::try_from_secs_f64(days.fract() * 86_400.0).ok()?;
    let there = zone.to_datetime(last).checked_add(Span::new().try_days(whole).ok()?).ok()?;
    let there = if whole == 0 { last } else { zone.to_ambiguous_timestamp(there).later().ok()? };
    there.checked_add(exact).ok()?.checked_add(rest).ok()
}

#[cfg(test)]
mod tests;
