//! YAML 1.1 exactly as PyYAML's safe loader reads it, with the place of every key and value
//! (marathon-sync.md §2.1).
//!
//! The hash of a configuration depends on every type: `1e3` is a text, `0755` is 493, `12:30` is 750,
//! `yes` is true, and an integer is no float. Where PyYAML's two scanners differ, the one of libyaml
//! counts, which is the one in use.
//!
//! What a document can cost is bounded: [`MAX_BYTES`], [`MAX_DEPTH`], [`MAX_NODES`].

mod block;
mod characters;
mod compose;
mod escapes;
mod fault;
mod frame;
mod int;
mod key;
mod node;
mod number;
mod padded;
mod scalar;
mod tabs;
mod time;

use std::borrow::Cow;

pub(crate) use self::key::identity;
pub use self::{
    fault::Fault,
    int::Int,
    node::{Entry, Map, Node, Span, Value},
    time::{Date, Time},
};

/// The largest text that is parsed. Real files have a few KiB.
pub const MAX_BYTES: usize = 1 << 20;
/// How deep lists and maps may be nested, aliases counted in full. Real files have a depth of 5.
pub const MAX_DEPTH: usize = 64;
/// How many values a document may stand for, aliases counted in full.
pub const MAX_NODES: usize = 100_000;

/// Parses a text of one document. A text without a document is null, as PyYAML has it.
///
/// # Errors
/// The first fault. A value that contains itself, raw U+2028 and U+2029, what exceeds the limits, and a
/// few forms that nobody writes (`docs/differences.md`) are faults here and not in PyYAML.
pub fn parse(text: &str) -> Result<Node, Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault::new(Span::default(), "the text is larger than 1 MiB"));
    }
    characters::check(text)?;
    let found = compose::compose(&with_plain_line_ends(text))?;
    let nothing = Span { line: 1, column: 1, ..Span::default() };
    Ok(found.unwrap_or(Node { value: Value::Null, span: nothing }))
}

/// NEL ends a line in YAML 1.1 and is read as a line feed; the parser knows only YAML 1.2's ends. The
/// one that takes its place has as many bytes, so that places stay those of the text.
fn with_plain_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\u{85}') {
        return Cow::Owned(text.replace('\u{85}', "\r\n"));
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests;
