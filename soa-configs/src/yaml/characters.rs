//! Characters that a document must not hold.

use super::{Fault, Span};

/// Refuses what PyYAML refuses: control characters but tab, line ends and NEL (marathon-sync.md §2.1).
///
/// U+2028 and U+2029 are refused as well: YAML 1.1 takes them for the ends of lines, which the parser
/// does not, and nobody sees them in an editor.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let Some((at, found)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) else {
        return Ok(());
    };
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let span = Span {
        line: small(before.matches('\n').count() + 1),
        column: small(before[line_start..].chars().count() + 1),
        start: small(at),
        end: small(at + found.len_utf8()),
    };
    let fault =
        Fault::new(span, format!("the character U+{:04X} is not allowed", u32::from(found)))
            .rule("text holds no control characters but tabs and the ends of lines");
    Err(fault.remedy("remove it, or write it as an escape in double quotes"))
}

fn is_allowed(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => !c.is_control(),
    }
}

/// Files are bounded far below 4 GiB.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
