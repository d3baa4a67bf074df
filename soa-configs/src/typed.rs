//! YAML of soa-configs, read with limits, and faults shown with the text around them.
//!
//! Merge keys, last duplicate wins, `0755` is octal (marathon-sync.md §2.1).

use std::{borrow::Cow, fmt, hash::Hash, marker::PhantomData, path::Path};

use indexmap::IndexMap;
use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_yaml::{Error, MessageFormatter, UserMessageFormatter};

use crate::{
    file::{FileError, Shown},
    values::shortened_to,
};

/// Real files have a depth of 4; a deep one could only be meant to exhaust the stack.
const MAX_DEPTH: usize = 32;
/// Messages may quote a whole value; this many characters of one are enough.
const MAX_MESSAGE: usize = 300;

/// Parses a document into `T`.
pub(crate) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, FileError> {
    parse_with(file, text, PhantomData)
}

/// Parses a document with a seed, for values that need to know more than their own text.
pub(crate) fn parse_with<'de, S>(
    file: &Path,
    text: &'de str,
    seed: S,
) -> Result<S::Value, FileError>
where
    S: DeserializeSeed<'de>,
{
    let options = serde_yaml::options! {
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 100_000,
            max_events: 250_000,
        },
    };
    serde_yaml::with_deserializer_from_str_with_options(text, options, |de| seed.deserialize(de))
        .map_err(|error| FileError::Yaml { file: file.to_owned(), error: Box::new(error) })
}

/// The fault with the lines around it. Whoever shows it says that it is an error.
pub(crate) fn render(file: &Path, error: &Error) -> String {
    let name = Shown(file).to_string();
    let shown = error.render_with_options(serde_yaml::render_options! {
        formatter: &Wording,
        source_name: Some(&name),
    });
    shown.strip_prefix("error: ").map(str::to_owned).unwrap_or(shown)
}

/// The fault on one line.
pub(crate) fn one_line(file: &Path, error: &Error) -> String {
    let fault = error.without_snippet().render_with_formatter(&Wording);
    format!("{}: {}", Shown(file), crate::file::one_line(&fault))
}

/// Says what was expected in the words of people who write configuration.
struct Wording;

impl MessageFormatter for Wording {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        let message = match error {
            Error::Unexpected { expected: "mapping start", .. } => "expected a map".into(),
            Error::Unexpected { expected: "sequence start", .. } => "expected a list".into(),
            Error::Unexpected { expected: "string scalar", .. } => "expected a text".into(),
            Error::NullIntoString { .. } => "expected a text, found nothing".into(),
            Error::InvalidScalar { ty: "boolean", .. } => "expected true or false".into(),
            _ => UserMessageFormatter.format_message(error),
        };
        match shortened_to(MAX_MESSAGE, &message) {
            Cow::Borrowed(_) => message,
            Cow::Owned(short) => short.into(),
        }
    }
}

/// The top level of a file: a map whose keys name something, in file order. Nothing at all is an
/// empty map.
///
/// The function judges a key: what it names and the seed that reads its value, `None` to skip it, or
/// why it is no name.
pub(crate) struct Entries<F>(pub(crate) F);

impl<'de, F, K, S> DeserializeSeed<'de> for Entries<F>
where
    F: FnMut(&str) -> Result<Option<(K, S)>, String>,
    K: Eq + Hash,
    S: DeserializeSeed<'de>,
{
    type Value = IndexMap<K, S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Self::Value, D::Error> {
        de.deserialize_option(self)
    }
}

impl<'de, F, K, S> Visitor<'de> for Entries<F>
where
    F: FnMut(&str) -> Result<Option<(K, S)>, String>,
    K: Eq + Hash,
    S: DeserializeSeed<'de>,
{
    type Value = IndexMap<K, S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(IndexMap::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, de: D) -> Result<Self::Value, D::Error> {
        de.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = IndexMap::new();
        while let Some(entry) = map.next_key_seed(Key(&mut self.0))? {
            match entry {
                Some((key, seed)) => {
                    entries.insert(key, map.next_value_seed(seed)?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(entries)
    }
}

/// Judges a key while the parser still stands on it, so that a fault points there.
struct Key<'f, F>(&'f mut F);

impl<'de, F, T> DeserializeSeed<'de> for Key<'_, F>
where
    F: FnMut(&str) -> Result<T, String>,
{
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<T, D::Error> {
        let key = <String as serde::Deserialize>::deserialize(de)?;
        (self.0)(&key).map_err(D::Error::custom)
    }
}
