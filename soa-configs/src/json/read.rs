//! JSON texts, with the place of every key and value.

use std::sync::Arc;

use crate::yaml::{Fault, Int, MAX_BYTES, MAX_DEPTH, Map, Node, Span, Value};

/// Parses a JSON text as Python's `json.loads` does: duplicate keys are allowed and the last counts,
/// integers have any size and are no floats, and `NaN` and `Infinity` are numbers.
///
/// # Errors
/// The first fault. Halves of surrogate pairs and what exceeds the limits of [`crate::yaml`] are faults
/// here and not in Python.
pub fn parse(text: &str) -> Result<Node, Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault::new(Span::default(), "the text is larger than 1 MiB"));
    }
    let start = Mark { at: 0, line: 1, column: 1 };
    let mut reader = Reader { text, at: 0, known: start, depth: 0 };
    reader.blanks();
    let node = reader.value()?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.fault("expected the end of the file"));
    }
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// The last place that was asked for. A line is counted from there: files that programs write are one
    /// long line.
    known: Mark,
    depth: usize,
}

/// Where something began.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    line: usize,
    column: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn mark(&mut self) -> Mark {
        let passed = &self.text[self.known.at..self.at];
        let Mark { line, column, .. } = self.known;
        self.known = match passed.rsplit_once('\n') {
            Some((before, last)) => Mark {
                at: self.at,
                line: line + before.matches('\n').count() + 1,
                column: last.chars().count() + 1,
            },
            None => Mark { at: self.at, line, column: column + passed.chars().count() },
        };
        self.known
    }

    fn span(&self, from: Mark) -> Span {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Span {
            line: small(from.line),
            column: small(from.column),
            start: small(from.at),
            end: small(self.at),
        }
    }

    fn fault(&mut self, message: &str) -> Fault {
        let here = self.mark();
        Fault::new(self.span(here), message)
    }

    fn value(&mut self) -> Result<Node, Fault> {
        let from = self.mark();
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::map)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Value::Text(self.string()?.into()),
            _ => match self.word().or_else(|| self.number()) {
                Some(value) => value,
                None => return Err(self.fault("expected a value")),
            },
        };
        Ok(Node { value, span: self.span(from) })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault("this is nested deeper than 64 levels"));
        }
        self.depth += 1;
        self.at += 1;
        self.blanks();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, Fault> {
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(items.into());
        }
        loop {
            items.push(self.value()?);
            if !self.another("]", "expected `,` or `]`")? {
                return Ok(items.into());
            }
        }
    }

    fn map(&mut self) -> Result<Value, Fault> {
        let mut map = Map::default();
        if self.take("}") {
            return Ok(map.into());
        }
        loop {
            let from = self.mark();
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a key in double quotes"));
            }
            let key = self.string()?;
            let key = Node { value: key.into(), span: self.span(from) };
            self.blanks();
            if !self.take(":") {
                return Err(self.fault("expected `:`"));
            }
            self.blanks();
            let value = self.value()?;
            map.insert(key, value);
            if !self.another("}", "expected `,` or `}`")? {
                return Ok(Value::Map(Arc::new(map)));
            }
        }
    }

    /// Whether another item follows.
    fn another(&mut self, end: &str, expected: &str) -> Result<bool, Fault> {
        self.blanks();
        if self.take(end) {
            return Ok(false);
        }
        if !self.take(",") {
            return Err(self.fault(expected));
        }
        self.blanks();
        Ok(true)
    }

    fn word(&mut self) -> Option<Value> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        words.into_iter().find_map(|(word, value)| self.take(word).then_some(value))
    }

    fn number(&mut self) -> Option<Value> {
        let text = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let sign = usize::from(text.starts_with('-'));
        let whole = match digits(&text[sign..]) {
            0 => return None,
            // A number has no leading zeros: what follows a zero is something else.
            _ if text[sign..].starts_with('0') => 1,
            count => count,
        };
        let mut end = sign + whole;
        let fraction = text[end..].strip_prefix('.').map_or(0, digits);
        end += if fraction > 0 { fraction + 1 } else { 0 };
        if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
            let signed = usize::from(exponent.starts_with(['+', '-']));
            let count = digits(&exponent[signed..]);
            end += if count > 0 { 1 + signed + count } else { 0 };
        }
        let number = &text[..end];
        let value = if end == sign + whole {
            Value::Int(Int::parse(sign == 1, &number[sign..], 10)?)
        } else {
            Value::Float(number.parse().ok()?)
        };
        self.at += end;
        Some(value)
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut content = String::new();
        loop {
            let plain = self.rest().find(['"', '\\']).unwrap_or(self.rest().len());
            let (text, control) = (&self.rest()[..plain], |c: char| c < ' ');
            if let Some(at) = text.find(control) {
                self.at += at;
                return Err(
                    self.fault("a control character stands in a text, or a quote is missing")
                );
            }
            content.push_str(text);
            self.at += plain;
            match self.peek() {
                None => return Err(self.fault("expected `\"`")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(content);
                }
                Some(_) => content.push(self.escape()?),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match letter {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                return self.code().ok_or_else(|| self.fault("this escape is no character"));
            }
            _ => return Err(self.fault("this escape is not known")),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\uXXXX`, two of them for what is beyond U+FFFF.
    fn code(&mut self) -> Option<char> {
        let unit = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16).ok().filter(|_| hex)
        };
        let first = unit(self.rest())?;
        let second = self.rest().get(6..).and_then(unit);
        let pair = [first, second.unwrap_or_default()];
        let count = if (0xd800..0xdc00).contains(&first) { 2 } else { 1 };
        let c = char::decode_utf16(pair[..count].iter().copied()).next()?.ok()?;
        self.at += count * 6;
        Some(c)
    }
}
