//! Labels that an operator gives to records: a YAML map of texts (nerve.md §5.5).

use std::path::Path;

use indexmap::IndexMap;

use crate::{
    fields::{self, Input},
    file::{self, FileError},
    values,
    yaml::{self, Fault, Value},
};

/// The longest name or value of a label, in bytes.
const LONGEST: usize = 256;

/// The most labels in one file.
const MOST: usize = 256;

/// Reads a file of labels. An empty one has none.
///
/// # Errors
/// When the file cannot be read or parsed, or holds anything but texts.
pub fn read(file: &Path) -> Result<IndexMap<String, String>, FileError> {
    parse(file, &file::read(file)?)
}

/// Parses the text of a file of labels; `file` is for the messages.
///
/// # Errors
/// As [`read`].
pub fn parse(file: &Path, text: &str) -> Result<IndexMap<String, String>, FileError> {
    yaml::parse(text)
        .and_then(|document| {
            if document.is_null() {
                return Ok(IndexMap::new());
            }
            let input = Input { node: &document, text };
            if input.map()?.iter().count() > MOST {
                return Err(input.expected(&format!("at most {MOST} labels")));
            }
            fields::map(input, name, value)
        })
        .map_err(|fault| FileError::fault(file, text, &fault))
}

fn name(input: Input<'_>) -> Result<String, Fault> {
    let name = value(input)?;
    if name.is_empty() { Err(input.expected("the name of a label")) } else { Ok(name) }
}

/// Readers compare labels with texts, so a number would never be found.
fn value(input: Input<'_>) -> Result<String, Fault> {
    if !matches!(input.node.value, Value::Text(_)) {
        return Err(input.expected("a text (write it in quotes)"));
    }
    values::parsed(input, |text| {
        if text.len() <= LONGEST && !text.chars().any(char::is_control) {
            return Ok(text);
        }
        let shown = values::shortened(&text);
        Err(format!("{shown:?} is no label: at most {LONGEST} bytes, no control characters"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        let labels = parse(Path::new("web.main31001"), text).map_err(|error| error.one_line())?;
        Ok(labels.into_iter().collect())
    }

    #[test]
    fn a_map_of_texts_is_taken_and_nothing_is_too() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let labels = parsed("canary: 'yes'\nregion:x: ''\n").unwrap();
        assert_eq!(labels, [pair("canary", "yes"), pair("region:x", "")]);
        assert_eq!(parsed("{\"a\": \"b\"}").unwrap(), [pair("a", "b")]);
        assert_eq!(parsed("# nothing\n").unwrap(), []);
    }

    #[test]
    fn what_no_reader_would_find_is_refused_with_its_place() {
        for (text, fault) in [
            ("a: 1", "expected a text (write it in quotes), found 1 at line 1, column 4"),
            ("a: yes", "write it in quotes"),
            ("a:", "write it in quotes"),
            ("[a]", "expected a map"),
            ("'': b", "the name of a label"),
            ("a: \"x\\ny\"", "no control characters"),
            ("a: {", "web.main31001"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(fault), "{text:?}: {error}");
        }
        let many: String = (0..257).map(|n| format!("l{n}: x\n")).collect();
        assert!(parsed(&many).unwrap_err().contains("at most 256 labels"));
    }
}
