//! Arguments of a POST: query, form fields, or the fields of a multipart form (hacheck.md §10).

/// What a POST to `/spool` may say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) status: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) expiration: Option<String>,
    pub(super) creation: Option<String>,
}

/// The arguments cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

impl Arguments {
    /// Reads both sources. A form field wins over the query, the last of several wins. A body of
    /// another type holds no arguments.
    pub(super) fn read(query: &str, content_type: &str, body: &[u8]) -> Result<Self, Undecodable> {
        let mut arguments = Self::default();
        arguments.take_encoded(query)?;
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let kind = kind.trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            arguments.take_encoded(text(body)?)?;
        } else if kind.eq_ignore_ascii_case("multipart/form-data") {
            let boundary = parameter(parameters, "boundary").ok_or(Undecodable)?;
            arguments.take_parts(text(body)?, boundary)?;
        }
        Ok(arguments)
    }

    fn take_encoded(&mut self, pairs: &str) -> Result<(), Undecodable> {
        for pair in pairs.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.set(&decode(name)?, &decode(value)?);
        }
        Ok(())
    }

    fn take_parts(&mut self, body: &str, boundary: &str) -> Result<(), Undecodable> {
        let boundary = format!("--{boundary}");
        // The first piece is a preamble; the last one begins with the `--` of the closing boundary.
        for part in body.split(&*boundary).skip(1).take_while(|part| !part.starts_with("--")) {
            let part = part.trim_start_matches([' ', '\t']).strip_prefix("\r\n");
            let part = part.and_then(|part| part.strip_suffix("\r\n")).ok_or(Undecodable)?;
            let (head, value) = part.split_once("\r\n\r\n").ok_or(Undecodable)?;
            let disposition = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|header| header.0.trim().eq_ignore_ascii_case("content-disposition"));
            let name = disposition.and_then(|(_, value)| parameter(value, "name"));
            self.set(name.ok_or(Undecodable)?, value);
        }
        Ok(())
    }

    /// Unknown arguments are none of our business.
    fn set(&mut self, name: &str, value: &str) {
        let argument = match name {
            "status" => &mut self.status,
            "reason" => &mut self.reason,
            "expiration" => &mut self.expiration,
            "creation" => &mut self.creation,
            _ => return,
        };
        let printable = value.replace(is_made_blank, " ");
        *argument = Some(printable.trim().to_owned());
    }
}

/// Control characters that are no white space.
fn is_made_blank(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0e'..='\x1f')
}

fn text(bytes: &[u8]) -> Result<&str, Undecodable> {
    std::str::from_utf8(bytes).map_err(|_| Undecodable)
}

/// `name="value"` or `name=value` among the parameters of a header.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|pair| pair.0.trim().eq_ignore_ascii_case(name))?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty()).then_some(value)
}

/// Undoes percent-encoding and `+`. A `%` without two digits stays as it is.
fn decode(encoded: &str) -> Result<String, Undecodable> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Undecodable)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn arguments(values: [Option<&str>; 4]) -> Arguments {
        let [status, reason, expiration, creation] = values.map(|value| value.map(str::to_owned));
        Arguments { status, reason, expiration, creation }
    }

    #[test]
    fn query_and_form_are_read_and_the_last_form_field_wins() {
        let (down, up) = (Some("down"), Some("up"));
        let cases = [
            ("", FORM, "", [None; 4]),
            (
                "",
                FORM,
                "status=down&expiration=1571234567.25&reason=Drained+by+Paasta",
                [down, Some("Drained by Paasta"), Some("1571234567.25"), None],
            ),
            ("status=down&reason=", "", "", [down, Some(""), None, None]),
            ("status=down&reason", "", "", [down, Some(""), None, None]),
            ("status=down", FORM, "status=x&status=up", [up, None, None, None]),
            ("status=down", "application/json", "{\"status\": \"up\"}", [down, None, None, None]),
            ("%73tatus=up&creation=7&unknown=x", "", "", [up, None, None, Some("7")]),
            ("reason=a%0Ab%00c%09+", "", "", [None, Some("a\nb c"), None, None]),
            ("reason=100%&status=%4", "", "", [Some("%4"), Some("100%"), None, None]),
            (
                "",
                "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
                "status=up",
                [up, None, None, None],
            ),
        ];
        for (query, content_type, body, expected) in cases {
            let read = Arguments::read(query, content_type, body.as_bytes());
            assert_eq!(read, Ok(arguments(expected)), "{query:?} {body:?}");
        }
    }

    #[test]
    fn a_multipart_form_is_read_as_curl_sends_it() {
        let body = "--x1\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\ndown\r\n\
                    --x1\r\ncontent-disposition: form-data; name=reason\r\n\
                    Content-Type: text/plain\r\n\r\nwhy = not;\r\n--x1--\r\n";
        let read = Arguments::read("", "multipart/form-data; boundary=\"x1\"", body.as_bytes());
        assert_eq!(read, Ok(arguments([Some("down"), Some("why = not;"), None, None])));
        for broken in ["--x1\r\n\r\n", "--x1", "--x1\r\nname: x\r\n\r\ny\r\n--x1--"] {
            let read = Arguments::read("", "multipart/form-data; boundary=x1", broken.as_bytes());
            assert_eq!(read, Err(Undecodable), "{broken:?}");
        }
        assert_eq!(Arguments::read("", "multipart/form-data", b""), Err(Undecodable));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(Arguments::read("reason=%ff", "", b""), Err(Undecodable));
        assert_eq!(Arguments::read("", FORM, b"reason=\xff"), Err(Undecodable));
    }

    proptest! {
        #[test]
        fn any_form_is_read_without_harm(query in "\\PC*", body: Vec<u8>, parts in "(--x|\r\n|;|=|:|name|[a-z]|content-disposition)*") {
            let _ = Arguments::read(&query, FORM, &body);
            let _ = Arguments::read(&query, "multipart/form-data; boundary=x", parts.as_bytes());
        }

        #[test]
        fn an_encoded_reason_reads_back(reason in "[a-z=&+%;\u{e4}\u{20ac}]{0,20}") {
            let encoded: String = reason.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let read = Arguments::read(&format!("reason={encoded}"), "", b"").unwrap();
            prop_assert_eq!(read.reason, Some(reason));
        }
    }
}
