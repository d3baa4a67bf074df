//! Lines that libyaml takes with fewer spaces than the parser does.
//!
//! To libyaml, indentation means nothing inside of quotes and brackets. The parser wants the further
//! lines there deeper than what is around, and by spaces; and a space before the `#` of a comment in each
//! place. Such a line is given more spaces and the text is read again; what follows sees the places in the
//! text as it was written.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Marker, ScanError};

use super::{MAX_BYTES, Span};

/// How much is read again at most: enough for thousands of lines of a real file, and a second for the
/// largest one.
const MAX_WORK: usize = 16 * MAX_BYTES;

/// A text with more spaces at the start of some lines.
pub(super) struct Padded<'t> {
    text: Cow<'t, str>,
    /// More than anything is indented by.
    width: usize,
    /// In their order.
    pads: Vec<Pad>,
    /// Bytes that were read.
    work: usize,
}

/// Spaces that a line got.
struct Pad {
    /// Counted from 1.
    line: usize,
    /// Where they begin.
    at: usize,
    width: usize,
    /// How many all pads before it have.
    before: usize,
}

impl<'t> Padded<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let indentation =
            |line: &str| line.len() - line.trim_start_matches([' ', '-', '?', ':']).len();
        let width = text.split(['\n', '\r']).map(indentation).max().unwrap_or(0) + 1;
        Self { text: Cow::Borrowed(text), width, pads: Vec::new(), work: 0 }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text is worth another reading, in which the line of `error` has more spaces.
    ///
    /// A tab outside of quotes and brackets is not made good by this: [`super::tabs`] looks at the text as
    /// it was written.
    pub(super) fn mends(&mut self, error: &ScanError) -> bool {
        let mark = error.marker();
        let here = mark.byte_offset().unwrap_or(0);
        let (before, rest) = self.text.split_at_checked(here).unwrap_or_default();
        let start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let line = self.text.get(start..).unwrap_or_default();
        let (at, width) = match error.kind() {
            ErrorKind::InvalidQuotedScalarIndent if !is_border(line) => (start, self.width),
            ErrorKind::TabInIndentation => (start, self.width),
            ErrorKind::TabInBlockIndentation if line.starts_with('\t') => (start, self.width),
            ErrorKind::CommentNotSeparated if rest.starts_with('#') => (here, 1),
            _ => return false,
        };
        // A line that has its spaces has another fault.
        let is_new = self.pads.last().is_none_or(|last| last.at < at);
        self.work += self.text.len() + width;
        if !is_new || self.work > MAX_WORK {
            return false;
        }
        self.text.to_mut().insert_str(at, &" ".repeat(width));
        let before = self.pads.last().map_or(0, |last| last.before + last.width);
        self.pads.push(Pad { line: mark.line(), at, width, before });
        true
    }

    /// A place in the text as it was written.
    pub(super) fn span(&self, start: Marker, end: Marker) -> Span {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (from, column) = self.written(start);
        let (to, _) = self.written(end);
        Span {
            line: small(start.line()),
            column: small(column + 1),
            start: small(from),
            end: small(to.max(from)),
        }
    }

    /// The byte and the column, counted from 0.
    fn written(&self, mark: Marker) -> (usize, usize) {
        let at = mark.byte_offset().unwrap_or(0);
        let count = self.pads.partition_point(|pad| pad.at <= at);
        let Some(last) = count.checked_sub(1).and_then(|index| self.pads.get(index)) else {
            return (at, mark.col());
        };
        let spaces = last.width.min(at - last.at);
        let indented = if last.line == mark.line() { spaces } else { 0 };
        (at.saturating_sub(last.before + spaces), mark.col().saturating_sub(indented))
    }
}

/// Whether a document ends at this line, which it does inside of quotes, too.
fn is_border(line: &str) -> bool {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}
