//! Block texts (`|`, `>`) at the end of a file without a last line end.

use std::borrow::Cow;

/// The text as libyaml has it: a line that does not end, ends in no line feed, and one of blanks that are
/// only indentation is no line. The parser ends each of them.
///
/// `start` is where the content begins in `document`, which it reaches the end of.
pub(super) fn at_the_end<'s>(text: &'s str, document: &str, start: usize) -> Cow<'s, str> {
    if document.ends_with(['\n', '\r']) {
        return text.into();
    }
    let content = text.trim_start_matches('\n');
    if content.is_empty() {
        // The line of the indicators is the last one that is not blank.
        let before = document.trim_end();
        let ends = document[before.len()..].matches('\n').count().saturating_sub(1);
        return "\n".repeat(if keeps_ends(before) { ends } else { 0 }).into();
    }
    let before = document.get(..start).unwrap_or_default().trim_end();
    // The first line is what is left of the one with the indicators.
    let lines: Vec<&str> = document[before.len()..]
        .split('\n')
        .skip(1)
        .map(|line| line.trim_end_matches('\r'))
        .collect();
    let first = lines.get(text.len() - content.len()).copied().unwrap_or_default();
    let indentation = blanks(first).saturating_sub(blanks(content));
    let is_content = |line: &&str| blanks(line) < line.len() || line.len() > indentation;
    let ends = lines.iter().rev().take_while(|line| !is_content(line)).count();
    let without = text.trim_end_matches('\n');
    let text = match (keeps_ends(before), ends) {
        (true, _) => text.get(..without.len() + ends).unwrap_or(text),
        (false, 0) => text.strip_suffix('\n').unwrap_or(text),
        (false, _) => text,
    };
    text.into()
}

/// Whether the indicators at the end of `before` hold a `+`.
fn keeps_ends(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let indicators = line.split(" #").next().unwrap_or_default().trim_end();
    indicators.rsplit([' ', '\t']).next().is_some_and(|word| word.contains('+'))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}
