//! The admin interface, on a Unix socket and on loopback.
//!
//! | method and path | answer |
//! | --- | --- |
//! | `GET /` | the status page |
//! | `GET /status.json` | everything the agent knows ([`report::Report`]) |
//! | `GET /metrics` | OpenMetrics |
//! | `GET /healthz` | 200 while the agent runs |
//! | `GET /safe-to-stop?target=T` | may the task be stopped now? |
//! | `POST /drain?target=T[&reason=R][&seconds=N][&wait=S]` | mark, withdraw, wait |
//! | `POST /undrain?target=T` | lift the mark |
//! | `POST /leave[?reason=R][&wait=S]` | the same for every task of the host, until it returns |
//! | `POST /return` | the host is back in service |
//! | `GET /standing?target=SERVICE.NAMESPACE[:PORT]` | is it up here, or down? ([`standing::Standing`]) |
//! | `POST /down?target=...[&reason=R]`, `POST /up?target=...` | set or lift that mark |
//!
//! A target is `SERVICE.NAMESPACE`, `SERVICE.NAMESPACE:PORT`, a container (name or beginning of its
//! id) or the name of a local process.

pub mod drain;
mod metrics;
pub mod page;
pub mod report;
pub mod standing;
pub mod target;
mod view;
pub mod withdrawn;

use std::time::Duration;

use bytes::Bytes;
use hacheck::routes::Hacheck;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use tracing::warn;

pub use view::View;

type Reply = Response<Full<Bytes>>;

/// Answers requests to the admin interface. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    pub view: View,
    /// For its metrics; its requests come in elsewhere.
    pub hacheck: Hacheck,
}

/// Callers that send this header are programs, not a page of another site in somebody's browser.
pub const CLIENT_HEADER: &str = "x-smartstack-client";
/// The `Host` of our own commands, which come through the Unix socket.
pub const SOCKET_HOST: &str = "smartstack";
/// Longest time a drain call waits.
const MAX_WAIT: Duration = Duration::from_secs(600);

