//! Lines that libyaml takes with less indentation, or with tabs for it, than the parser does.
//!
//! To libyaml, indentation means nothing inside of quotes and brackets. The parser wants the further
//! lines there deeper than what is around, and by spaces. Such a line is given more spaces and the text is
//! read again; what follows sees the places in the text as it was written.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Marker, ScanError};

use super::{MAX_BYTES, Span};

/// How much is read again at most: enough for thousands of lines of a real file, and a second for the
/// largest one.
const MAX_WORK: usize = 16 * MAX_BYTES;

/// A text with more spaces at the start of some lines.
pub(super) struct Padded<'t> {
    text: Cow<'t, str>,
    /// Spaces that each of the lines got: more than anything is indented by.
    width: usize,
    /// The lines, in their order.
    pads: Vec<Pad>,
    /// Bytes that were read.
    work: usize,
}

struct Pad {
    /// Counted from 1.
    line: usize,
    /// Where its spaces begin.
    at: usize,
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
        let before = self.text.get(..mark.byte_offset().unwrap_or(0)).unwrap_or_default();
        let at = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let line = self.text.get(at..).unwrap_or_default();
        let helps = match error.kind() {
            ErrorKind::InvalidQuotedScalarIndent => !is_border(line),
            ErrorKind::TabInIndentation => true,
            ErrorKind::TabInBlockIndentation => line.starts_with('\t'),
            _ => false,
        };
        // A line that has its spaces has another fault.
        let is_new = self.pads.last().is_none_or(|last| last.at < at);
        self.work += self.text.len() + self.width;
        if !helps || !is_new || self.work > MAX_WORK {
            return false;
        }
        self.text.to_mut().insert_str(at, &" ".repeat(self.width));
        self.pads.push(Pad { line: mark.line(), at });
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
        let spaces = self.width.min(at - last.at);
        let column = if last.line == mark.line() { mark.col() - spaces } else { mark.col() };
        (at - (count - 1) * self.width - spaces, column)
    }
}

/// Whether a document ends at this line, which it does inside of quotes, too.
fn is_border(line: &str) -> bool {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}
