//! One request over http or https on a connection of its own.

mod tls;

use std::{io, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use soa_configs::paasta::Secret;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

/// Characters.
const MOST_COMPLAINT: usize = 300;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    pub method: Method,
    /// The whole URL.
    pub url: &'q str,
    /// The header `Authorization`.
    pub login: Option<&'q str>,
    /// JSON, or nothing.
    pub body: &'q str,
    /// For everything: the name, the connection and the whole answer.
    pub patience: Duration,
    /// A longer answer is none.
    pub most: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("`{0}` is no http or https URL of a server")]
    Url(String),
    #[error("cannot connect to {url}")]
    Connect {
        url: String,
        #[source]
        source: io::Error,
    },
    #[error("no TLS with {url}")]
    Tls {
        url: String,
        #[source]
        source: io::Error,
    },
    #[error("{url} does not answer within {patience:?}")]
    Late { url: String, patience: Duration },
    #[error("the connection to {url} broke")]
    Broken {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What `Authorization` says of a user with a password.
#[must_use]
pub fn basic(user: &str, password: &Secret) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0)))
}

/// The beginning of what a server complains of, on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().take(MOST_COMPLAINT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What a server complains of, on one line. One that does not lead may hand on no reasons.
#[must_use]
pub fn reason(text: &str) -> String {
    if text.trim().is_empty() { "no reason given".to_owned() } else { one_line(text) }
}

/// A URL as it may be told: on one line, and without a password.
#[must_use]
pub fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => one_line(&format!("{scheme}://{host}{path}")),
        None => one_line(url),
    }
}

/// # Errors
/// When there is no whole answer in time. Whatever status it has, it is one.
pub async fn ask(question: Question<'_>) -> Result<(StatusCode, Bytes), Failure> {
    let (url, patience) = (shown(question.url), question.patience);
    let asked = time::timeout(patience, exchange(question)).await;
    asked.unwrap_or(Err(Failure::Late { url, patience }))
}

async fn exchange(question: Question<'_>) -> Result<(StatusCode, Bytes), Failure> {
    let url = || shown(question.url);
    let target: Uri = question.url.parse().map_err(|_| Failure::Url(url()))?;
    let is_tls = match target.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(Failure::Url(url())),
    };
    let host = target.host().ok_or_else(|| Failure::Url(url()))?;
    let request = request(&question, &target).map_err(|_| Failure::Url(url()))?;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let port = target.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((name, port)).await;
    let stream = stream.map_err(|source| Failure::Connect { url: url(), source })?;
    if is_tls {
        let stream = tls::open(name, stream).await;
        let stream = stream.map_err(|source| Failure::Tls { url: url(), source })?;
        answer(&question, request, stream).await
    } else {
        answer(&question, request, stream).await
    }
}

async fn answer(
    question: &Question<'_>,
    request: Request<Full<Bytes>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(StatusCode, Bytes), Failure> {
    let broken = |source| Failure::Broken { url: shown(question.url), source };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), question.most).collect().await.map_err(broken)?;
    connection.abort();
    Ok((status, body.to_bytes()))
}

fn request(
    question: &Question<'_>,
    target: &Uri,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let authority = target.authority().map_or("", |authority| authority.as_str());
    // Who asks is said by a header of its own, if at all.
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(&question.method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "*/*")
        .header(header::USER_AGENT, concat!("paasta-master/", env!("CARGO_PKG_VERSION")));
    if let Some(login) = question.login {
        request = request.header(header::AUTHORIZATION, login);
    }
    if !question.body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(Bytes::copy_from_slice(question.body.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_without_its_password_on_one_line() {
        for (url, told) in [
            ("http://u:p@h:80/a@b?x", "http://h:80/a@b?x"),
            ("https://h/a\nb", "https://h/a b"),
            ("http://h/u:p@x", "http://h/u:p@x"),
            ("h:80", "h:80"),
            ("", ""),
        ] {
            assert_eq!(shown(url), told);
        }
    }
}
