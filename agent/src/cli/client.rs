//! Asks a running agent over its admin socket.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Method, Request, StatusCode, header};
use tokio::{net::UnixStream, time};

use crate::{
    api::{CLIENT_HEADER, SOCKET_HOST},
    http_client::{self, Failure},
};

/// Larger than the report of a host with thousands of namespaces.
const MAX_ANSWER: usize = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A caller of the admin interface.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// `GET path`; the body of a 200.
    ///
    /// # Errors
    /// When the agent does not answer, or answers no.
    pub async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        self.ask(Method::GET, path, PATIENCE).await
    }

    /// `POST path`, waiting `beyond` longer than usual.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, beyond: Duration) -> anyhow::Result<Bytes> {
        self.ask(Method::POST, path, PATIENCE + beyond).await
    }

    async fn ask(&self, method: Method, path: &str, limit: Duration) -> anyhow::Result<Bytes> {
        let (status, body) = time::timeout(limit, self.exchange(method, path))
            .await
            .with_context(|| format!("the agent at {} does not answer", self.socket.display()))??;
        if status != StatusCode::OK {
            bail!("{}", String::from_utf8_lossy(&body).trim_end());
        }
        Ok(body)
    }

    async fn exchange(&self, method: Method, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!(
                "cannot reach the agent at {}; is it running (systemctl status smartstack)? \
                 --socket names another one",
                self.socket.display()
            )
        })?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, SOCKET_HOST)
            .header(CLIENT_HEADER, "command line")
            .body(Empty::<Bytes>::new())?;
        http_client::ask(stream, request, MAX_ANSWER).await.map_err(|failure| match failure {
            Failure::Request(error) => error.into(),
            Failure::Body(error) => anyhow::anyhow!("the agent's answer broke off: {error}"),
        })
    }
}
