//! The `grpc` check: `grpc.health.v1.Health/Check`, the standard health protocol.
//!
//! Its two messages have one field each, so they are written and read here.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use hyper::{
    HeaderMap, Method, Request,
    header::{self, HeaderValue},
};

use super::{
    CheckRequest,
    connect::Way,
    http::USER_AGENT,
    http2::{converse, read, uri},
    outcome::{Answered, Failure},
};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// Of HealthCheckResponse.ServingStatus.
const SERVING: u64 = 1;
const NOT_SERVING: u64 = 2;
/// The status of a call that went well.
const OK: u32 = 0;
const NOT_FOUND: u32 = 5;
const UNIMPLEMENTED: u32 = 12;

/// Asks for the service that the query's `service=` names; without one for the server as a whole.
pub(super) async fn ask(request: &CheckRequest, way: Way) -> Result<Answered, Failure> {
    let query = request.path_and_query.query().unwrap_or_default();
    let service = query.split('&').find_map(|pair| pair.strip_prefix("service="));
    let service = service.unwrap_or_default().to_owned();
    let address = request.address();
    converse(way, |sender| async move { call(sender, &address.to_string(), &service).await }).await
}

async fn call(
    mut sender: SendRequest<Bytes>,
    authority: &str,
    service: &str,
) -> Result<Answered, Failure> {
    let mut post = Request::new(());
    *post.method_mut() = Method::POST;
    *post.uri_mut() = uri(authority, METHOD)?;
    let headers = post.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let (answer, mut body) = sender.send_request(post, false)?;
    body.send_data(question(service), true)?;
    let (head, mut body) = answer.await?.into_parts();
    let message = read(&mut body).await?;
    // An answer without a message has its status in the head.
    let trailers = match body.trailers().await? {
        Some(trailers) => trailers,
        None => head.headers,
    };
    match status(&trailers) {
        Some(OK) => Ok(verdict(serving(&message))),
        Some(NOT_FOUND) => Ok(down(format!("the service `{service}` is not known there"))),
        Some(UNIMPLEMENTED) => Ok(down("it does not implement grpc.health.v1.Health".to_owned())),
        Some(other) => Ok(down(format!("the call failed with gRPC status {other}"))),
        None => Err(Failure::Nonsense(format!("no gRPC answer, but HTTP {}", head.status))),
    }
}

fn verdict(serving: Option<u64>) -> Answered {
    match serving {
        Some(SERVING) => (200, Bytes::from_static(b"SERVING")),
        Some(NOT_SERVING) => down("NOT_SERVING".to_owned()),
        Some(other) => down(format!("its status is {other}, and only 1 is SERVING")),
        None => down("its answer is no HealthCheckResponse".to_owned()),
    }
}

fn down(reason: String) -> Answered {
    (503, reason.into())
}

/// A HealthCheckRequest in its frame: no compression, its length, and field 1 if there is a name.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

fn put_varint(into: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        into.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.put_u8((number & 0x7f) as u8);
}

/// Field 1 of a HealthCheckResponse in its frame; 0 if it is left out, as its default is.
fn serving(frame: &[u8]) -> Option<u64> {
    let (&[0, ..], Some(mut message)) = (frame, frame.get(5..)) else { return None };
    let mut serving = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => serving = varint(&mut message)?,
            (_, 0) => {
                varint(&mut message)?;
            }
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(serving)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_question_names_the_service() {
        assert_eq!(&*question(""), b"\0\0\0\0\0");
        assert_eq!(&*question("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
        assert_eq!(question(&"x".repeat(300)).len(), 5 + 1 + 2 + 300);
    }

    #[test]
    fn only_serving_is_up() {
        let cases: [(&[u8], Option<u64>, u16); 9] = [
            (b"\0\0\0\0\x02\x08\x01", Some(1), 200),
            (b"\0\0\0\0\x02\x08\x02", Some(2), 503),
            (b"\0\0\0\0\x02\x08\x03", Some(3), 503),
            (b"\0\0\0\0\0", Some(0), 503),
            // Fields of later versions are passed over.
            (b"\0\0\0\0\x07\x12\x03abc\x08\x01", Some(1), 200),
            (b"", None, 503),
            (b"\x01\0\0\0\x02\x08\x01", None, 503),
            (b"\0\0\0\0\x02\x08\x81", None, 503),
            (b"\0\0\0\0\x03\x12\x7fa", None, 503),
        ];
        for (frame, expected, code) in cases {
            assert_eq!(serving(frame), expected, "{}", frame.escape_ascii());
            assert_eq!(verdict(expected).0, code);
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_harm(frame in prop::collection::vec(any::<u8>(), 0..60)) {
            serving(&frame);
        }

        #[test]
        fn a_number_is_read_as_it_was_written(number: u64) {
            let mut bytes = BytesMut::new();
            put_varint(&mut bytes, number);
            prop_assert_eq!(varint(&mut &*bytes), Some(number));
        }
    }
}
