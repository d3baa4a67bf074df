//! JSON as Python's `json.dumps` writes it: `", "` and `": "` between its parts, nothing outside of ASCII.
//! Fields stand in their own order.

use std::{fmt::Write as _, io};

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

/// # Errors
/// When a value has no form in JSON.
pub(crate) fn written<T: Serialize>(value: &T) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, AsPython))?;
    // Nothing but ASCII was written.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct AsPython;

impl Formatter for AsPython {
    fn begin_array_value<W>(&mut self, writer: &mut W, first: bool) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W>(&mut self, writer: &mut W, first: bool) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W>(&mut self, writer: &mut W) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        writer.write_all(b": ")
    }

    fn write_f64<W>(&mut self, writer: &mut W, value: f64) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        writer.write_all(soa_configs::json::float(value).as_bytes())
    }

    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut text = String::with_capacity(fragment.len());
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                text.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        writer.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lists_and_numbers_are_written_as_python_writes_them() {
        let value = serde_json::json!([{"a\u{7f}é😀": [1, 2.0, 1e16]}, "\n\u{1}\"\\", [], {}]);
        assert_eq!(
            written(&value).unwrap(),
            r#"[{"a\u007f\u00e9\ud83d\ude00": [1, 2.0, 1e+16]}, "\n\u0001\"\\", [], {}]"#
        );
    }
}
