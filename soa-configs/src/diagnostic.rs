//! What is wrong in a file, for people: where, the text underlined, the rule, and how to mend it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    file::{Shown, moves_cursor, one_line},
    values::shortened_to,
    yaml::{Fault, Span},
};

/// Messages may quote a whole value; this many characters of one are enough.
const MAX_MESSAGE: usize = 300;
/// Characters of a line that are shown.
const MAX_EXCERPT: usize = 100;

/// A fault in the text of a file. It can be kept and compared, and holds no more of the file than one
/// line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// Counted from 1; 0 if the fault is that of the whole file.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// The line, or the part of it around the fault.
    pub excerpt: String,
    /// Where in [`Self::excerpt`] the fault begins, in characters, and how many are at fault.
    pub underline: (usize, usize),
    /// What is wrong.
    pub message: String,
    /// The rule that is broken.
    pub rule: Option<String>,
    /// How to mend it.
    pub remedy: Option<String>,
}

impl Diagnostic {
    /// Shows a fault in the text that it was found in.
    #[must_use]
    pub fn new(file: &Path, text: &str, fault: &Fault) -> Self {
        let (excerpt, underline) = excerpt(text, fault.span);
        Self {
            file: file.to_owned(),
            line: fault.span.line,
            column: fault.span.column,
            excerpt,
            underline,
            message: one_line(&shortened_to(MAX_MESSAGE, &fault.message)).into_owned(),
            rule: fault.rule.map(str::to_owned),
            remedy: fault.remedy.as_deref().map(|text| one_line(text).into_owned()),
        }
    }

    /// File, fault and place on one line, for logs.
    #[must_use]
    pub fn one_line(&self) -> String {
        let Self { line, column, message, .. } = self;
        let file = Shown(&self.file);
        if *line == 0 {
            return format!("{file}: {message}");
        }
        format!("{file}: {message} at line {line}, column {column}")
    }
}

/// The line of a span, cut to what is around it, without characters that move a cursor.
fn excerpt(text: &str, span: Span) -> (String, (usize, usize)) {
    let ends = ['\n', '\r', '\u{85}'];
    let column = (span.column as usize).saturating_sub(1);
    // A line may be as long as the file, and have a fault in every second character.
    let (before, after) = match text.split_at_checked(span.start as usize) {
        Some((before, after)) if span.start > 0 => (before, after),
        _ => {
            let number = (span.line as usize).saturating_sub(1);
            let line = lines(text).nth(number).unwrap_or_default();
            let at = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
            line.split_at(at)
        }
    };
    let back = before.chars().rev().take(column.min(MAX_EXCERPT / 2));
    let mut shown: Vec<char> = back.take_while(|c| !ends.contains(c)).collect();
    shown.reverse();
    let at = shown.len();
    shown.extend(after.chars().take_while(|c| !ends.contains(c)).take(MAX_EXCERPT - at));
    let marked = text.get(span.range()).unwrap_or_default();
    let marked = marked.chars().take(MAX_EXCERPT).take_while(|c| !ends.contains(c));
    let marked = marked.collect::<String>().trim_end().chars().count();
    let left = shown.len() - at;
    let visible = |c: char| if moves_cursor(c) { ' ' } else { c };
    (shown.into_iter().map(visible).collect(), (at, marked.min(left).max(1)))
}

/// The lines of a text as YAML divides it: by CR, LF, both, or NEL.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r', '\u{85}']) else { return rest.take() };
        let (line, after) = text.split_at(end);
        let ends = ["\r\n", "\n", "\r", "\u{85}"];
        rest = ends.into_iter().find_map(|end| after.strip_prefix(end));
        Some(line)
    })
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = Shown(&self.file);
        if self.line == 0 {
            write!(f, "{file}: {}", self.message)?;
        } else {
            let (at, count) = self.underline;
            let number = self.line.to_string();
            let margin = " ".repeat(number.len());
            writeln!(f, "{file}:{number}:{}: {}", self.column, self.message)?;
            writeln!(f, "{margin} |")?;
            writeln!(f, "{number} | {}", self.excerpt)?;
            write!(f, "{margin} | {}{}", " ".repeat(at), "^".repeat(count))?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "\n  rule: {rule}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  mend: {remedy}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn shown(text: &str) -> String {
        let fault = yaml::parse(text).unwrap_err();
        Diagnostic::new(Path::new("/soa/web/a.yaml"), text, &fault).to_string()
    }

    #[test]
    fn the_text_at_fault_is_underlined() {
        let wanted = "\
/soa/web/a.yaml:10:8: \"2014-02-30\" is not a date or time that exists
   |
10 | é: [1, 2014-02-30] # when
   |        ^^^^^^^^^^
  mend: put it in quotes if a text is meant";
        assert_eq!(shown(&format!("{}é: [1, 2014-02-30] # when\n", "\n".repeat(9))), wanted);
    }

    #[test]
    fn a_long_line_is_cut_around_the_fault() {
        let text = format!("a: [{}, <<, {}]", "x".repeat(500), "y".repeat(500));
        let shown = shown(&text);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 150), "{shown}");
        let at = lines[3].find('^').unwrap();
        assert_eq!(&lines[2][at..at + 2], "<<");
    }

    #[test]
    fn the_line_is_found_whatever_ends_the_others() {
        for end in ["\n", "\r", "\r\n", "\u{85}"] {
            let shown = shown(&format!("a: 1{end}b: 2{end}c: 2014-02-30{end}d: 1{end}"));
            assert!(shown.contains("\n3 | c: 2014-02-30\n  |    ^^^^^^^^^^"), "{end:?}: {shown}");
        }
    }

    #[test]
    fn nothing_of_a_file_can_move_the_cursor() {
        let shown = shown("a: \u{1b}[2J\n") + &shown("\"\u{202e}b\": [");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    }
}
