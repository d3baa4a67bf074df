//! The text of `json.dumps(value, sort_keys=True)`.

use std::{cmp::Ordering, fmt::Write};

use crate::yaml::{Entry, Int, Map, Node, Span, Value};

/// A value that JSON cannot express, which Python refuses with a type error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be written as JSON")]
pub struct Unwritable {
    pub what: &'static str,
    /// Where it is written.
    pub span: Span,
}

/// Writes a value with sorted keys, byte for byte as Python does.
///
/// # Errors
/// Dates, binary data and sets; keys of such; maps that mix texts and other keys.
pub fn canonical(node: &Node) -> Result<String, Unwritable> {
    let mut out = String::new();
    value(&mut out, node)?;
    Ok(out)
}

fn value(out: &mut String, node: &Node) -> Result<(), Unwritable> {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Text(content) => text(out, content),
        Value::List(items) => list(out, items)?,
        Value::Map(entries) => map(out, entries)?,
        Value::Bytes(_) | Value::Date(_) | Value::Time(_) | Value::Set(_) => {
            return Err(Unwritable { what: node.value.kind(), span: node.span });
        }
    }
    Ok(())
}

fn list(out: &mut String, items: &[Node]) -> Result<(), Unwritable> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        value(out, item)?;
    }
    out.push(']');
    Ok(())
}

fn map(out: &mut String, map: &Map) -> Result<(), Unwritable> {
    out.push('{');
    for (index, entry) in sorted(map)?.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        text(out, &key(&entry.key)?);
        out.push_str(": ");
        value(out, &entry.value)?;
    }
    out.push('}');
    Ok(())
}

/// Python sorts keys before it turns them into texts, so `9` comes before `10`. It cannot compare a text
/// with a number.
fn sorted(map: &Map) -> Result<Vec<&Entry>, Unwritable> {
    let mut entries: Vec<&Entry> = map.iter().collect();
    let Some(first) = entries.first().filter(|_| entries.len() > 1) else { return Ok(entries) };
    let texts = first.key.as_text().is_some();
    let fits = |key: &Node| if texts { key.as_text().is_some() } else { is_number(&key.value) };
    match entries.iter().find(|entry| !fits(&entry.key)) {
        Some(entry) => {
            let span = entry.key.span;
            Err(Unwritable { what: "a map with keys of different kinds", span })
        }
        None => {
            entries.sort_by(|a, b| order(&a.key.value, &b.key.value));
            Ok(entries)
        }
    }
}

/// The order of two texts or of two numbers, which is exact. NaN comes last: it needs a place that does
/// not depend on the others.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => {
            a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        }
        (Value::Float(a), b) => whole(b).order_to(*a).reverse(),
        (a, Value::Float(b)) => whole(a).order_to(*b),
        (a, b) => whole(a).cmp(&whole(b)),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_))
}

fn whole(value: &Value) -> Int {
    match value {
        Value::Int(int) => int.clone(),
        other => Int::Small(i64::from(matches!(other, Value::Bool(true)))),
    }
}

fn key(key: &Node) -> Result<String, Unwritable> {
    match &key.value {
        Value::Text(text) => Ok(text.as_ref().to_owned()),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => canonical(key),
        _ => Err(Unwritable { what: key.value.kind(), span: key.span }),
    }
}

fn text(out: &mut String, content: &str) {
    out.push('"');
    for c in content.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => escape(out, c),
        }
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// A float as Python's `repr` has it: the shortest digits that are read back as the same number, with
/// an exponent below 1e-4 and from 1e16 on.
#[must_use]
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = shortest(number);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let count = i32::try_from(count_of_digits(digits)).unwrap_or(i32::MAX);
        // One digit stands before the point.
        let fraction = usize::try_from(count - 1 - exponent).unwrap_or(0).max(1);
        return format!("{number:.fraction$}");
    }
    let (sign, size) = if exponent < 0 { ('-', -exponent) } else { ('+', exponent) };
    format!("{digits}e{sign}{size:02}")
}

/// Where two texts of the shortest length are equally near, Rust takes the larger one and Python the even
/// one: 964842877917122.25 is `964842877917122.2` there.
fn shortest(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, _) = text.split_once('e').unwrap_or((&text, ""));
    let even = format!("{number:.*e}", count_of_digits(digits).saturating_sub(1));
    if even.parse() == Ok(number) { even } else { text }
}

fn count_of_digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}
