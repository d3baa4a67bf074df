//! Dates with times in the forms of ISO 8601, as the library that PaaSTA uses takes them.
//!
//! It looks only at the beginning of the date and of the time: what follows a form that is known is not
//! looked at, a zone in another form included.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
};

/// A date, a capital `T`, and a time.
///
/// # Errors
/// That it has no known form, in the words of that library, or that its numbers are impossible.
pub(super) fn parse(text: &str) -> Result<DateTime, String> {
    let parts = text.split_once('T').filter(|(_, time)| !time.contains('T'));
    let Some((date, time)) = parts else {
        let shown = quoted(text);
        return Err(format!(
            "ISO 8601 time designator 'T' missing. Unable to parse datetime string {shown}"
        ));
    };
    for (kind, forms, text) in [("date", &DATES[..], date), ("time", &TIMES[..], time)] {
        if !forms.iter().any(|form| Fields::fit(form, text).is_some()) {
            return Err(format!("Unrecognised ISO 8601 {kind} format: {}", quoted(text)));
        }
    }
    let moment = self::date(date).zip(self::time(time));
    moment.map(|(date, time)| date.to_datetime(time)).ok_or_else(|| "it does not exist".to_owned())
}

/// As Python's `repr` has it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == '\\' || c == quote => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// The forms of a date, the first that fits counts. Capital letters but `W` and small letters stand for
/// digits: year, century, month, day of the month, week, day of the week, day of the year.
const DATES: [&str; 11] =
    ["Y-M-D", "YMD", "Y-Ww-d", "YWwd", "Y-o", "Yo", "Y-Ww", "YWw", "Y-M", "Y", "C"];

/// The forms of a time: hour, minute, second. Only the last one may have a fraction.
const TIMES: [&str; 5] = ["H:I:S", "HIS", "H:I", "HI", "H"];

fn digits_of(letter: char) -> Option<usize> {
    Some(match letter {
        'Y' => 4,
        'o' => 3,
        'M' | 'D' | 'w' | 'C' | 'H' | 'I' | 'S' => 2,
        'd' => 1,
        _ => return None,
    })
}

/// What stood at the places of a form.
#[derive(Default)]
struct Fields(Vec<(char, i32)>);

impl Fields {
    /// Fits a form to the beginning of a text; returns what follows, too.
    fn fit<'t>(form: &str, text: &'t str) -> Option<(Self, &'t str)> {
        let mut fields = Self::default();
        let mut rest = text;
        for letter in form.chars() {
            match digits_of(letter) {
                None => rest = rest.strip_prefix(letter)?,
                Some(count) => {
                    let digits = rest.get(..count)?;
                    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                        return None;
                    }
                    fields.0.push((letter, digits.parse().ok()?));
                    rest = &rest[count..];
                }
            }
        }
        Some((fields, rest))
    }

    fn get(&self, letter: char) -> Option<i32> {
        self.0.iter().find(|(known, _)| *known == letter).map(|(_, number)| *number)
    }

    fn small(&self, letter: char) -> Option<i8> {
        self.get(letter).and_then(|number| i8::try_from(number).ok())
    }
}

fn date(text: &str) -> Option<Date> {
    let (fields, _) = DATES.iter().find_map(|form| Fields::fit(form, text))?;
    if let Some(century) = fields.get('C') {
        return Date::new(i16::try_from(century * 100 + 1).ok()?, 1, 1).ok();
    }
    let year = i16::try_from(fields.get('Y')?).ok().filter(|year| *year > 0)?;
    if fields.get('M').is_some() {
        let month = fields.small('M')?.max(1);
        let day = if fields.get('D').is_some() { fields.small('D')? } else { 1 };
        return Date::new(year, month, day).ok();
    }
    let first = Date::new(year, 1, 1).ok()?;
    if let Some(week) = fields.get('w') {
        let start = first.iso_week_date();
        let weeks = week - i32::from(start.week() == 1);
        let day = fields.get('d').unwrap_or(1);
        let days = weeks * 7 + day - i32::from(first.weekday().to_monday_one_offset());
        return first.checked_add(days.days()).ok();
    }
    match fields.get('o') {
        Some(day) => first.checked_add((day - 1).days()).ok(),
        None => Some(first),
    }
}

fn time(text: &str) -> Option<Time> {
    let (fields, rest) = TIMES.iter().find_map(|form| Fields::fit(form, text))?;
    let fraction = fraction(rest);
    let (mut minute, mut second) = (fields.small('I'), fields.small('S'));
    // A fraction of an hour or a minute.
    if minute.is_none() {
        let seconds = fraction * 3600.0;
        (minute, second) = (whole(seconds / 60.0), whole(seconds % 60.0));
    } else if second.is_none() {
        second = whole(fraction * 60.0);
    }
    Time::new(fields.small('H')?, minute?, second?, 0).ok()
}

fn whole(number: f64) -> Option<i8> {
    format!("{}", number.trunc()).parse().ok()
}

/// `.5` or `,5` at the beginning of a text, else 0.
fn fraction(text: &str) -> f64 {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return 0.0 };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("0.{digits}0").parse().unwrap_or(0.0)
}
