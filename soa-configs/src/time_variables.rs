//! `%(shortdate-1)s` and the like in the command of a Chronos job (chronos-sync.md §5).
//!
//! Commands are formatted as Python's `%` operator does it with a map: a literal percent sign is
//! written `%%`.

use jiff::{Span, Zoned, civil::Date};

/// A command that cannot be formatted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unparseable command '{0}'. Hint: do you need to escape % chars?")]
pub struct Unparseable(pub String);

/// Replaces the variables of a command by what they are at a moment.
///
/// # Errors
/// Names that are not known, a lone `%`, and days that do not exist, as a month before 31 March.
pub fn render(command: &str, now: &Zoned) -> Result<String, Unparseable> {
    fill(command, now).ok_or_else(|| Unparseable(command.to_owned()))
}

fn fill(command: &str, now: &Zoned) -> Option<String> {
    let mut filled = String::new();
    let mut rest = command;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            filled.push('%');
            rest = after;
            continue;
        }
        let (name, after) = rest.strip_prefix('(')?.split_once(')')?;
        let value = value(name, now)?;
        let (text, after) = convert(&value, after)?;
        filled.push_str(&text);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Of the two kinds that variables have.
enum Variable {
    Text(String),
    Number(i64),
}

/// Formats a value by the conversion at the start of `format`; returns what follows it, too.
///
/// Those that make floats or characters of numbers are refused.
fn convert<'f>(value: &Variable, format: &'f str) -> Option<(String, &'f str)> {
    let flags = format.len() - format.trim_start_matches(['#', '0', '-', ' ', '+']).len();
    let (flags, rest) = format.split_at(flags);
    let (width, rest) = size(rest)?;
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => size(rest).map(|(precision, rest)| (Some(precision), rest))?,
        None => (None, rest),
    };
    let rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let kind = rest.chars().next()?;
    let (sign, text) = match (kind, value) {
        ('d' | 'i' | 'u' | 'x' | 'X' | 'o', Variable::Number(number)) => {
            digits(*number, kind, flags, precision)
        }
        ('s', Variable::Text(text)) => (String::new(), shortened(text, precision)),
        ('r' | 'a', Variable::Text(text)) => {
            (String::new(), shortened(&format!("'{text}'"), precision))
        }
        ('s' | 'r' | 'a', Variable::Number(number)) => {
            (String::new(), shortened(&number.to_string(), precision))
        }
        _ => return None,
    };
    let is_number = !matches!(kind, 's' | 'r' | 'a');
    let padded = if flags.contains('-') {
        format!("{:<width$}", sign + &text)
    } else if flags.contains('0') && is_number {
        let width = width.saturating_sub(sign.len());
        format!("{sign}{text:0>width$}")
    } else {
        format!("{:>width$}", sign + &text)
    };
    Some((padded, &rest[kind.len_utf8()..]))
}

/// A number at the start of a format, 0 if there is none.
fn size(format: &str) -> Option<(usize, &str)> {
    let digits = format.len() - format.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (size, rest) = format.split_at(digits);
    // Wider than any sane line is no format.
    let size = if size.is_empty() { 0 } else { size.parse().ok().filter(|size| *size <= 1000)? };
    Some((size, rest))
}

/// The first characters of a text.
fn shortened(text: &str, precision: Option<usize>) -> String {
    text.chars().take(precision.unwrap_or(usize::MAX)).collect()
}

/// What stands before the digits of a number, and they.
fn digits(number: i64, kind: char, flags: &str, precision: Option<usize>) -> (String, String) {
    let sign = match number {
        ..0 => "-",
        _ if flags.contains('+') => "+",
        _ if flags.contains(' ') => " ",
        _ => "",
    };
    let size = number.unsigned_abs();
    let (base, digits) = match kind {
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'o' => ("0o", format!("{size:o}")),
        _ => ("", size.to_string()),
    };
    let base = if flags.contains('#') { base } else { "" };
    let least = precision.unwrap_or(0);
    (format!("{sign}{base}"), format!("{digits:0>least$}"))
}

