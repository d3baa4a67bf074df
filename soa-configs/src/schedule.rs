//! `schedule` of a Chronos job: five cron fields, or an ISO 8601 repeating interval
//! (chronos-sync.md §3).

mod cron;
mod due;
mod interval;
mod iso;
mod start;

use jiff::{Timestamp, tz::TimeZone};

pub use self::{
    cron::Cron,
    iso::{Duration, Repeating},
};

/// When a job runs. What is a schedule is decided as PaaSTA decides it.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    Cron(Cron),
    Repeating(Repeating),
}

/// Why a text is no schedule: what PaaSTA says, one sentence for each rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidSchedule(pub Vec<String>);

impl Schedule {
    /// # Errors
    /// When the text is neither five good cron fields (or a nickname, as `@daily`) nor
    /// `R[n]/start/interval` with a start and an interval of none or at least a minute.
    pub fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        // Python's `$` and `split` overlook one line end, which a block text in YAML leaves.
        let bare = text.strip_suffix('\n').unwrap_or(text);
        if let Some(cron) = Cron::parse(bare) {
            return Ok(Self::Cron(cron));
        }
        let parts: Vec<&str> = bare.split('/').collect();
        match parts[..] {
            [repeat, start, interval] => {
                Repeating::check(text, repeat, start, interval).map(Self::Repeating)
            }
            _ => Err(InvalidSchedule(vec![format!(
                "The specified schedule \"{text}\" is neither a valid cron schedule nor a valid ISO \
                 8601 schedule"
            )])),
        }
    }

    /// Why this schedule never runs a job, if it does not.
    #[must_use]
    pub fn never_fires(&self) -> Option<&'static str> {
        match self {
            Self::Cron(cron) => cron.never_fires(),
            Self::Repeating(repeating) => {
                (repeating.count == Some(0)).then_some("it repeats 0 times")
            }
        }
    }

    /// Why Chronos itself refuses this schedule, though PaaSTA takes it.
    #[must_use]
    pub fn refused_by_chronos(&self) -> Option<&'static str> {
        match self {
            Self::Cron(cron) => cron.refused_by_chronos(),
            Self::Repeating(_) => None,
        }
    }
}

/// The seconds from one run to the next, as the checks of jobs that are stuck count them: of a cron
/// schedule those between the runs around `now` in `zone` (UTC when unset or unknown); of an interval without its years and months, whole seconds.
///
/// Also of a schedule that is refused for its start or count. `None`: not known, as of nicknames and of
/// schedules that run less than once in a year.
#[must_use]
pub fn interval_seconds(text: &str, zone: Option<&str>, now: Timestamp) -> Option<f64> {
    let bare = text.strip_suffix('\n').unwrap_or(text);
    if let Some(cron) = Cron::parse(bare) {
        let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        return interval::around(&cron, now, &zone);
    }
    match bare.split('/').collect::<Vec<_>>()[..] {
        [_, _, duration] => Some(Duration::parse(duration)?.seconds.trunc()),
        _ => None,
    }
}

/// When a job whose last run ended then should have ended again, if both runs take equally long: by the
/// clocks of `zone` (UTC when unset or unknown), also in a night in which these are changed.
///
/// `None`: not known, as of nicknames, of years and months, and of cron schedules that run less than once in
/// two years.
#[must_use]
pub fn due_after(text: &str, zone: Option<&str>, last: Timestamp) -> Option<Timestamp> {
    let bare = text.strip_suffix('\n').unwrap_or(text);
    let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    if let Some(cron) = Cron::parse(bare) {
        return due::by_cron(&cron, last, &zone);
    }
    match bare.split('/').collect::<Vec<_>>()[..] {
        [_, _, duration] => due::by_interval(Duration::parse(duration)?, last, &zone),
        _ => None,
    }
}

/// Whether the time zone database knows a name.
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

#[cfg(test)]
mod tests;
