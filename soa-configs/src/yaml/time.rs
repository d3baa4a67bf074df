//! Unquoted dates and times, which YAML 1.1 knows.

use std::fmt;

/// A day of the Gregorian calendar. Written as Python does: `2014-10-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

/// A day and a time of it, with a distance from UTC or without. Written as Python does:
/// `2014-10-10 18:32:00+02:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub date: Date,
    /// Seconds since midnight.
    pub second: u32,
    pub microsecond: u32,
    /// Minutes east of UTC. `None`: the text names no zone.
    pub offset: Option<i32>,
}

/// When a [`Time`] is, comparable: Python takes two of them in different zones for equal, and never
/// one with a zone and one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Instant {
    zoned: bool,
    second: i64,
    microsecond: u32,
}

impl Date {
    /// `None`: there is no such day.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let valid = year >= 1 && (1..=12).contains(&month) && day >= 1;
        (valid && day <= days_in(year, month)).then_some(Self { year, month, day })
    }

    /// Days since the first of January of the year 1, which is 0.
    #[must_use]
    pub fn day_number(self) -> i64 {
        let before = i64::from(self.year) - 1;
        let leap_days = before / 4 - before / 100 + before / 400;
        let months: i64 = (1..self.month).map(|month| i64::from(days_in(self.year, month))).sum();
        before * 365 + leap_days + months + i64::from(self.day) - 1
    }
}

/// How many days a month has.
fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Time {
    pub(super) fn instant(&self) -> Instant {
        let offset = i64::from(self.offset.unwrap_or(0)) * 60;
        let second = self.date.day_number() * 86_400 + i64::from(self.second) - offset;
        Instant { zoned: self.offset.is_some(), second, microsecond: self.microsecond }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        write!(f, "{} {hour:02}:{minute:02}:{second:02}", self.date)?;
        if self.microsecond > 0 {
            write!(f, ".{:06}", self.microsecond)?;
        }
        let Some(offset) = self.offset else { return Ok(()) };
        let (sign, away) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        write!(f, "{sign}{:02}:{:02}", away / 60, away % 60)
    }
}

/// A text in the form of a date or a time, whose numbers may still be impossible.
pub(super) struct Shape<'a> {
    date: [&'a str; 3],
    clock: Option<Clock<'a>>,
}

struct Clock<'a> {
    parts: [&'a str; 3],
    fraction: &'a str,
    /// Minutes east of UTC.
    offset: Option<i32>,
}

/// Recognises a date or a time. `strict`: as PyYAML does for a text without a tag, where a date alone
/// has two digits for month and day.
pub(super) fn recognise(text: &str, strict: bool) -> Option<Shape<'_>> {
    let mut rest = Scan(text);
    let year = rest.digits(4, 4)?;
    rest.one_of("-")?;
    let month = rest.digits(1, 2)?;
    rest.one_of("-")?;
    let day = rest.digits(1, 2)?;
    let date = [year, month, day];
    if rest.0.is_empty() {
        let full = month.len() == 2 && day.len() == 2;
        return (full || !strict).then_some(Shape { date, clock: None });
    }
    if rest.one_of("Tt").is_none() && rest.blanks() == 0 {
        return None;
    }
    let hour = rest.digits(1, 2)?;
    rest.one_of(":")?;
    let minute = rest.digits(2, 2)?;
    rest.one_of(":")?;
    let second = rest.digits(2, 2)?;
    let fraction = if rest.one_of(".").is_some() { rest.digits(0, usize::MAX)? } else { "" };
    rest.blanks_before_zone();
    let offset = rest.zone()?;
    let clock = Some(Clock { parts: [hour, minute, second], fraction, offset });
    rest.0.is_empty().then_some(Shape { date, clock })
}

/// What a [`Shape`] stands for.
pub(super) enum Moment {
    Date(Date),
    Time(Time),
}

impl Shape<'_> {
    /// `None`: there is no such day or time.
    pub(super) fn resolve(&self) -> Option<Moment> {
        let [year, month, day] = self.date;
        let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
        let Some(clock) = &self.clock else { return Some(Moment::Date(date)) };
        let [hour, minute, second] = clock.parts;
        let (hour, minute, second): (u32, u32, u32) =
            (hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?);
        let possible = hour < 24 && minute < 60 && second < 60;
        let possible = possible && clock.offset.is_none_or(|offset| offset.abs() < 24 * 60);
        let first_six: String = clock.fraction.chars().chain("000000".chars()).take(6).collect();
        possible.then_some(Moment::Time(Time {
            date,
            second: hour * 3600 + minute * 60 + second,
            microsecond: first_six.parse().ok()?,
            offset: clock.offset,
        }))
    }
}

/// What is left of a text.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    /// From `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<&'a str> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count().min(most);
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        (count >= least).then_some(digits)
    }

    fn one_of(&mut self, allowed: &str) -> Option<char> {
        let found = self.0.chars().next().filter(|c| allowed.contains(*c))?;
        self.0 = &self.0[found.len_utf8()..];
        Some(found)
    }

    fn blanks(&mut self) -> usize {
        let before = self.0.len();
        self.0 = self.0.trim_start_matches([' ', '\t']);
        before - self.0.len()
    }

    /// Blanks count only if a zone follows.
    fn blanks_before_zone(&mut self) {
        let rest = self.0.trim_start_matches([' ', '\t']);
        if rest.starts_with(['Z', '+', '-']) {
            self.0 = rest;
        }
    }

    /// Outer `None`: this is no zone. Inner `None`: there is none.
    fn zone(&mut self) -> Option<Option<i32>> {
        if self.one_of("Z").is_some() {
            return Some(Some(0));
        }
        let Some(sign) = self.one_of("+-") else { return Some(None) };
        let hours: i32 = self.digits(1, 2)?.parse().ok()?;
        let minutes: i32 = match self.one_of(":") {
            Some(_) => self.digits(2, 2)?.parse().ok()?,
            None => 0,
        };
        let offset = hours * 60 + minutes;
        Some(Some(if sign == '-' { -offset } else { offset }))
    }
}