/// A variable: a name, and perhaps a distance in its unit.
fn value(name: &str, now: &Zoned) -> Option<Variable> {
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    let distance = distance(rest)?;
    if name == "unixtime" {
        return Some(Variable::Number(now.timestamp().as_second().checked_add(distance)?));
    }
    // More than any other unit allows; the arithmetic of dates would panic far beyond.
    let distance = Some(distance).filter(|distance| distance.unsigned_abs() <= 100_000_000)?;
    let today = now.date();
    let later = |days: i64| real(today.checked_add(Span::new().try_days(days).ok()?));
    let text = match name {
        "shortdate" => later(distance)?.to_string(),
        "day" => format!("{:02}", later(distance)?.day()),
        "year" => years_later(today, distance)?.strftime("%Y").to_string(),
        "month" => format!("{:02}", months_later(today, distance)?.month()),
        "hour" => {
            let then = now.datetime().checked_add(Span::new().try_hours(distance).ok()?);
            let then = then.ok().filter(|then| then.year() >= 1)?;
            format!("{:02}", then.hour())
        }
        "daynumber" => return Some(Variable::Number(day_number(later(distance)?)?)),
        _ => return None,
    };
    Some(Variable::Text(text))
}

/// `+n` or `-n` at the start of a text, else 0. What follows is not looked at.
fn distance(text: &str) -> Option<i64> {
    let Some(digits) = text.strip_prefix(['+', '-']) else { return Some(0) };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return Some(0);
    }
    let size: i64 = digits[..end].parse().ok()?;
    Some(if text.starts_with('-') { -size } else { size })
}

/// To Python, no year is before the first.
fn real(date: Result<Date, jiff::Error>) -> Option<Date> {
    date.ok().filter(|date| date.year() >= 1)
}

/// The same day of another year, which may not exist.
fn years_later(date: Date, years: i64) -> Option<Date> {
    let year = i64::from(date.year()) + years;
    real(Date::new(i16::try_from(year).ok()?, date.month(), date.day()))
}

/// The same day of another month, which may not exist.
fn months_later(date: Date, months: i64) -> Option<Date> {
    let month = i64::from(date.year()) * 12 + i64::from(date.month()) - 1 + months;
    let year = i16::try_from(month.div_euclid(12)).ok()?;
    let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
    real(Date::new(year, month, date.day()))
}

/// The first of January of the year 1 is 1.
fn day_number(date: Date) -> Option<i64> {
    let first = Date::new(1, 1, 1).ok()?;
    Some(date.duration_since(first).as_hours().div_euclid(24) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(moment: &str) -> Zoned {
        moment.parse::<jiff::civil::DateTime>().unwrap().in_tz("UTC").unwrap()
    }

    #[test]
    fn variables_are_replaced() {
        for (command, wanted) in [
            ("a %(shortdate)s b", "a 2018-03-14 b"),
            ("%(shortdate-1)s %(shortdate+20)s", "2018-03-13 2018-04-03"),
            ("%(year)s-%(month)s-%(day)s %(hour)s", "2018-03-14 09"),
            ("%(year-1)s %(month-3)s %(month+10)s %(day+20)s %(hour+20)s", "2017 12 01 03 05"),
            ("%(unixtime)s %(unixtime+5)d", "1521018307 1521018312"),
            ("%(daynumber)s %(daynumber-1)012d|%(year)-6s|", "736767 000000736766|2018  |"),
            ("100%% %%(year)s", "100% %(year)s"),
            ("%(day!)s", "14"),
            ("%(shortdate).7s %(shortdate)12.4s|", "2018-03         2018|"),
            ("%(daynumber)+d|%(daynumber) 9d|%(daynumber)#x", "+736767|   736767|0xb3dff"),
            (
                "%(daynumber)+012d %(daynumber)#-9o|%(daynumber).8d",
                "+00000736767 0o2636777|00736767",
            ),
            ("%(day)r %(daynumber).3s", "'14' 736"),
            ("%(unixtime-1000000000)s %(year-2017)s", "521018307 0001"),
            ("plain", "plain"),
        ] {
            assert_eq!(render(command, &at("2018-03-14T09:05:07")).unwrap(), wanted);
        }
    }

    #[test]
    fn what_python_cannot_format_is_refused() {
        for command in [
            "50% done",
            "%",
            "%Y",
            "%(zone)s",
            "%(year)d",
            "%(year",
            "%(year)",
            "%(unixtime)f",
            "%(day)*s",
            "%(day).9999s",
            "%s",
            "%(day+99999999999)s",
            "%(year-2018)s",
            "%(month-24300)s",
            "%(shortdate-800000)s",
            "%(hour-18000000)s",
            "%(unixtime+9223372036854775807)s",
        ] {
            assert!(render(command, &at("2018-03-14T09:05:07")).is_err(), "{command}");
        }
        assert!(render("%(month-1)s", &at("2018-03-31T00:00:00")).is_err());
        assert!(render("%(year+1)s", &at("2016-02-29T00:00:00")).is_err());
        let error = render("50% done", &at("2018-03-31T00:00:00")).unwrap_err();
        let wanted = "Unparseable command '50% done'. Hint: do you need to escape % chars?";
        assert_eq!(error.to_string(), wanted);
    }
}
