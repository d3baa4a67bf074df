//! Values of soa-configs, checked while they are read, so that a fault points at its place.

use std::{borrow::Cow, num::NonZeroU16, time::Duration};

use crate::{
    Mode, Namespace, Place,
    fields::Input,
    yaml::{Fault, Value},
};

/// Longer ones would not fit into a line of HAProxy's configuration.
const MAX_TEXT: usize = 1024;
/// HAProxy's timers are 32 bits wide and signed.
const MAX_MILLIS: i64 = i32::MAX as i64;
const MAX_SECONDS: f64 = 3600.0;

/// `proxy_port`; a negative one means the same as none (synapse.md §8.3).
pub(crate) enum ProxyPort {
    Listen(NonZeroU16),
    Negative,
}

/// A TCP port.
pub(crate) fn port(input: Input<'_>) -> Result<NonZeroU16, Fault> {
    whole(input, "a port from 1 to 65535", to_port)
}

pub(crate) fn proxy_port(input: Input<'_>) -> Result<ProxyPort, Fault> {
    whole(input, "a port from 1 to 65535, or null", |number| {
        if number < 0 {
            return Some(ProxyPort::Negative);
        }
        to_port(number).map(ProxyPort::Listen)
    })
}

fn to_port(number: i64) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

/// `timeout_*_ms`.
pub(crate) fn millis(input: Input<'_>) -> Result<Duration, Fault> {
    whole(input, "milliseconds, a whole number up to 2147483647", |number| {
        u64::try_from(number).ok().filter(|_| number <= MAX_MILLIS).map(Duration::from_millis)
    })
}

/// `retries`.
pub(crate) fn count(input: Input<'_>) -> Result<u16, Fault> {
    whole(input, "a whole number up to 65535", |number| u16::try_from(number).ok())
}

/// Any whole number.
pub(crate) fn int(input: Input<'_>) -> Result<i64, Fault> {
    whole(input, "a whole number", Some)
}

/// A whole number, or its digits in quotes.
fn whole<T>(
    input: Input<'_>,
    expected: &str,
    convert: impl Fn(i64) -> Option<T>,
) -> Result<T, Fault> {
    let number = match &input.node.value {
        Value::Int(int) => int.as_i64(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(convert).ok_or_else(|| input.expected(expected))
}

/// `healthcheck_timeout_s`.
pub(crate) fn seconds(input: Input<'_>) -> Result<Duration, Fault> {
    let seconds = match &input.node.value {
        Value::Int(int) => int.to_f64(),
        Value::Float(float) => Some(*float),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    seconds
        .filter(|seconds| *seconds > 0.0 && *seconds <= MAX_SECONDS)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| input.expected("seconds above 0 and up to 3600"))
}

/// A text that a function understands, else the fault it returns, at the place of the text.
pub(crate) fn parsed<T>(
    input: Input<'_>,
    parse: impl FnOnce(String) -> Result<T, String>,
) -> Result<T, Fault> {
    parse(input.text()?).map_err(|message| Fault::new(input.node.span, message))
}

pub(crate) fn mode(input: Input<'_>) -> Result<Mode, Fault> {
    parsed(input, |text| match text.as_str() {
        "http" => Ok(Mode::Http),
        "https" => Ok(Mode::Https),
        "tcp" => Ok(Mode::Tcp),
        _ => Err(format!("{:?} is no mode; expected http, https or tcp", shortened(&text))),
    })
}

/// `healthcheck_uri`: leading slashes become one.
pub(crate) fn uri(input: Input<'_>) -> Result<String, Fault> {
    parsed(input, |text| {
        let path = text.trim_start_matches('/');
        if path.chars().all(|c| c.is_ascii_graphic()) && path.len() < MAX_TEXT {
            return Ok(format!("/{path}"));
        }
        Err(format!(
            "{:?} is no path; expected up to {MAX_TEXT} visible ASCII characters, no blanks",
            shortened(&text)
        ))
    })
}

/// The name of a header: an RFC 9110 token.
pub(crate) fn header_name(input: Input<'_>) -> Result<String, Fault> {
    parsed(input, |text| {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if !text.is_empty() && text.len() <= MAX_TEXT && text.chars().all(token) {
            return Ok(text);
        }
        Err(format!("{:?} is no header name; expected letters, digits and `-`", shortened(&text)))
    })
}

/// The value of a header.
pub(crate) fn header_value(input: Input<'_>) -> Result<String, Fault> {
    parsed(input, |text| {
        if text.len() <= MAX_TEXT && !text.contains(char::is_control) {
            return Ok(text);
        }
        Err(format!(
            "{:?} is no header value; expected up to {MAX_TEXT} bytes and no control characters",
            shortened(&text)
        ))
    })
}

/// A location type: a word that can be one half of a [`Place`].
pub(crate) fn location_type(input: Input<'_>) -> Result<String, Fault> {
    if input.node.as_text().is_none() {
        return Err(input.expected("a text"));
    }
    parsed(input, |text| match Place::new(&text, "any") {
        Ok(_) => Ok(text),
        Err(_) => Err(format!("{:?} is no location type; expected a word", shortened(&text))),
    })
}

/// `type:location`.
pub(crate) fn place(input: Input<'_>) -> Result<Place, Fault> {
    parsed(input, |text| text.parse().map_err(|error| format!("{error}")))
}

/// `service.namespace`.
pub(crate) fn namespace(input: Input<'_>) -> Result<Namespace, Fault> {
    parsed(input, |text| text.parse().map_err(|error| format!("{error}")))
}

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
