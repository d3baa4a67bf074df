//! A server that does not lead hands everything on to the one that does.

use std::net::SocketAddr;

use hyper::{
    HeaderMap, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};

use super::{refusal::Refusal, simulator::Call};
use crate::{
    listening::{self, Answer},
    web,
};

/// What is handed on in either direction, as far as anybody looks at it.
const HEADERS: [hyper::header::HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE];

/// `None`: the leader does not answer. Of an error the real one hands on status and headers, and loses the
/// body.
pub(super) async fn hand_on(
    leader: u16,
    call: &Call,
    headers: &HeaderMap,
) -> Option<Response<Answer>> {
    let kept = HEADERS.iter().filter_map(|name| Some((name.as_str(), headers.get(name)?)));
    let kept: Vec<(&str, &str)> =
        kept.filter_map(|(name, value)| Some((name, value.to_str().ok()?))).collect();
    let path = match call.query.as_str() {
        "" => call.path.clone(),
        query => format!("{}?{query}", call.path),
    };
    let address = SocketAddr::from(([127, 0, 0, 1], leader));
    let method = call.method.parse().ok()?;
    let answer = web::exchange(address, method, &path, &kept, &call.body).await;
    let (status, headers, body) = answer.ok()?;
    let status = StatusCode::from_u16(status).ok()?;
    let is_error = status.is_client_error() || status.is_server_error();
    let mut reply = Response::new(Answer::whole(if is_error { String::new() } else { body }));
    *reply.status_mut() = status;
    for name in HEADERS {
        let value: Option<&HeaderValue> = headers.get(&name);
        value.and_then(|value| reply.headers_mut().insert(name, value.clone()));
    }
    Some(reply)
}

/// There is no leader, or it does not answer.
pub(super) fn alone() -> Response<Answer> {
    let Refusal { status, body } = Refusal::no_leader();
    listening::reply(status, Some(&body))
}
