//! A map with known keys, and a word about the others.

use std::{fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_yaml::Spanned;

/// A part of the file.
pub(super) trait Section: Default {
    /// Its keys.
    const KEYS: &'static [&'static str];

    /// Takes the value of one of [`Self::KEYS`]; false for any other key, whose value is left alone.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// A part of the file with the keys that nobody knows, and their lines.
#[derive(Debug, Default)]
pub(super) struct Read<S> {
    pub(super) section: S,
    pub(super) unknown: Vec<(String, u64)>,
}

impl<'de, S: Section> Deserialize<'de> for Read<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys(PhantomData))
    }
}

struct Keys<S>(PhantomData<S>);

impl<'de, S: Section> Visitor<'de> for Keys<S> {
    type Value = Read<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = Read { section: S::default(), unknown: Vec::new() };
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let known = S::KEYS.contains(&key.value.as_str());
            if !(known && read.section.take(&key.value, &mut map)?) {
                map.next_value::<IgnoredAny>()?;
                read.unknown.push((key.value, key.referenced.line()));
            }
        }
        Ok(read)
    }
}
