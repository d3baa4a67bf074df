//! One request on a connection of its own, with a deadline for everything.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

use super::Fault;

/// A mark's text is a line of at most some 4,300 bytes.
const MAX_BODY: usize = 64 * 1024;
/// hyper's smallest for a head is 8 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// How hosts are asked.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `User-Agent`: the name of the program, and a blank before its version.
    pub user_agent: String,
    /// What `Authorization: Bearer` carries, for hosts whose hacheck asks for it; default: none.
    pub token: Option<String>,
    /// How long a connection may take, name and all; default 3 s. A host that is gone costs this
    /// once in each round.
    pub connect_timeout: Duration,
    /// How long an exchange may take in all; default 10 s, above the 5 s that our hacheck waits for
    /// its disk.
    pub timeout: Duration,
    /// Requests under way at once, over all hosts; default 100.
    pub at_once: NonZeroUsize,
}

/// A text that cannot stand in a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} cannot stand in a header")]
pub struct InvalidHeader(&'static str);

impl HttpSettings {
    /// The defaults, for a program with this `User-Agent`.
    #[must_use]
    pub fn new(user_agent: impl Into<String>) -> Self {
        Self {
            user_agent: user_agent.into(),
            token: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            at_once: NonZeroUsize::new(100).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    Get,
    /// With a form.
    Post(&'a str),
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Client {
    user_agent: HeaderValue,
    authorization: Option<HeaderValue>,
    connect_timeout: Duration,
    timeout: Duration,
    max_body: usize,
}

impl Client {
    pub(crate) fn new(settings: HttpSettings) -> Result<Self, InvalidHeader> {
        let HttpSettings { user_agent, token, connect_timeout, timeout, .. } = settings;
        let user_agent = user_agent.try_into().map_err(|_| InvalidHeader("name of the program"))?;
        let authorization = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| InvalidHeader("token"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let authorization = authorization.transpose()?;
        Ok(Self { user_agent, authorization, connect_timeout, timeout, max_body: MAX_BODY })
    }

    /// Takes bodies of up to so many bytes.
    pub(crate) fn with_body_limit(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    pub(crate) async fn exchange(
        &self,
        host: &str,
        port: u16,
        ask: Ask<'_>,
        path: &str,
    ) -> Result<Reply, Fault> {
        let deadline = Instant::now() + self.timeout;
        let connect = time::timeout(self.connect_timeout, connect(host, port)).await;
        let stream = connect.unwrap_or(Err(Fault::Gone(self.connect_timeout)))?;
        let request = self.request(host, port, ask, path)?;
        let talk = time::timeout_at(deadline, converse(stream, request, self.max_body)).await;
        talk.unwrap_or(Err(Fault::Silent(self.timeout)))
    }

    fn request(
        &self,
        host: &str,
        port: u16,
        ask: Ask<'_>,
        path: &str,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let (method, form) = match ask {
            Ask::Get => (Method::GET, ""),
            Ask::Post(form) => (Method::POST, form),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if matches!(ask, Ask::Post(_)) {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        // A host whose name resolves can always stand in a header.
        let body = Full::from(Bytes::copy_from_slice(form.as_bytes()));
        request.body(body).map_err(|error| Fault::Broken(error.to_string()))
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, Fault> {
    let resolved = tokio::net::lookup_host((host, port)).await;
    let addresses = resolved.map_err(|error| Fault::Unknown(Arc::new(error)))?;
    let mut refused = std::io::Error::other("the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(Fault::Unreachable(Arc::new(refused)))
}

async fn converse(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
    max_body: usize,
) -> Result<Reply, Fault> {
    let broken = |error: hyper::Error| Fault::Broken(error.to_string());
    let handshake =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        Ok(Reply { status, body: receive(answer.into_body(), max_body).await? })
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        // Nothing of the connection outlives this call, whoever gives up on it.
        answer = &mut answer => return answer,
        _ = connection => {}
    }
    // The connection has ended, and with it everything that can still be received.
    answer.await
}

async fn receive(mut body: Incoming, max_body: usize) -> Result<Bytes, Fault> {
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if received.len() + data.len() > max_body {
            return Err(Fault::Broken(format!("its body is longer than {max_body} bytes")));
        }
        received.extend_from_slice(&data);
    }
    Ok(received.freeze())
}