impl Api {
    /// One request.
    pub async fn handle(&self, request: Request<Incoming>) -> Reply {
        if !is_local_name(request.headers().get(header::HOST)) {
            return text(StatusCode::FORBIDDEN, "ask by address or as localhost\n");
        }
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let path = request.uri().path();
        match *request.method() {
            Method::GET if READS.contains(&path) => self.read(path, &query).await,
            Method::POST if CHANGES.contains(&path) => {
                if !request.headers().contains_key(CLIENT_HEADER) {
                    let hint = "send the header X-Smartstack-Client with any value\n";
                    return text(StatusCode::FORBIDDEN, hint);
                }
                self.change(path, &query).await
            }
            _ if READS.contains(&path) || CHANGES.contains(&path) => {
                text(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method\n")
            }
            _ => text(StatusCode::NOT_FOUND, "no such path; the status page is at /\n"),
        }
    }

    async fn read(&self, path: &str, query: &Query) -> Reply {
        match path {
            "/status.json" => json(StatusCode::OK, &report::report(&self.view)),
            "/metrics" => {
                let of_hacheck = |registry: &mut _| self.hacheck.register_metrics(registry);
                let text = metrics::text(&self.view, of_hacheck);
                typed(StatusCode::OK, metrics::CONTENT_TYPE, text)
            }
            "/healthz" => text(StatusCode::OK, "OK\n"),
            "/safe-to-stop" => self.safe_to_stop(query),
            "/standing" => self.standing(query).await,
            _ => page::page(),
        }
    }

    async fn change(&self, path: &str, query: &Query) -> Reply {
        match path {
            "/drain" => self.drain(query).await,
            "/undrain" => self.undrain(query).await,
            "/leave" => self.leave(query).await,
            "/return" => match self.view.host_leave.come_back().await {
                Ok(()) => text(StatusCode::OK, "this host is back in service\n"),
                Err(error) => failed(&error),
            },
            _ => self.mark(path == "/up", query).await,
        }
    }

    fn safe_to_stop(&self, query: &Query) -> Reply {
        match target::resolve(query.get("target"), &self.view) {
            Ok(targets) => json(StatusCode::OK, &drain::progress(&targets, &self.view)),
            Err(reason) => text(StatusCode::NOT_FOUND, format!("{reason}\n")),
        }
    }

    async fn drain(&self, query: &Query) -> Reply {
        let targets = match target::resolve(query.get("target"), &self.view) {
            Ok(targets) => targets,
            Err(reason) => return text(StatusCode::NOT_FOUND, format!("{reason}\n")),
        };
        let order = drain::Order {
            reason: query.get("reason").to_owned(),
            lasts: query.seconds("seconds"),
        };
        if let Err(error) = drain::mark(&targets, &order, &self.view).await {
            warn!(error, "drain: the mark is not on disk");
            return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"));
        }
        json(StatusCode::OK, &drain::wait(&targets, query.wait(), &self.view).await)
    }

    /// The whole host, before it is shut down.
    async fn leave(&self, query: &Query) -> Reply {
        if let Err(error) = self.view.host_leave.leave(query.get("reason")).await {
            // A shutdown must not stop at a full disk.
            warn!(%error, "the host leaves, but a new agent would not know");
        }
        let all = drain::all(&self.view);
        json(StatusCode::OK, &drain::wait(&all, query.wait(), &self.view).await)
    }

    async fn standing(&self, query: &Query) -> Reply {
        match standing::Wanted::parse(query.get("target")) {
            Ok(wanted) => json(StatusCode::OK, &standing::standing(&wanted, &self.view).await),
            Err(reason) => text(StatusCode::BAD_REQUEST, format!("{reason}\n")),
        }
    }

    async fn mark(&self, up: bool, query: &Query) -> Reply {
        let wanted = match standing::Wanted::parse(query.get("target")) {
            Ok(wanted) => wanted,
            Err(reason) => return text(StatusCode::BAD_REQUEST, format!("{reason}\n")),
        };
        match standing::mark(&wanted, up, query.get("reason"), &self.view).await {
            Ok(()) => json(StatusCode::OK, &standing::standing(&wanted, &self.view).await),
            Err(error) => failed(&*error),
        }
    }

    async fn undrain(&self, query: &Query) -> Reply {
        let targets = match target::resolve(query.get("target"), &self.view) {
            Ok(targets) => targets,
            Err(reason) => return text(StatusCode::NOT_FOUND, format!("{reason}\n")),
        };
        match drain::unmark(&targets, &self.view).await {
            Ok(()) => json(StatusCode::OK, &drain::progress(&targets, &self.view)),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

const READS: [&str; 6] =
    ["/", "/status.json", "/metrics", "/healthz", "/safe-to-stop", "/standing"];
const CHANGES: [&str; 6] = ["/drain", "/undrain", "/leave", "/return", "/up", "/down"];

fn failed(error: &dyn std::error::Error) -> Reply {
    let sentence = drain::sentence(error);
    warn!(error = sentence, "a change is not on disk");
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{sentence}\n"))
}

/// A page of another site can make its own name lead to this port; then it asks by that name.
fn is_local_name(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host else { return true };
    let Ok(text) = host.to_str() else { return false };
    let Ok(authority) = text.parse::<hyper::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name == SOCKET_HOST || name.parse::<std::net::IpAddr>().is_ok()
}

/// The arguments of a request.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Self {
        let pair = |piece: &str| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decode(name), decode(value))
        };
        Self(query.split('&').filter(|piece| !piece.is_empty()).map(pair).collect())
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.get(name).parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How long the caller wants to wait; not at all unless told.
    fn wait(&self) -> Duration {
        self.seconds("wait").unwrap_or_default().min(MAX_WAIT)
    }

    /// Empty when it was not given.
    fn get(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// `%41` and `+`; what is not well formed stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = || u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok();
        match (byte, hex()) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Writes a text so that it can stand in a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let piece = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(piece).collect()
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Reply {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            typed(status, "application/json", body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "text/plain; charset=utf-8", body)
}

pub(crate) fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_host_are_answered() {
        let ask = |host: &'static str| is_local_name(Some(&HeaderValue::from_static(host)));
        for host in ["127.0.0.1:6667", "localhost", "localhost:6667", "[::1]:6667", SOCKET_HOST] {
            assert!(ask(host), "{host}");
        }
        for host in ["evil.example", "evil.example:6667", "localhost.evil.example", "", "a b"] {
            assert!(!ask(host), "{host}");
        }
    }

    #[test]
    fn what_is_encoded_comes_back() {
        for text in ["web.main:31000", "a b&c=d", "é\n%", ""] {
            let query = Query::parse(&format!("x=1&t={}", encode(text)));
            assert_eq!(query.get("t"), text);
        }
        assert_eq!(decode("100%+%zz%4"), "100% %zz%4");
    }
}
