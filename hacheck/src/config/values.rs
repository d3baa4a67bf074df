//! Values that are checked while they are read, so that a fault points at its place.

use std::{fmt, time::Duration};

use hyper::header::HeaderName;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::{LogTarget, OpenFiles};
use crate::{
    network::Network,
    settings::{PassedHeader, Secret},
};

/// Nothing here is meant to take longer than a day.
const LONGEST: f64 = 86_400.0;

/// Seconds from 0 to a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds(pub(super) Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        let duration = Some(seconds).filter(|seconds| (0.0..=LONGEST).contains(seconds));
        duration.map(|seconds| Self(Duration::from_secs_f64(seconds))).ok_or_else(|| {
            D::Error::custom(format_args!("expected seconds from 0 to {LONGEST}, found {seconds}"))
        })
    }
}

/// Seconds above 0, up to a day: with no time at all every service would be down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeout(pub(super) Duration);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Seconds(duration) = Seconds::deserialize(deserializer)?;
        if duration.is_zero() {
            return Err(D::Error::custom("expected more than 0 seconds"));
        }
        Ok(Self(duration))
    }
}

/// What a client must know to set marks from anywhere. An empty one would be everybody's.
#[derive(Clone, Debug)]
pub(super) struct Token(pub(super) Secret);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() < 8 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(D::Error::custom("expected at least 8 visible ASCII characters"));
        }
        Ok(Self(Secret::new(text)))
    }
}

/// `true` or `false`, not in quotes: to the old program every text but the empty one was true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch(pub(super) bool);

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchVisitor)
    }
}

struct SwitchVisitor;

impl Visitor<'_> for SwitchVisitor {
    type Value = Switch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Switch, E> {
        Ok(Switch(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Switch, E> {
        match value {
            0 | 1 => Ok(Switch(value == 1)),
            _ => Err(E::custom("expected true or false")),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Switch, E> {
        self.visit_u64(u64::try_from(value).unwrap_or(u64::MAX))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Switch, E> {
        Err(E::custom(format_args!(
            "expected true or false, found the text {value:?}, which an old hacheck takes for true; \
             write it without quotes"
        )))
    }
}

/// Names of headers, as a list: of a single text the old program took each letter for a name.
#[derive(Clone, Debug)]
pub(super) struct Headers(pub(super) Vec<HeaderName>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of header names, such as [Host, X-Mode]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
        let mut names = Vec::new();
        while let Some(Header(name)) = list.next_element()? {
            names.push(name);
        }
        Ok(Headers(names))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Headers, E> {
        Err(E::custom(format_args!("expected a list; write [{value}]")))
    }
}

/// The name of a header.
#[derive(Clone, Debug)]
pub(super) struct Header(pub(super) HeaderName);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let parsed = name.parse::<PassedHeader>();
        parsed
            .map(|header| Self(header.into()))
            .map_err(|error| D::Error::custom(format_args!("{error}, found {name:?}")))
    }
}

/// A list of networks.
#[derive(Clone, Debug)]
pub(super) struct Networks(pub(super) Vec<Network>);

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let networks = texts.iter().map(|text| text.parse().map_err(D::Error::custom));
        networks.collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for LogTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        match path.as_str() {
            "stderr" => Ok(Self::Stderr),
            "stdout" => Ok(Self::Stdout),
            "" => Err(D::Error::custom("expected stderr, stdout or the path of a file")),
            _ => Ok(Self::File(path.into())),
        }
    }
}

impl<'de> Deserialize<'de> for OpenFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(number) if number >= 64 => Ok(Self::Exactly(number)),
            Err(_) if text == "max" => Ok(Self::Max),
            _ => Err(D::Error::custom("expected `max` or a number from 64 up")),
        }
    }
}
