//! From the text of a scalar to its value, by its tag or by what it looks like.

use super::{
    node::Value,
    number,
    time::{self, Moment},
};

/// The prefix of the tags written `!!name`.
pub(super) const STANDARD: &str = "tag:yaml.org,2002:";

/// What a scalar stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Time,
    Text,
    Binary,
    /// `<<`: as a key, the value is merged into the map.
    Merge,
    /// `=`: only as a key, where it is a text.
    Default,
}

impl Kind {
    /// What a text is that has neither quotes nor a tag. The order counts: a float before an int.
    pub(super) fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "true" | "True" | "TRUE" | "false"
            | "False" | "FALSE" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => Self::Bool,
            "<<" => Self::Merge,
            "=" => Self::Default,
            _ if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => Self::Text,
            _ if number::is_float(text) => Self::Float,
            _ if number::is_int(text) => Self::Int,
            _ if time::recognise(text, true).is_some() => Self::Time,
            _ => Self::Text,
        }
    }

    /// By the name behind `!!`. `None`: it is no tag of a scalar.
    pub(super) fn of_tag(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "timestamp" => Self::Time,
            "str" => Self::Text,
            "binary" => Self::Binary,
            "merge" => Self::Merge,
            "value" => Self::Default,
            _ => return None,
        })
    }

    /// The value. The error says what the text is not.
    pub(super) fn value(self, text: &str) -> Result<Value, &'static str> {
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool => boolean(text).map(Value::Bool).ok_or("a boolean"),
            Self::Int => {
                number::int(text).map(Value::Int).ok_or("a whole number of at most 4300 digits")
            }
            Self::Float => number::float(text).map(Value::Float).ok_or("a number"),
            Self::Time => moment(text).ok_or("a date or time that exists"),
            Self::Text => Ok(text.into()),
            Self::Binary => {
                base64(text).map(|bytes| Value::Bytes(bytes.into())).ok_or("base64 text")
            }
            Self::Merge => Err("a value: unquoted `<<` can only be a key"),
            Self::Default => Err("a value: unquoted `=` can only be a key"),
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

fn moment(text: &str) -> Option<Value> {
    Some(match time::recognise(text, false)?.resolve()? {
        Moment::Date(date) => Value::Date(date),
        Moment::Time(time) => Value::Time(time),
    })
}

/// Base64 as Python decodes it: what is outside the alphabet is skipped, and `=` ends a group of four.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count, mut padding) = (0_u32, 0, 0_usize);
    for byte in text.bytes() {
        if !byte.is_ascii() {
            return None;
        }
        if byte == b'=' {
            padding += usize::from(count >= 2);
            // A full group ends the text; what follows is not looked at.
            if count >= 2 && count + padding >= 4 {
                return Some(bytes);
            }
            continue;
        }
        let Some(value) = sextet(byte) else { continue };
        padding = 0;
        bits = bits << 6 | u32::from(value);
        count = (count + 1) % 4;
        if count != 1 {
            let shift = [0, 0, 4, 2][count];
            bytes.push(u8::try_from(bits >> shift & 0xff).unwrap_or_default());
        }
    }
    (count == 0).then_some(bytes)
}

fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
