//! ISO 8601 repeating intervals: `R/2014-10-10T18:32:00Z/PT60M`.

use super::{InvalidSchedule, start};

/// A repeating interval. Its start has the form of a date and time, with a zone or without.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeating {
    /// How often. `None`: for ever.
    pub count: Option<u64>,
    /// As written.
    pub start: String,
    /// From one run to the next.
    pub interval: Duration,
}

/// An ISO 8601 duration. Years and months have no length of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duration {
    /// It names years or months that are not zero.
    pub has_years_or_months: bool,
    /// The rest, in seconds.
    pub seconds: f64,
    /// How many days of these are written as weeks and days: a clock that is changed makes them longer or
    /// shorter.
    pub days: f64,
}

/// Shorter ones would be more than Chronos can do.
const SHORTEST: f64 = 60.0;

impl Repeating {
    /// All rules at once, in PaaSTA's order and words.
    pub(super) fn check(
        text: &str,
        repeat: &str,
        start: &str,
        interval: &str,
    ) -> Result<Self, InvalidSchedule> {
        let mut broken = Vec::new();
        if start.is_empty() {
            broken.push(format!("The specified schedule \"{text}\" does not contain a start time"));
        } else if let Err(detail) = start::parse(start) {
            broken.push(format!(
                "The specified start time \"{start}\" in schedule \"{text}\" does not conform to \
                 the ISO 8601 format:\n{detail}"
            ));
        }
        let duration = Duration::parse(interval);
        match duration {
            None => broken.push(format!(
                "The specified interval \"{interval}\" in schedule \"{text}\" does not conform to \
                 the ISO 8601 format."
            )),
            Some(duration) if duration.is_too_short() => broken.push(format!(
                "Unsupported interval \"{interval}\": jobs must be run at an interval of > 60 seconds"
            )),
            Some(_) => {}
        }
        let count = repeat_count(repeat);
        if count.is_none() {
            broken.push(format!(
                "The specified repeat \"{repeat}\" in schedule \"{text}\" does not conform to the \
                 ISO 8601 format."
            ));
        }
        match (count, duration) {
            (Some(count), Some(interval)) if broken.is_empty() => {
                Ok(Self { count, start: start.to_owned(), interval })
            }
            _ => Err(InvalidSchedule(broken)),
        }
    }
}

/// `R` and digits. Inner `None`: for ever.
fn repeat_count(text: &str) -> Option<Option<u64>> {
    let digits = text.strip_prefix('R')?;
    if digits.is_empty() {
        return Some(None);
    }
    // More repetitions than fit are as good as the largest number.
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}

impl Duration {
    /// `None`: this is no duration. The parts stand in order, each at most once; a date and time
    /// behind the `P` does as well.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_parts(text).or_else(|| Self::of_date(text.strip_prefix('P')?))
    }

    fn of_date(text: &str) -> Option<Self> {
        let moment = start::parse(text).ok()?;
        let time = moment.time();
        let clock = f64::from(time.hour()) * 3600.0
            + f64::from(time.minute()) * 60.0
            + f64::from(time.second());
        let days = f64::from(moment.day());
        // Its year and month are never zero.
        Some(Self { has_years_or_months: true, seconds: days * 86_400.0 + clock, days })
    }

    fn of_parts(text: &str) -> Option<Self> {
        let (sign, text) = match text.as_bytes().first()? {
            b'-' => (-1.0, &text[1..]),
            b'+' => (1.0, &text[1..]),
            _ => (1.0, text),
        };
        let mut rest = text.strip_prefix('P')?;
        let mut part = |unit: char| amount(&mut rest, unit);
        let (years, months) = (part('Y'), part('M'));
        let days = part('W') * 7.0 + part('D');
        let mut seconds = days * 86_400.0;
        if let Some(time) = rest.strip_prefix('T') {
            rest = time;
            let mut part = |unit: char| amount(&mut rest, unit);
            seconds += part('H') * 3600.0 + part('M') * 60.0 + part('S');
        }
        rest.is_empty().then_some(Self {
            has_years_or_months: years != 0.0 || months != 0.0,
            seconds: sign * seconds,
            days: sign * days,
        })
    }

    /// Negative ones are. Zero means that nothing is repeated, and passes.
    fn is_too_short(self) -> bool {
        !self.has_years_or_months && self.seconds != 0.0 && self.seconds < SHORTEST
    }
}

/// A number with its unit at the start of `rest`, which is taken off; else 0.
fn amount(rest: &mut &str, unit: char) -> f64 {
    let end = rest.find(|c: char| !c.is_ascii_digit() && !".,".contains(c)).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    let Some(after) = after.strip_prefix(unit) else { return 0.0 };
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return 0.0;
    }
    *rest = after;
    format!("{whole}.{fraction}").parse().unwrap_or(0.0)
}
