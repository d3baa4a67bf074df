//! What hacheck is compared with, and what it asks.

use std::{convert::Infallible, net::Ipv4Addr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, ETAG, HeaderValue, SERVER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Failure;

const BODY: &[u8] = b"OK";

/// Answers everything as hacheck answers a check, with nothing in between; as a `service` it lets
/// connections be used again and is there on every address of 127.0.0.0/8.
pub(crate) async fn serve(port: u16, service: bool) -> Result<(), Failure> {
    let address = if service { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let listener = TcpListener::bind((address, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer =
                service_fn(
                    |_: Request<Incoming>| async move { Ok::<_, Infallible>(answer(service)) },
                );
            // A client that goes away ends its connection, which is nobody's concern.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(service: bool) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(BODY)));
    let headers = answer.headers_mut();
    if service {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        return answer;
    }
    headers
        .insert(SERVER, HeaderValue::from_static(concat!("hacheck/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    let tag = HeaderValue::from_static("\"9ce3bd4224c8c1780db56b4125ecf3f24bf748b7\"");
    headers.insert(ETAG, tag);
    answer
}

/// Accepts, and keeps everybody waiting.
pub(crate) async fn hang(port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let mut waiting = Vec::new();
    loop {
        waiting.push(listener.accept().await?);
        // The checks of a minute, each of which gives up after its timeout.
        if waiting.len() > 10_000 {
            waiting.drain(..5_000);
        }
    }
}
