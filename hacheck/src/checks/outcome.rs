//! What came of a check.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use hyper::{StatusCode, header::HeaderValue};

use crate::etag;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status of the service's answer. Without an answer 599 for HTTP and 503 for others;
    /// `/recent` shows it (hacheck.md §6, §7).
    pub code: u16,
    /// The body of the service's answer, or else what went wrong.
    pub body: Bytes,
    /// How long the service took; waiting for a turn does not count.
    pub took: Duration,
    /// The service was not asked because too many checks were waiting, or its turn did not come in
    /// time; it says nothing about it.
    pub overloaded: bool,
    /// It took the whole time that the check had. `took` says whether this process was there to see
    /// it: one that was stopped or starved finds out late.
    pub timed_out: bool,
    /// Made once, shown to everyone who asks while the outcome is kept.
    etag: Option<HeaderValue>,
}

/// What a service answered: a code as of HTTP, and a body.
pub(super) type Answered = (u16, Bytes);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot connect to {0}")]
    Connect(SocketAddr, #[source] io::Error),
    #[error("no valid HTTP answer")]
    Http(#[from] hyper::Error),
    #[error("no valid HTTP/2 answer")]
    Http2(#[from] h2::Error),
    #[error("no TLS connection")]
    Tls(#[source] io::Error),
    #[error("the connection broke")]
    Broke(#[from] io::Error),
    #[error("Peer unexpectedly closed connection")]
    Closed,
    #[error("the answer is longer than {0} bytes")]
    Endless(usize),
    #[error("no answer after {:.2}s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("Connection timed out after {:.2}s", .0.as_secs_f64())]
    Unconnected(Duration),
    /// It spoke, but not as this protocol does.
    #[error("{0}")]
    Nonsense(String),
    #[error("not checked: too many checks are waiting on this host")]
    Overloaded,
    #[error("not checked: the check failed inside hacheck")]
    Broken,
    #[error("cannot run {0}")]
    Program(String, #[source] io::Error),
    #[error("not run: {0}")]
    Forbidden(&'static str),
}

impl Outcome {
    /// The service answered.
    #[must_use]
    pub fn answered(code: u16, body: Bytes, took: Duration) -> Self {
        let etag = (code <= 200).then(|| etag::of(&body)).flatten();
        Self { code, body, took, overloaded: false, timed_out: false, etag }
    }

    /// The status that a client sees: 200 up to 200, else the code if it is a known one, else 503
    /// (hacheck.md §4).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.code {
            ..=200 => StatusCode::OK,
            code if is_known(code) => {
                StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether checkers take the instance as healthy: 2xx and 3xx (hacheck.md §13).
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(self.status().as_u16(), 200..=399)
    }

    /// Of an answer of 200.
    pub(crate) fn etag(&self) -> Option<&HeaderValue> {
        self.etag.as_ref()
    }

    pub(super) fn failed(code: u16, failure: &Failure, took: Duration) -> Self {
        let mut body = failure.to_string();
        let mut cause = failure.source();
        while let Some(error) = cause {
            body.push_str(": ");
            body.push_str(&error.to_string());
            cause = error.source();
        }
        let overloaded = matches!(failure, Failure::Overloaded);
        let timed_out = matches!(failure, Failure::Silent(_) | Failure::Unconnected(_));
        Self { overloaded, timed_out, ..Self::answered(code, body.into(), took) }
    }
}

/// The codes above 200 that old hacheck passes on; clients must see the same ones.
fn is_known(code: u16) -> bool {
    matches!(
        code,
        201..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
            | 500..=508 | 510 | 511
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_known_codes_and_503_for_all_others() {
        let cases = [
            (0, 200),
            (101, 200),
            (200, 200),
            (204, 204),
            (302, 302),
            (304, 304),
            (404, 404),
            (500, 500),
            (503, 503),
            (299, 503),
            (306, 503),
            (420, 503),
            (499, 503),
            (599, 503),
            (600, 503),
            (65535, 503),
        ];
        for (code, status) in cases {
            let outcome = Outcome::answered(code, Bytes::new(), Duration::ZERO);
            assert_eq!(outcome.status().as_u16(), status, "{code}");
            assert_eq!(outcome.is_healthy(), status < 400, "{code}");
            assert_eq!(outcome.etag().is_some(), status == 200, "{code}");
        }
    }
}
