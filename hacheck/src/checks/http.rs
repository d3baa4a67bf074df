//! The `http` check: one GET on a connection of its own (hacheck.md §6).
//!
//! No connection is kept: the service may have dropped it, which would look like a failure.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Uri,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::{
    CheckRequest,
    connect::{Way, connect},
    outcome::Failure,
};

/// Longest body that is read. nerve may look into bodies, so they are passed on whole or not at all.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Longest head of an answer that is read.
const MAX_HEAD: usize = 64 * 1024;
const USER_AGENT: &str = concat!("hastate ", env!("CARGO_PKG_VERSION"));

pub(super) async fn ask(request: &CheckRequest, way: Way) -> Result<(u16, Bytes), Failure> {
    let stream = connect(way).await?;
    let mut client = http1::Builder::new();
    let (mut sender, connection) =
        client.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    // Errors of the connection come out of the request as well.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(get(request)).await?;
    let code = answer.status().as_u16();
    Ok((code, read(answer.into_body()).await?))
}

fn get(request: &CheckRequest) -> Request<Empty<Bytes>> {
    let mut get = Request::new(Empty::new());
    *get.uri_mut() = Uri::from(request.path_and_query.clone());
    let headers = get.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &request.headers {
        headers.insert(name, value.clone());
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    add_host(headers, request);
    get
}

/// HAProxy sends no `Host` that could be passed on, and HTTP/1.1 demands one.
fn add_host(headers: &mut HeaderMap, request: &CheckRequest) {
    if headers.contains_key(header::HOST) {
        return;
    }
    if let Ok(host) = HeaderValue::try_from(request.address().to_string()) {
        headers.insert(header::HOST, host);
    }
}

async fn read(mut body: Incoming) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Failure::Endless(MAX_BODY));
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            return Err(Failure::Endless(MAX_BODY));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
