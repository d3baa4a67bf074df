//! A plain HTTP client: one connection a request, as real checkers do, or one that stays open.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle, time};

/// Why there is no answer.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Status and body.
pub type Answer = (u16, String);

const LIMIT: Duration = Duration::from_secs(30);

/// `GET path` from a port of this host.
///
/// # Errors
/// When there is no answer.
pub async fn get(port: u16, path: &str) -> Result<Answer, Error> {
    send(port, Method::GET, path, &[], "").await
}

/// `POST path` with a form.
///
/// # Errors
/// When there is no answer.
pub async fn post(port: u16, path: &str, form: &str) -> Result<Answer, Error> {
    let kind =
        [("content-type", "application/x-www-form-urlencoded"), ("x-smartstack-client", "test")];
    send(port, Method::POST, path, &kind, form).await
}

/// `GET path`, with the headers of the answer.
///
/// # Errors
/// When there is no answer.
pub async fn get_with_headers(port: u16, path: &str) -> Result<(u16, HeaderMap, String), Error> {
    exchange(local(port), Method::GET, path, &[], "").await
}

/// One request.
///
/// # Errors
/// When there is no answer.
pub async fn send(
    port: u16,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, Error> {
    let (status, _, body) = exchange(local(port), method, path, headers, body).await?;
    Ok((status, body))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// One request to any address, and all of its answer.
///
/// # Errors
/// When there is no answer.
pub async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, HeaderMap, String), Error> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", address.to_string()).header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            sender.send_request(request.body(Full::new(Bytes::from(body.to_owned())))?).await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok((status, headers, String::from_utf8_lossy(&body).into_owned()))
    };
    time::timeout(LIMIT, exchange).await?
}

/// A connection that stays open between requests. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<Result<(), hyper::Error>>,
    host: String,
}

impl Connection {
    /// Connects to a port of this host.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(port: u16) -> Result<Self, Error> {
        let address = local(port);
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: tokio::spawn(connection), host: address.to_string() })
    }

    /// Whether the other side has left it open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        let request = Request::get(path).header("host", &self.host).body(Full::default())?;
        let exchange = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        time::timeout(LIMIT, exchange).await?
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
