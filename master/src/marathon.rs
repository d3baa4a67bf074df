//! Marathon's REST interface, as far as it is asked (marathon-sync.md §14 and §22).

mod shards;

use std::{io, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use soa_configs::paasta::MarathonServer;
use tokio::{net::TcpStream, time};

pub use shards::{NoShard, Shards};

/// For one URL: the name, the connection and the whole answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Some ten thousand apps.
const MOST_BYTES: usize = 256 << 20;
/// Of what Marathon complains.
const MOST_COMPLAINT: usize = 300;

/// An app that Marathon has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// With its leading slash.
    pub id: String,
    /// How many tasks it is to have.
    pub instances: i64,
}

/// Why a group of servers did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is no http URL of a server")]
    Url(String),
    #[error("cannot connect to {url}")]
    Connect {
        url: String,
        #[source]
        source: io::Error,
    },
    #[error("{url} does not answer within {} s", PATIENCE.as_secs())]
    Late { url: String },
    #[error("{url} answers {status}: {message}")]
    Refused { url: String, status: StatusCode, message: String },
    #[error("the connection to {url} broke")]
    Broken {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("what {url} answers is no list of apps")]
    Unreadable {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// Another server of the group may do better: this one was not reached.
    fn is_of_connection(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Late { .. } | Self::Broken { .. })
    }
}

/// One group of servers that hold the same apps.
#[derive(Clone, Copy, Debug)]
pub struct Marathon<'s>(pub &'s MarathonServer);

impl Marathon<'_> {
    /// All apps.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn apps(self) -> Result<Vec<Listed>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            apps: Vec<Listed>,
        }
        let (url, body) = self.ask(Method::GET, "/v2/apps", "").await?;
        let read = serde_json::from_slice::<Answer>(&body);
        read.map(|answer| answer.apps).map_err(|source| Error::Unreadable { url, source })
    }

    /// Gives an app another number of tasks, also while it is being changed. `id` has its leading slash.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn scale(self, id: &str, instances: u32) -> Result<(), Error> {
        let body = serde_json::json!({"instances": instances}).to_string();
        self.ask(Method::PUT, &format!("/v2/apps/{id}?force=True"), &body).await.map(drop)
    }

    /// Removes an app and its tasks, also while it is being changed. One that is not there is removed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, id: &str) -> Result<(), Error> {
        let asked = self.ask(Method::DELETE, &format!("/v2/apps/{id}?force=True"), "").await;
        match asked {
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            asked => asked.map(drop),
        }
    }

    /// Asks the servers in order: the first that can be reached answers for all. Returns its URL, too.
    async fn ask(self, method: Method, path: &str, body: &str) -> Result<(String, Bytes), Error> {
        let mut last = None;
        for url in &self.0.urls {
            let asked = time::timeout(PATIENCE, exchange(self.0, url, &method, path, body)).await;
            match asked.unwrap_or_else(|_| Err(Error::Late { url: url.clone() })) {
                Err(error) if error.is_of_connection() => last = Some(error),
                answer => return answer.map(|body| (url.clone(), body)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Url(String::new())))
    }
}

async fn exchange(
    server: &MarathonServer,
    url: &str,
    method: &Method,
    path: &str,
    body: &str,
) -> Result<Bytes, Error> {
    let unfit = || Error::Url(url.to_owned());
    let target: Uri = url.parse().map_err(|_| unfit())?;
    let host = target.host().filter(|_| target.scheme_str() == Some("http")).ok_or_else(unfit)?;
    let port = target.port_u16().unwrap_or(80);
    let request = request(server, &target, method, path, body).map_err(|_| unfit())?;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port));
    let stream = stream.await.map_err(|source| Error::Connect { url: url.to_owned(), source })?;
    let broken = |source| Error::Broken { url: url.to_owned(), source };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await.map_err(broken)?;
    connection.abort();
    let body = body.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    Err(Error::Refused { url: url.to_owned(), status, message: complaint(&body) })
}

fn request(
    server: &MarathonServer,
    target: &Uri,
    method: &Method,
    path: &str,
    body: &str,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let login = BASE64_STANDARD.encode(format!("{}:{}", server.user, server.password.0));
    let authority = target.authority().map_or("", |authority| authority.as_str());
    Request::builder()
        .method(method)
        .uri(format!("{}{path}", target.path().trim_end_matches('/')))
        .header(header::HOST, authority)
        .header(header::AUTHORIZATION, format!("Basic {login}"))
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("paasta-master/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
}

/// The `message` of an error, or whatever else was said, on one line.
fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.message);
    let text = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    text.chars().take(MOST_COMPLAINT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
