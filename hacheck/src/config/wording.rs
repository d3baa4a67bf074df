//! Faults of the file, in the words of those who write it.

use std::{borrow::Cow, path::Path};

use serde_yaml::{Error, MessageFormatter, UserMessageFormatter};

/// The fault with file, line and the text around it.
pub(super) fn render(path: &Path, error: &Error) -> String {
    let name = path.display().to_string();
    let shown = error.render_with_options(serde_yaml::render_options! {
        formatter: &Wording,
        source_name: Some(&name),
    });
    shown.strip_prefix("error: ").map(str::to_owned).unwrap_or(shown)
}

struct Wording;

impl MessageFormatter for Wording {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        match error {
            Error::Unexpected { expected: "mapping start", .. } => {
                "expected settings, a line `key: value` each".into()
            }
            Error::Unexpected { expected: "sequence start", .. } => {
                "expected a list, such as [a, b]".into()
            }
            Error::Unexpected { expected: "string scalar", .. } => "expected a text".into(),
            Error::NullIntoString { .. } => {
                "expected a text, found nothing; leave the line out to have the default".into()
            }
            Error::InvalidScalar { ty: "boolean", .. } => "expected true or false".into(),
            // Every other kind of scalar that is asked for is a number.
            Error::InvalidScalar { .. } => "expected a number".into(),
            _ => UserMessageFormatter.format_message(error),
        }
    }
}
