//! Numbers as YAML 1.1 writes them: which texts are numbers, and which ones.

use super::int::Int;

/// Takes a sign off.
fn unsigned(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(allowed)
}

fn digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// `:0` to `:59`, at least once.
fn is_sexagesimal_tail(text: &str) -> bool {
    let Some(parts) = text.strip_prefix(':') else { return false };
    parts.split(':').all(|part| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [ten, digit] => (b'0'..=b'5').contains(ten) && digit.is_ascii_digit(),
        _ => false,
    })
}

/// Divides before the first colon.
fn at_colon(text: &str) -> (&str, &str) {
    text.find(':').map_or((text, ""), |at| text.split_at(at))
}

/// Whether a text without a tag is a whole number.
pub(super) fn is_int(text: &str) -> bool {
    let (_, text) = unsigned(text);
    if let Some(bits) = text.strip_prefix("0b") {
        return !bits.is_empty() && all(bits, |b| matches!(b, b'0' | b'1' | b'_'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && all(hex, |b| b.is_ascii_hexdigit() || b == b'_');
    }
    if let Some(octal) = text.strip_prefix('0') {
        return all(octal, |b| matches!(b, b'0'..=b'7' | b'_'));
    }
    let (whole, tail) = at_colon(text);
    whole.starts_with(|c: char| c.is_ascii_digit())
        && all(whole, digit_or_underscore)
        && (tail.is_empty() || is_sexagesimal_tail(tail))
}

/// Whether a text without a tag is a float. It needs a point, and an exponent needs a sign.
pub(super) fn is_float(text: &str) -> bool {
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (_, bare) = unsigned(text);
    if matches!(bare, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let Some((whole, fraction)) = bare.split_once('.') else { return false };
    if whole.is_empty() {
        // Only without a sign.
        return bare.len() == text.len()
            && fraction.starts_with(|c: char| c.is_ascii_digit())
            && is_fraction(fraction);
    }
    if !whole.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let (digits, tail) = at_colon(whole);
    if !all(digits, digit_or_underscore) {
        return false;
    }
    if tail.is_empty() {
        is_fraction(fraction)
    } else {
        is_sexagesimal_tail(tail) && all(fraction, digit_or_underscore)
    }
}

/// Digits, and perhaps an exponent.
fn is_fraction(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
        return all(text, digit_or_underscore);
    };
    all(digits, digit_or_underscore)
        && exponent.len() > 1
        && exponent.starts_with(['+', '-'])
        && all(&exponent[1..], |b| b.is_ascii_digit())
}

/// The whole number that a text is. `None`: Python would fail, as with `0x_` or `!!int x`.
pub(super) fn int(text: &str) -> Option<Int> {
    let text = text.replace('_', "");
    let (negative, text) = unsigned(&text);
    if text == "0" {
        return Some(Int::Small(0));
    }
    for (prefix, radix) in [("0b", 2), ("0x", 16), ("0o", 8), ("0", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return Int::parse(negative, digits, radix);
        }
    }
    if text.contains(':') {
        return Int::sexagesimal(negative, text.split(':'));
    }
    // Python's own reader takes blanks and one more sign.
    let (again, digits) = unsigned(text.trim());
    Int::parse(negative != again, digits, 10)
}

/// The float that a text is. `None`: Python would fail, as with `!!float x`.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_lowercase();
    let (negative, text) = unsigned(&text);
    let size = match text {
        ".inf" => f64::INFINITY,
        // The sign of what is no number shows nowhere.
        ".nan" => return Some(f64::NAN),
        _ if text.contains(':') => {
            let (mut base, mut sum) = (1.0, 0.0);
            for part in text.rsplit(':') {
                sum += plain_float(part)? * base;
                base *= 60.0;
            }
            sum
        }
        _ => plain_float(text)?,
    };
    Some(if negative { -size } else { size })
}

fn plain_float(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
