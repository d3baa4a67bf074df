//! `ETag` and `If-None-Match` as hacheck has them: the SHA-1 of the body (hacheck.md §3).

use hyper::header::HeaderValue;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Of no body at all: that of an unmarked `/spool`.
pub(crate) const OF_NOTHING: HeaderValue =
    HeaderValue::from_static("\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"");

/// The tag of a body.
pub(crate) fn of(body: &[u8]) -> Option<HeaderValue> {
    if body.is_empty() {
        return Some(OF_NOTHING);
    }
    let mut tag = Vec::with_capacity(42);
    tag.push(b'"');
    for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, body).as_ref() {
        tag.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    tag.push(b'"');
    // Hexadecimal digits are valid in a header.
    HeaderValue::try_from(tag).ok()
}

/// Whether a client that sends `If-None-Match: wanted` has the body with this tag already.
pub(crate) fn matches(wanted: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(wanted) = wanted.to_str() else { return false };
    let mut tags = wanted.split(',').map(|one| one.trim().trim_start_matches("W/"));
    tags.any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_sha_1_of_the_body() {
        assert_eq!(of(b"").unwrap(), OF_NOTHING);
        assert_eq!(of(b"abc").unwrap(), "\"a9993e364706816aba3e25717850c26c9cd0d89d\"");
    }

    #[test]
    fn a_client_may_name_several_tags_or_any() {
        let tag = HeaderValue::from_static("\"1a\"");
        for wanted in ["\"1a\"", "W/\"1a\"", "\"0\", \"1a\"", "*", "\"0\",W/\"1a\""] {
            assert!(matches(&HeaderValue::from_static(wanted), &tag), "{wanted}");
        }
        for wanted in ["", "\"1\"", "1a", "\"0\""] {
            assert!(!matches(&HeaderValue::from_static(wanted), &tag), "{wanted}");
        }
    }
}
