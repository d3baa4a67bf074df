//! Answers, and what a refusal looks like on the wire.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use serde::Serialize;

use crate::{
    etag, marks::MarkError, names::InvalidServiceName, server::Reply, target::RefusedTarget,
};

/// Content type of everything that is no JSON, whatever a service calls its body (hacheck.md §3).
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// Why a request is not answered as its sender hoped. The one place where this becomes a status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("404: Not Found")]
    NotFound,
    #[error("405: Method Not Allowed")]
    Method,
    #[error(transparent)]
    Service(#[from] InvalidServiceName),
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("the path cannot be passed on")]
    Path,
    #[error(transparent)]
    Target(#[from] RefusedTarget),
    #[error("remote spool changes are not enabled")]
    RemoteMarks,
    #[error("the token is not the one that may change marks here")]
    Token,
    #[error("too many changes of marks from this client")]
    Rate,
    #[error("the form is larger than {0} bytes")]
    FormSize(usize),
    #[error("the form has not arrived in time")]
    FormTime,
    #[error("the form cannot be read")]
    Form,
    #[error("argument `{0}` is missing")]
    Missing(&'static str),
    #[error("status must be up or down")]
    UpOrDown,
    #[error("argument `{0}` is not a number")]
    Number(&'static str),
    #[error(transparent)]
    Mark(#[from] MarkError),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Service(_)
            | Self::Port(_)
            | Self::Path
            | Self::Form
            | Self::Missing(_)
            | Self::UpOrDown => StatusCode::BAD_REQUEST,
            Self::Target(RefusedTarget::Host(_)) | Self::RemoteMarks => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Rate => StatusCode::TOO_MANY_REQUESTS,
            Self::FormSize(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::FormTime => StatusCode::REQUEST_TIMEOUT,
            // The first two are not our fault, but old hacheck answers so (hacheck.md §5, §10, §11).
            Self::Target(RefusedTarget::Port(_))
            | Self::Number(_)
            | Self::Mark(MarkError::Write { .. } | MarkError::Remove { .. }) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Mark(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, text) = (refusal.status(), refusal.text());
        match refusal {
            Refusal::NotFound | Refusal::Method => {
                let page = format!("<html><title>{text}</title><body>{text}</body></html>");
                html(status, page)
            }
            _ => reply(status, TEXT, text.into()),
        }
    }
}

/// An answer as old hacheck gives it for checks and marks.
pub(super) fn html(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    // These two never have a body, and a service that sends one is not to break our connection.
    let bodyless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    reply(status, HTML, if bodyless { Bytes::new() } else { body.into() })
}

/// The answer of something that is up, or that it is the one that the client has (hacheck.md §3).
pub(super) fn up(
    none_match: Option<&HeaderValue>,
    body: Bytes,
    tag: Option<&HeaderValue>,
) -> Reply {
    match tag {
        Some(tag) => tagged(none_match, HTML, body, tag),
        None => html(StatusCode::OK, body),
    }
}

/// A monitoring document.
pub(super) fn json(none_match: Option<&HeaderValue>, document: &impl Serialize) -> Reply {
    match serde_json::to_vec(document) {
        Ok(body) => match etag::of(&body) {
            Some(tag) => tagged(none_match, JSON, body.into(), &tag),
            None => reply(StatusCode::OK, JSON, body.into()),
        },
        Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string().into()),
    }
}

fn tagged(
    none_match: Option<&HeaderValue>,
    content_type: HeaderValue,
    body: Bytes,
    tag: &HeaderValue,
) -> Reply {
    let mut reply = match none_match {
        Some(known) if etag::matches(known, tag) => {
            reply(StatusCode::NOT_MODIFIED, content_type, Bytes::new())
        }
        _ => reply(StatusCode::OK, content_type, body),
    };
    reply.headers_mut().insert(header::ETAG, tag.clone());
    reply
}

pub(super) fn reply(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Reply {
    let server = HeaderValue::from_static(concat!("hacheck/", env!("CARGO_PKG_VERSION")));
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::SERVER, server);
    reply.headers_mut().insert(header::CONTENT_TYPE, content_type);
    reply
}
