//! Block texts (`|`, `>`) at the end of a file without a last line end.

/// The text as libyaml has it: a line that does not end, ends in no line feed. The parser adds one.
///
/// `start` is where the content begins in `document`, which it reaches the end of.
pub(super) fn at_the_end<'s>(text: &'s str, document: &str, start: usize) -> &'s str {
    if document.ends_with(['\n', '\r']) {
        return text;
    }
    let before = document.get(..start).unwrap_or_default().trim_end();
    let body = &document[before.len()..];
    let header = before.rsplit('\n').next().unwrap_or_default();
    let indicators = header.split(" #").next().unwrap_or_default().trim_end();
    let without = text.trim_end_matches('\n');
    if indicators.rsplit([' ', '\t']).next().is_some_and(|word| word.contains('+')) {
        let written = body.trim_end_matches(['\n', '\r', ' ']);
        let ends = body[written.len()..].matches('\n').count();
        let ends = if written.is_empty() { ends.saturating_sub(1) } else { ends };
        return text.get(..without.len() + ends).unwrap_or(text);
    }
    let last_line = body.rsplit('\n').next().unwrap_or_default();
    let is_content = !last_line.trim_matches(' ').is_empty() || ends_in_blank_line(without);
    match text.strip_suffix('\n') {
        Some(shorter) if is_content => shorter,
        _ => text,
    }
}

/// A line of blanks that go beyond the indentation is content.
fn ends_in_blank_line(text: &str) -> bool {
    let last = text.rsplit('\n').next().unwrap_or_default();
    !last.is_empty() && last.trim_matches(' ').is_empty()
}
