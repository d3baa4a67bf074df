//! Patterns with `*` for ids, and the small part of regular expressions that constraints use.

/// Whether `text` is what `pattern` says; `*` stands for anything.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| is_like(rest, text.get(at..).unwrap_or_default()))
        }),
    }
}

/// The value of `LIKE` and `UNLIKE`: alternatives of plain text and `.*`. Nothing else is understood
/// here; the real one takes all of Java's expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternatives(Vec<String>);

impl Alternatives {
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split('|').map(alternative).collect::<Option<Vec<_>>>().map(Self)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| is_like(pattern, text))
    }
}

fn alternative(text: &str) -> Option<String> {
    let pattern = text.replace("\\.", ".").replace("\\-", "-").replace(".*", "*");
    let is_understood = pattern.matches('*').count() == text.matches(".*").count()
        && !pattern.contains(['[', ']', '(', ')', '{', '}', '^', '$', '+', '?', '\\']);
    is_understood.then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [("*", ""), ("/web.*", "/web.main"), ("/*.x", "/a.x"), ("a", "a")] {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("/web.*", "/webs"), ("/*.x", "/a.xy"), ("", "a"), ("a", "")] {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn alternatives_match_as_a_whole() {
        let pools = Alternatives::parse("default|gpu-.*").unwrap();
        for (text, is_match) in
            [("default", true), ("gpu-1", true), ("default2", false), ("xdefault", false)]
        {
            assert_eq!(pools.matches(text), is_match, "{text}");
        }
        for broken in ["(", "*", "a{", "[a-z]"] {
            assert_eq!(Alternatives::parse(broken), None, "{broken}");
        }
    }
}
