//! The `http` and `https` checks: one GET (hacheck.md §6).

use std::{future::Future, pin::pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Uri,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    CheckRequest,
    connect::Way,
    kept::{self, Connection, Kept, Rests},
    outcome::{Answered, Failure},
};

/// Longest body that is read. nerve may look into bodies, so they are passed on whole or not at all.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Longest head of an answer that is read.
pub(super) const MAX_HEAD: usize = 64 * 1024;
pub(super) const USER_AGENT: &str = concat!("hastate ", env!("CARGO_PKG_VERSION"));

/// What an HTTP connection runs over.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Rests + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Rests + Unpin + Send + 'static> Carrier for S {}

impl Rests for TcpStream {
    fn rests(&self) -> bool {
        // Only a connection that is open and silent has nothing to say about itself.
        self.peek(&mut [0]).now_or_never().is_none()
    }
}

/// Asks over a connection that rests, if there is one, else over one that `open` makes.
pub(super) async fn ask<S, F>(
    request: &CheckRequest,
    way: Way,
    kept: &Arc<Kept<S>>,
    open: impl FnOnce(Way) -> F,
) -> Result<Answered, Failure>
where
    S: Carrier,
    F: Future<Output = Result<S, Failure>>,
{
    let address = request.address();
    if let Some(connection) = kept.take(address) {
        // A connection that rested may end at any moment, which says nothing about the service.
        if let Ok(answer) = exchange(request, connection, kept).await {
            return Ok(answer);
        }
    }
    exchange(request, Connection::new(open(way).await?), kept).await
}

/// One request and its answer; keeps the connection if the service allows that.
async fn exchange<S: Carrier>(
    request: &CheckRequest,
    connection: Connection<S>,
    kept: &Arc<Kept<S>>,
) -> Result<Answered, Failure> {
    let Connection { stream, opened } = connection;
    let mut client = http1::Builder::new();
    // What old hacheck took must not bring a service down: headers that are not quite by the book.
    client
        .max_buf_size(MAX_HEAD)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let (mut sender, mut driver) = client.handshake(TokioIo::new(stream)).await?;
    let mut asking = pin!(async {
        let answer = sender.send_request(get(request, kept.is_enabled())).await?;
        let (head, body) = answer.into_parts();
        let body = read(body).await?;
        let allowed = kept.is_enabled().then(|| kept::allowed(&head.headers)).flatten();
        // Errs when either side is about to close.
        let usable = allowed.is_some() && sender.ready().await.is_ok();
        Ok::<_, Failure>((head.status.as_u16(), body, allowed.filter(|_| usable)))
    });
    let answered = tokio::select! {
        answer = &mut asking => Some(answer?),
        _ = &mut driver => None,
    };
    let Some((code, body, allowed)) = answered else {
        // What arrived before the connection ended can be read once the connection is gone.
        drop(driver);
        let (code, body, _) = asking.await?;
        return Ok((code, body));
    };
    if let Some(allowed) = allowed {
        let parts = driver.into_parts();
        if parts.read_buf.is_empty() {
            let connection = Connection { stream: parts.io.into_inner(), opened };
            kept.keep(request.address(), connection, allowed);
        }
    }
    Ok((code, body))
}

fn get(request: &CheckRequest, keep: bool) -> Request<Empty<Bytes>> {
    let mut get = Request::new(Empty::new());
    *get.uri_mut() = Uri::from(request.path_and_query.clone());
    let headers = get.headers_mut();
    copy_headers(headers, request);
    let connection = if keep { "keep-alive" } else { "close" };
    headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
    add_host(headers, request);
    get
}

/// The headers that every kind of GET has.
pub(super) fn copy_headers(headers: &mut HeaderMap, request: &CheckRequest) {
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &request.headers {
        headers.insert(name, value.clone());
    }
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
