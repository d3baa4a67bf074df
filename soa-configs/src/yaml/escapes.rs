//! Escapes in double quotes that libyaml refuses and the parser does not.

use super::{Fault, Span};

/// Refuses halves of surrogate pairs, `\ud83d\ude00`.
pub(super) fn check(source: &str, span: Span) -> Result<(), Fault> {
    let mut rest = source;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at + 1..];
        let digits = escape.strip_prefix('u').and_then(|rest| rest.get(..4));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if code.is_some_and(|code| (0xd800..0xe000).contains(&code)) {
            return Err(Fault::new(span, "an escape stands for half a character")
                .rule("`\\u` takes characters up to U+FFFF that are no surrogates")
                .remedy("write the character itself, or `\\U` with eight digits"));
        }
        // Behind the backslash stands a letter, another backslash, or the end of a line.
        rest = escape.get(1..).unwrap_or_default();
    }
    Ok(())
}
