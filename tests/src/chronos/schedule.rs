//! When a job is due: a repeating interval, or cron.

use jiff::{Span, Timestamp, Zoned, tz::TimeZone};

use super::cron::Cron;

/// A schedule that goes on from run to run.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    kind: Kind,
    zone: TimeZone,
}

#[derive(Clone, Debug)]
enum Kind {
    Cron { text: String, cron: Cron, next: Option<Timestamp> },
    Repeating { left: Option<u64>, next: Zoned, interval: Span, written: String },
}

impl Schedule {
    /// `None`: nobody can read it, or nobody knows the zone.
    pub(super) fn parse(text: &str, zone: Option<&str>, now: Timestamp) -> Option<Self> {
        let named = zone.filter(|zone| !zone.is_empty()).map(TimeZone::get).transpose().ok()?;
        if let Some(cron) = Cron::parse(text) {
            let zone = named.unwrap_or(TimeZone::UTC);
            let next = cron.after(now, &zone);
            return Some(Self { kind: Kind::Cron { text: text.to_owned(), cron, next }, zone });
        }
        let parts: Vec<&str> = text.split('/').collect();
        let [repeat, start, written] = parts[..] else { return None };
        let count = repeat.strip_prefix('R')?;
        let left = if count.is_empty() { None } else { Some(count.parse().ok()?) };
        let interval: Span = written.strip_prefix('P').and_then(|_| written.parse().ok())?;
        let start = if start.is_empty() { now.to_zoned(TimeZone::UTC) } else { moment(start)? };
        let zone = named.unwrap_or_else(|| start.time_zone().clone());
        // The zone that is named keeps what the clock says.
        let next = start.datetime().to_zoned(zone.clone()).ok()?;
        let written = written.to_owned();
        Some(Self { kind: Kind::Repeating { left, next, interval, written }, zone })
    }

    /// `None`: never again.
    pub(super) fn next(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Cron { next, .. } => *next,
            Kind::Repeating { left: Some(0), .. } => None,
            Kind::Repeating { next, .. } => Some(next.timestamp()),
        }
    }

    /// To the run after the next one.
    pub(super) fn advance(&mut self) {
        match &mut self.kind {
            Kind::Cron { cron, next, .. } => {
                *next = next.and_then(|run| cron.after(run, &self.zone));
            }
            Kind::Repeating { left, next, interval, .. } => {
                let later = next.checked_add(*interval).ok().filter(|later| *later > *next);
                *left = left.map(|left| left.saturating_sub(1));
                match later {
                    Some(later) => *next = later,
                    // An interval of nothing, or the end of time.
                    None => *left = Some(0),
                }
            }
        }
    }

    /// Passes over all runs that are before a moment without counting them as runs that were.
    pub(super) fn skip_to(&mut self, moment: Timestamp) {
        while self.next().is_some_and(|next| next < moment) {
            if let Kind::Repeating { next, interval, .. } = &mut self.kind
                && let Some(jump) = jump(next, *interval, moment)
            {
                *next = jump;
            }
            let before = self.next();
            if before.is_some_and(|next| next < moment) {
                self.advance();
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.next().is_none()
    }

    /// As Chronos writes it back.
    pub(super) fn text(&self) -> String {
        match &self.kind {
            Kind::Cron { text, .. } => text.clone(),
            Kind::Repeating { left, next, written, .. } => {
                let left = left.map(|left| left.to_string()).unwrap_or_default();
                format!("R{left}/{:.3}/{written}", next.timestamp())
            }
        }
    }
}

/// As many whole intervals as fit before a moment, at once. `None`: it has months or years, or none fits.
fn jump(next: &Zoned, interval: Span, moment: Timestamp) -> Option<Zoned> {
    let has_calendar = interval.get_years() != 0 || interval.get_months() != 0;
    let is_exact = !has_calendar && interval.get_weeks() == 0 && interval.get_days() == 0;
    let length = is_exact.then(|| jiff::SignedDuration::try_from(interval).ok()).flatten()?;
    let times = moment.duration_since(next.timestamp()).as_secs() / length.as_secs().max(1);
    let times = i32::try_from(times - 1).ok().filter(|times| *times > 0)?;
    next.checked_add(length.checked_mul(times)?).ok()
}

/// With a zone, or else in UTC.
fn moment(text: &str) -> Option<Zoned> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        let offset = jiff::fmt::temporal::Pieces::parse(text).ok()?.to_numeric_offset();
        let zone = offset.map_or(TimeZone::UTC, |offset| offset.to_time_zone());
        return Some(stamp.to_zoned(zone));
    }
    text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str, zone: Option<&str>) -> Schedule {
        Schedule::parse(text, zone, "2018-03-14T09:05:07Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_repeating_interval_advances_and_ends() {
        let mut twice = schedule("R2/2018-03-14T10:00:00Z/PT1H", None);
        assert_eq!(twice.text(), "R2/2018-03-14T10:00:00.000Z/PT1H");
        twice.advance();
        assert_eq!(twice.text(), "R1/2018-03-14T11:00:00.000Z/PT1H");
        twice.advance();
        assert!(twice.is_over());
        let mut once = schedule("R1//PT1M", None);
        assert_eq!(once.next().unwrap().to_string(), "2018-03-14T09:05:07Z");
        once.advance();
        assert!(once.is_over());
    }

    #[test]
    fn what_is_past_is_passed_over() {
        for (text, next) in [
            ("R/2015-01-01T00:00:00Z/PT1H", "2018-03-14T10:00:00Z"),
            ("R/2015-01-31T00:00:00Z/P1M", "2018-03-28T00:00:00Z"),
            ("R/2018-03-14T09:10:00+02:00/P1D", "2018-03-15T07:10:00Z"),
        ] {
            let mut schedule = schedule(text, None);
            schedule.skip_to("2018-03-14T09:05:07Z".parse().unwrap());
            assert_eq!(schedule.next().unwrap().to_string(), next, "{text}");
        }
    }

    #[test]
    fn a_named_zone_keeps_the_clock_over_daylight_saving() {
        let mut daily = schedule("R/2018-03-10T03:00:00Z/P1D", Some("America/Los_Angeles"));
        let mut runs = Vec::new();
        for _ in 0..3 {
            runs.push(daily.next().unwrap().to_string());
            daily.advance();
        }
        assert_eq!(runs, ["2018-03-10T11:00:00Z", "2018-03-11T10:00:00Z", "2018-03-12T10:00:00Z"]);
    }

    #[test]
    fn what_nobody_can_read_is_no_schedule() {
        let now = Timestamp::UNIX_EPOCH;
        for (text, zone) in [
            ("soon", None),
            ("R/2018-03-14T10:00:00Z/1H", None),
            ("R/then/PT1H", None),
            ("0 3 * * *", Some("Mars/Olympus")),
            ("R/2018-03-14T10:00:00Z/PT1H", Some("Mars/Olympus")),
        ] {
            assert!(Schedule::parse(text, zone, now).is_none(), "{text}");
        }
    }
}
