//! A value of which it is not known yet what it should be, so that one wrong entry spoils no other.

use indexmap::IndexMap;
use serde::Deserialize;

/// Keys of maps stay in the order of the file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Loose {
    Null(()),
    Switch(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Loose>),
    Map(IndexMap<String, Loose>),
}

impl Loose {
    /// # Errors
    /// What was expected instead.
    pub(super) fn text(&self) -> Result<String, &'static str> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            _ => Err("a text"),
        }
    }

    /// A scalar as text: header values may be numbers (nerve.md §13.12).
    pub(super) fn scalar(&self) -> Result<String, &'static str> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Whole(number) => Ok(number.to_string()),
            Self::Number(number) => Ok(number.to_string()),
            Self::Switch(on) => Ok(on.to_string()),
            _ => Err("a text"),
        }
    }

    pub(super) fn switch(&self) -> Result<bool, &'static str> {
        match self {
            Self::Switch(on) => Ok(*on),
            _ => Err("true or false"),
        }
    }

    /// A whole number, also written as text.
    pub(super) fn whole(&self) -> Result<u32, &'static str> {
        match self {
            Self::Whole(number) => u32::try_from(*number).ok(),
            Self::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
        .ok_or("a whole number")
    }

    pub(super) fn port(&self) -> Result<u16, &'static str> {
        let port = self.whole().ok().and_then(|number| u16::try_from(number).ok());
        port.filter(|port| *port != 0).ok_or("a port from 1 to 65535")
    }

    pub(super) fn number(&self) -> Result<f64, &'static str> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "seconds are small")]
            Self::Whole(number) => Ok(*number as f64),
            Self::Number(number) => Ok(*number),
            _ => Err("a number"),
        }
    }

    pub(super) fn list(&self) -> Result<&[Self], &'static str> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err("a list"),
        }
    }

    pub(super) fn map(&self) -> Result<&IndexMap<String, Self>, &'static str> {
        match self {
            Self::Map(map) => Ok(map),
            _ => Err("an object"),
        }
    }
}
