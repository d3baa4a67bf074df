//! One request over a connection of its own.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Request(#[from] hyper::Error),
    #[error("the answer broke off: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Asks, and reads an answer of up to `most` bytes. The caller sets the deadline.
///
/// # Errors
/// When the connection breaks, or the answer is larger.
pub(crate) async fn ask<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    most: usize,
) -> Result<(StatusCode, Bytes), Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), most).collect().await;
    connection.abort();
    Ok((status, body.map_err(Failure::Body)?.to_bytes()))
}
