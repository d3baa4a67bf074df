//! Places: a location type and value, `region:uswest1-prod`.

use std::{fmt, str::FromStr, sync::Arc};

use crate::names;

/// A location type and value. Written `type:location`; cheap to clone.
///
/// It becomes a znode name and a label of records, so both halves keep to letters, digits, `_`, `-`
/// and `.`. At most 200 characters in all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    text: Arc<str>,
    colon: usize,
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a TYPE:LOCATION place (letters, digits, `_`, `-`, `.`; at most 200 characters)",
    .0.escape_debug()
)]
pub struct InvalidPlace(String);

impl Place {
    /// # Errors
    /// When a half is empty or holds a character outside the alphabet, or both are too long.
    pub fn new(kind: &str, location: &str) -> Result<Self, InvalidPlace> {
        format!("{kind}:{location}").parse()
    }

    /// The location type, `region`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The location, `uswest1-prod`.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// `type:location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let word = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        let fits = text.len() <= names::MAX_LENGTH;
        match text.split_once(':') {
            Some((kind, location)) if fits && word(kind) && word(location) => {
                Ok(Self { text: text.into(), colon: kind.len() })
            }
            _ => Err(InvalidPlace(text.chars().take(names::MAX_LENGTH).collect())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_divided_at_the_colon() {
        let place: Place = "region:uswest1-prod".parse().unwrap();
        assert_eq!((place.kind(), place.location()), ("region", "uswest1-prod"));
        assert_eq!(Place::new("region", "uswest1-prod").unwrap(), place);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "region", ":x", "region:", "region:a b", "region:a/b", "a:b:c", "region:.."]
        {
            assert!(text.parse::<Place>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn two_hundred_characters_are_taken_and_one_more_is_not() {
        let location = "x".repeat(193);
        assert_eq!(Place::new("region", &location).unwrap().as_str().len(), 200);
        let refused = Place::new("region", &format!("{location}x")).unwrap_err().to_string();
        assert!(refused.contains("at most 200"), "{refused}");
        assert!(Place::new("region", &"x".repeat(1 << 20)).unwrap_err().to_string().len() < 300);
    }
}
