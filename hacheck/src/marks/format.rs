//! The content of a mark file (hacheck.md §9).

use serde_json::{Map, Value};

use super::{Content, UnixTime};

/// What a file says, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) content: Content,
    /// A fault that did not keep the file from being a mark.
    pub(super) fault: Option<&'static str>,
}

/// Reads a mark. Everything is one: whoever wrote the file wanted something to be down.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let plain = |reason: String, fault| Parsed {
        content: Content { reason, expiration: None, creation: None },
        fault,
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        let reason = String::from_utf8_lossy(bytes).into_owned();
        return plain(reason, Some("it is not UTF-8"));
    };
    let json = serde_json::from_str(text);
    match json.or_else(|_| serde_json::from_str(&as_json(text))) {
        Ok(Value::Object(fields)) => from_fields(&fields),
        Ok(_) => plain(text.to_owned(), Some("it is JSON but no object")),
        Err(_) => plain(text.to_owned(), None),
    }
}

fn from_fields(fields: &Map<String, Value>) -> Parsed {
    let mut fault = None;
    let mut time = |name| match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(value) => {
            let time = value.as_f64().and_then(UnixTime::new);
            if time.is_none() {
                fault = Some("a time in it is no number");
            }
            time
        }
    };
    let (expiration, creation) = (time("expiration"), time("creation"));
    let reason = match fields.get("reason") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Parsed { content: Content { reason, expiration, creation }, fault }
}

/// What Python writes and calls JSON, as JSON. `hadown -e inf` means never, as no expiration does.
fn as_json(text: &str) -> String {
    let mut json = with_whole_characters(text);
    for number in ["-Infinity", "Infinity", "NaN"] {
        json = json.replace(&format!("\": {number}"), "\": null");
    }
    json
}

/// JSON in which each half of a character has become a whole one.
///
/// Old tools write such halves for arguments that their locale cannot decode, in the `C` locale for
/// every letter that is not ASCII. No reader of ours takes them, and the mark would lose its times.
fn with_whole_characters(json: &str) -> String {
    const HALF: &str = "\\ufffd";
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('\\') {
        let (before, escaped) = rest.split_at(start);
        whole.push_str(before);
        let (length, is_half) = match (unit(escaped), escaped.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(0xd800..=0xdfff), _) => (6, true),
            _ => (1 + escaped.chars().nth(1).map_or(0, char::len_utf8), false),
        };
        let (escape, after) = escaped.split_at(length);
        whole.push_str(if is_half { HALF } else { escape });
        rest = after;
    }
    whole + rest
}

/// The number of an escape `\uXXXX`, if `text` begins with one.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Writes a mark as hacheck does: one JSON object on one line.
pub(super) fn write(mark: &Content) -> String {
    let time = |time: Option<UnixTime>| time.map_or(Value::Null, |time| time.seconds().into());
    let (reason, expiration) = (Value::from(mark.reason.as_str()), time(mark.expiration));
    let creation = time(mark.creation);
    let text =
        format!("{{\"reason\": {reason}, \"expiration\": {expiration}, \"creation\": {creation}}}");
    ascii(&text)
}

/// JSON in ASCII: old readers decode the file by their locale, which often is `C`.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Mark, *};

    fn mark(reason: &str, creation: Option<f64>, expiration: Option<f64>) -> Content {
        let time = |seconds: Option<f64>| seconds.and_then(UnixTime::new);
        let (creation, expiration) = (time(creation), time(expiration));
        Content { reason: reason.into(), expiration, creation }
    }

    #[test]
    fn every_file_is_a_mark() {
        let cases: [(&[u8], Content, bool); 18] = [
            (
                br#"{"reason": "Drained by Paasta", "expiration": 1571234567.25, "creation": 1571234000.5}"#,
                mark("Drained by Paasta", Some(1_571_234_000.5), Some(1_571_234_567.25)),
                false,
            ),
            (br#"{"reason":"x","expiration":null,"creation":7,"by":"me"}"#, mark("x", Some(7.0), None), false),
            (b"{}", mark("", None, None), false),
            (br#"{"expiration": 0}"#, mark("", None, Some(0.0)), false),
            (br#"{"reason": null}"#, mark("", None, None), false),
            (br#"{"reason": 7}"#, mark("7", None, None), false),
            (b"", mark("", None, None), false),
            (b"kernel upgrade\n", mark("kernel upgrade\n", None, None), false),
            (b"{\"reason\": ", mark("{\"reason\": ", None, None), false),
            (b"123", mark("123", None, None), true),
            (b"null", mark("null", None, None), true),
            (b"[]", mark("[]", None, None), true),
            (b"\"x\"", mark("\"x\"", None, None), true),
            (br#"{"reason": "x", "expiration": "soon"}"#, mark("x", None, None), true),
            (br#"{"reason": "x", "creation": true}"#, mark("x", None, None), true),
            (b"caf\xe9", mark("caf\u{fffd}", None, None), true),
            (
                br#"{"reason": "x", "expiration": Infinity, "creation": 7.5}"#,
                mark("x", Some(7.5), None),
                false,
            ),
            // As an old tool writes a reason that its locale could not decode.
            (
                br#"{"reason": "\\ud caf\udcc3 \ud83d\ude00 \ud83d", "expiration": 9.5, "creation": 7}"#,
                mark("\\ud caf\u{fffd} \u{1f600} \u{fffd}", Some(7.0), Some(9.5)),
                false,
            ),
        ];
        for (content, expected, faulty) in cases {
            let parsed = parse(content);
            assert_eq!(parsed.content, expected, "{}", content.escape_ascii());
            assert_eq!(parsed.fault.is_some(), faulty, "{}", content.escape_ascii());
        }
    }

    #[test]
    fn a_mark_is_written_as_old_readers_expect_it() {
        let written = write(&mark("caf\u{e9} \u{1f600}\n\"", Some(1_571_234_000.123_456), None));
        let expected = r#"{"reason": "caf\u00e9 \ud83d\ude00\n\"", "expiration": null, "creation": 1571234000.123456}"#;
        assert_eq!(written, expected);
    }

    /// Files in `__fuzz__` are tried first; found crashes are kept there.
    #[test]
    fn fuzz_spool_file() {
        bolero::check!().with_iterations(20_000).for_each(|content: &[u8]| {
            let Parsed { content, .. } = parse(content);
            let written = write(&content);
            assert_eq!(parse(written.as_bytes()), Parsed { content: content.clone(), fault: None });
            let text = Mark::of("svc.main:80".parse().unwrap(), content).text();
            assert!(crate::marks::mark::tests::parses(&text), "{text}");
        });
    }

    proptest! {
        #[test]
        fn any_content_is_read_without_harm(content in prop::collection::vec(any::<u8>(), 0..200)) {
            parse(&content);
        }

        #[test]
        fn a_written_mark_reads_back(
            reason in any::<String>(),
            creation in prop::option::of(-1e12..1e12),
            expiration in prop::option::of(-1e12..1e12),
        ) {
            let mark = mark(&reason, creation, expiration);
            let written = write(&mark);
            prop_assert!(written.is_ascii() && !written.contains('\n'));
            prop_assert_eq!(parse(written.as_bytes()), Parsed { content: mark, fault: None });
        }
    }
}
