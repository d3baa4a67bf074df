//! Values of soa-configs, checked while they are read, so that a fault points at its place.

use std::{borrow::Cow, fmt, num::NonZeroU16, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use crate::{Mode, Namespace, Place};

/// Longer ones would not fit into a line of HAProxy's configuration.
const MAX_TEXT: usize = 1024;
/// HAProxy's timers are 32 bits wide and signed.
const MAX_MILLIS: i64 = i32::MAX as i64;
const MAX_SECONDS: f64 = 3600.0;
const SECONDS: &str = "seconds above 0 and up to 3600";

/// A TCP port.
#[derive(Clone, Copy)]
pub(crate) struct Port(pub(crate) NonZeroU16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(Whole { expected: "a port from 1 to 65535", convert: port }).map(Self)
    }
}

/// `proxy_port`; a negative one means the same as none (synapse.md §8.3).
pub(crate) enum ProxyPort {
    Listen(NonZeroU16),
    Negative,
}

impl<'de> Deserialize<'de> for ProxyPort {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let convert = |n| if n < 0 { Some(Self::Negative) } else { port(n).map(Self::Listen) };
        de.deserialize_any(Whole { expected: "a port from 1 to 65535, or null", convert })
    }
}

fn port(number: i64) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

/// `timeout_*_ms`.
pub(crate) struct Millis(pub(crate) Duration);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let expected = "milliseconds, a whole number up to 2147483647";
        let convert =
            |n| u64::try_from(n).ok().filter(|_| n <= MAX_MILLIS).map(Duration::from_millis);
        de.deserialize_any(Whole { expected, convert }).map(Self)
    }
}

/// `retries`.
pub(crate) struct Count(pub(crate) u16);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let convert = |n| u16::try_from(n).ok();
        de.deserialize_any(Whole { expected: "a whole number up to 65535", convert }).map(Self)
    }
}

/// A whole number, also as a text of digits.
struct Whole<F> {
    expected: &'static str,
    convert: F,
}

impl<'de, T, F: Fn(i64) -> Option<T>> Visitor<'de> for Whole<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        (self.convert)(number).ok_or_else(|| fault(self.expected, number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let converted = i64::try_from(number).ok().and_then(&self.convert);
        converted.ok_or_else(|| fault(self.expected, number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let converted = text.parse().ok().and_then(&self.convert);
        converted.ok_or_else(|| fault(self.expected, format_args!("{:?}", shortened(text))))
    }
}

/// Not [`de::Error::invalid_value`]: the parser would show the place of the key.
fn fault<E: de::Error>(expected: &str, found: impl fmt::Display) -> E {
    E::custom(format_args!("expected {expected}, found {found}"))
}

/// `healthcheck_timeout_s`.
pub(crate) struct Seconds(pub(crate) Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(SecondsVisitor).map(Self)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECONDS)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
        let in_range = Some(seconds).filter(|s| *s > 0.0 && *s <= MAX_SECONDS);
        in_range
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .filter(|timeout| !timeout.is_zero())
            .ok_or_else(|| fault(SECONDS, seconds))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
        let whole = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.visit_f64(whole.into())
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        self.visit_u64(u64::try_from(seconds).unwrap_or(0))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        match text.parse() {
            Ok(seconds) => self.visit_f64(seconds),
            Err(_) => Err(fault(SECONDS, format_args!("{:?}", shortened(text)))),
        }
    }
}

/// Implements [`Deserialize`] for a type by a function from text.
macro_rules! from_text {
    ($type:ty, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                let parse: fn(String) -> Result<Self, String> = $parse;
                parse(String::deserialize(de)?).map_err(de::Error::custom)
            }
        }
    };
}

from_text!(Mode, |text| match text.as_str() {
    "http" => Ok(Self::Http),
    "https" => Ok(Self::Https),
    "tcp" => Ok(Self::Tcp),
    _ => Err(format!("{:?} is no mode; expected http, https or tcp", shortened(&text))),
});

/// `healthcheck_uri`: leading slashes become one.
pub(crate) struct Uri(pub(crate) String);

from_text!(Uri, |text| {
    let path = text.trim_start_matches('/');
    if path.chars().all(|c| c.is_ascii_graphic()) && path.len() < MAX_TEXT {
        return Ok(Self(format!("/{path}")));
    }
    Err(format!(
        "{:?} is no path; expected up to {MAX_TEXT} visible ASCII characters, no blanks",
        shortened(&text)
    ))
});

/// The name of a header: an RFC 9110 token.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct HeaderName(pub(crate) String);

from_text!(HeaderName, |text| {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.len() <= MAX_TEXT && text.chars().all(token) {
        return Ok(Self(text));
    }
    Err(format!("{:?} is no header name; expected letters, digits and `-`", shortened(&text)))
});

/// The value of a header.
pub(crate) struct HeaderValue(pub(crate) String);

from_text!(HeaderValue, |text| {
    if text.len() <= MAX_TEXT && !text.contains(char::is_control) {
        return Ok(Self(text));
    }
    Err(format!(
        "{:?} is no header value; expected up to {MAX_TEXT} bytes and no control characters",
        shortened(&text)
    ))
});

/// A location type: a word that can be one half of a [`Place`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LocationType(pub(crate) String);

from_text!(LocationType, |text| match Place::new(&text, "any") {
    Ok(_) => Ok(Self(text)),
    Err(_) => Err(format!("{:?} is no location type; expected a word", shortened(&text))),
});

/// An entry of `registrations`.
pub(crate) struct Registration(pub(crate) Namespace);

from_text!(Registration, |text| text.parse().map(Self).map_err(|e| format!("{e}")));

/// The start of a text that somebody got wrong, for a message about it.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(60, text)
}

/// At most `limit` characters of a text, and dots if it goes on.
pub(crate) fn shortened_to(limit: usize, text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some((cut, _)) => Cow::Owned(format!("{}...", &text[..cut])),
    }
}
