//! What the simulators have in common: a listener, and answers that may break off.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

/// A body, or the first half of one.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    data: Option<Bytes>,
    length: u64,
    breaks: Option<Pause>,
}

/// Lets the first half leave before the end comes.
#[derive(Debug, PartialEq)]
enum Pause {
    Before,
    After,
}

impl Answer {
    pub(crate) fn whole(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        let length = u64::try_from(data.len()).unwrap_or_default();
        Self { data: Some(data).filter(|data| !data.is_empty()), length, breaks: None }
    }

    /// Half of itself, in spite of the length that was promised.
    pub(crate) fn cut(self) -> Self {
        let half = |data: Bytes| data.slice(..data.len() / 2);
        Self { data: self.data.map(half), breaks: Some(Pause::Before), ..self }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.data.take(), &self.breaks) {
            (Some(data), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (None, None) => Poll::Ready(None),
            (None, Some(Pause::Before)) => {
                self.breaks = Some(Pause::After);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            (None, Some(Pause::After)) => Poll::Ready(Some(Err(io::Error::other("cut")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// JSON, or plain text if it is only a text.
pub(crate) fn reply(status: u16, body: Option<&Value>) -> Response<Answer> {
    let (kind, text) = match body {
        None => ("application/json", String::new()),
        Some(Value::String(text)) => ("text/plain", text.clone()),
        Some(body) => ("application/json", body.to_string()),
    };
    let mut reply = Response::new(Answer::whole(text));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// Answers until it is dropped, which ends all connections. An error ends one connection unanswered.
pub(crate) async fn serve<F, A>(listener: TcpListener, respond: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = io::Result<Response<Answer>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service::service_fn(respond.clone()));
        connections.spawn(connection);
    }
}
