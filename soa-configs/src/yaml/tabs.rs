//! Tabs where libyaml takes none and the parser does.

use std::ops::Range;

use super::{Fault, Span};

/// Refuses a tab at the start of a line and behind the dash of a list, outside of `free` (quoted texts
/// and what stands in brackets), the first of which comes first.
pub(super) fn check(text: &str, free: &[Range<usize>]) -> Result<(), Fault> {
    if !text.contains('\t') {
        return Ok(());
    }
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let found = line.find('\t').filter(|tab| is_indentation(&line[..*tab]));
        if let Some(tab) = found.filter(|tab| !is_free(free, start + tab)) {
            let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let span = Span {
                line: small(number + 1),
                // Only blanks and dashes stand before it.
                column: small(tab + 1),
                start: small(start + tab),
                end: small(start + tab + 1),
            };
            return Err(Fault::new(span, "a tab cannot indent")
                .rule("YAML indents by spaces")
                .remedy("put spaces in the place of the tab"));
        }
        start += line.len();
    }
    Ok(())
}

/// What is before a tab that would be indentation: nothing, or spaces and dashes with a dash at last.
fn is_indentation(before: &str) -> bool {
    before.is_empty()
        || (before.trim_end().ends_with('-')
            && before.split(' ').all(|word| matches!(word, "" | "-")))
}

fn is_free(free: &[Range<usize>], at: usize) -> bool {
    free.iter().any(|range| range.contains(&at))
}
