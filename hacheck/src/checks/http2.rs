//! Checks over HTTP/2 in clear text: the `h2c` GET, and the connection that gRPC needs.
//!
//! The connection lives and ends with its check; nothing runs behind it.

use std::{future::Future, pin::pin};

use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{self, SendRequest},
};
use hyper::{Request, Uri, http::uri::Scheme};

use super::{
    CheckRequest,
    connect::{Way, connect},
    http::{MAX_BODY, MAX_HEAD, copy_headers},
    outcome::{Answered, Failure},
};

/// Asks for the path of `request`.
pub(super) async fn ask(request: &CheckRequest, way: Way) -> Result<Answered, Failure> {
    converse(way, |mut sender| async move {
        let mut get = Request::new(());
        *get.uri_mut() = uri(&request.address().to_string(), request.path_and_query.as_str())?;
        copy_headers(get.headers_mut(), request);
        let (answer, _) = sender.send_request(get, true)?;
        let (head, mut body) = answer.await?.into_parts();
        Ok((head.status.as_u16(), read(&mut body).await?))
    })
    .await
}

/// Opens a connection, and drives it for as long as `talk` takes.
pub(super) async fn converse<T, F>(
    way: Way,
    talk: impl FnOnce(SendRequest<Bytes>) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let stream = connect(way).await?;
    let mut builder = client::Builder::new();
    builder.enable_push(false).max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    let (sender, mut connection) = builder.handshake(stream).await?;
    let mut talk = pin!(talk(sender));
    tokio::select! {
        answer = &mut talk => return answer,
        _ = &mut connection => {}
    }
    // What arrived before the connection ended can be read once the connection is gone.
    drop(connection);
    talk.await
}

pub(super) fn uri(authority: &str, path: &str) -> Result<Uri, Failure> {
    let parts = Uri::builder().scheme(Scheme::HTTP).authority(authority);
    parts.path_and_query(path).build().map_err(|error| Failure::Nonsense(error.to_string()))
}

/// A whole body, up to a limit.
pub(super) async fn read(body: &mut RecvStream) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        if bytes.len() + data.len() > MAX_BODY {
            return Err(Failure::Endless(MAX_BODY));
        }
        bytes.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(bytes.freeze())
}
