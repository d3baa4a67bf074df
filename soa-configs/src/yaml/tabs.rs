//! Tabs where libyaml takes none and the parser does.

use std::ops::Range;

use super::{Fault, Span};

/// Refuses a tab at the start of a line and behind the dash of a list, outside of `free` (quoted texts
/// and what stands in brackets), which are in the order of their ends.
pub(super) fn check(text: &str, free: &[Range<usize>]) -> Result<(), Fault> {
    if !text.contains('\t') {
        return Ok(());
    }
    let free = outermost(free);
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let found = line.find('\t').filter(|tab| is_indentation(&line[..*tab]));
        if let Some(tab) = found.filter(|tab| !is_free(&free, start + tab)) {
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

/// The ranges that lie in no other one. Two of them overlap only when one holds the other.
fn outermost(ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut outermost: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        // A collection is closed after what is in it.
        while outermost.last().is_some_and(|last| range.start <= last.start) {
            outermost.pop();
        }
        outermost.push(range.clone());
    }
    outermost
}

fn is_free(outermost: &[Range<usize>], at: usize) -> bool {
    let next = outermost.partition_point(|range| range.end <= at);
    outermost.get(next).is_some_and(|range| range.contains(&at))
}
