//! A small HTTP/1.1 server: one task per connection, everything bounded, an orderly stop.
//!
//! It knows nothing of what it serves. HAProxy speaks HTTP/1.0 without `Host` to it, and scripts built
//! on netcat close their side before they read; both get their answer.

mod guests;
mod inherited;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Notify, Semaphore},
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use self::guests::Guests;
pub use self::inherited::Inherited;

/// What a handler answers.
pub type Reply = Response<Full<Bytes>>;

/// Connections that the kernel keeps while all of ours are taken.
const BACKLOG: i32 = 1024;
/// Running out of file descriptors must not become a busy loop.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long a stop waits for the first request of a new connection.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// At a connection within [`Limits::head_timeout`].
const LOOKS: u32 = 2;

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at once; default 4,096. More wait in the kernel.
    pub connections: usize,
    /// Of these, connections from one address; default 1,024. More are closed at once.
    pub per_peer: usize,
    /// Bytes of a request's head; default 16 KiB.
    pub head: usize,
    /// How long a connection may go without a request, while a head arrives or after an answer;
    /// default 10 s. It is cut after half as much again at the latest.
    pub head_timeout: Duration,
    /// How long a connection may live; default 10 min. A client that never reads its answers would
    /// keep one for ever.
    pub lifetime: Duration,
    /// How long requests under way may take after a stop; default 5 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_peer: 1024,
            head: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            lifetime: Duration::from_secs(600),
            grace: Duration::from_secs(5),
        }
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Somebody with this address.
    Ip(IpAddr),
    /// Somebody on this host who may open our Unix socket.
    Unix,
}

impl Peer {
    /// Whether the request comes from this host.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        match self {
            Self::Ip(address) => address.is_loopback(),
            Self::Unix => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Where requests come in.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// Listens on `address`. To be called within the runtime that will serve.
///
/// # Errors
/// As for [`bind`].
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = bind(address)?;
    TcpListener::from_std(listener).map_err(|source| ListenError { address, source })
}

/// Listens on `address` before any runtime does; several runtimes may serve clones of the listener.
///
/// # Errors
/// Somebody else listens there: without `SO_REUSEPORT` two programs never share a port in silence
/// (hacheck.md §16.13). `SO_REUSEADDR` only takes over what the kernel still holds of a closed one.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bind().map_err(|source| ListenError { address, source })
}

/// Serves until `stop`, then lets the requests under way finish.
pub async fn serve<H, F>(
    listener: impl Into<Listener>,
    limits: Limits,
    handle: H,
    stop: CancellationToken,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let server = Arc::new(Server { handle, limits, stop: stop.clone() });
    let places = Arc::new(Semaphore::new(limits.connections));
    let guests = Guests::new(limits.per_peer);
    let open = TaskTracker::new();
    let listener = listener.into();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            // Cancel-safe: a place that was not used is free again, a connection stays in the kernel.
            accepted = async { (place.await, accept(&listener).await) } => accepted,
        };
        match accepted {
            Ok(accepted) => {
                let Some(guest) = guests.admit(accepted.peer()) else { continue };
                let server = Arc::clone(&server);
                open.spawn(async move {
                    let _place = (place, guest);
                    server.welcome(accepted).await;
                });
            }
            Err(error) => {
                // Not our listener's end: a peer that has gone again, or no file descriptors left.
                warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

impl Accepted {
    fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, peer) => *peer,
            Self::Unix(_) => Peer::Unix,
        }
    }
}

async fn accept(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // Fails if the peer has gone, which shows anyway.
            let _ = stream.set_nodelay(true);
            Ok(Accepted::Tcp(stream, Peer::Ip(address.ip().to_canonical())))
        }
        Listener::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
    }
}

struct Server<H> {
    handle: H,
    limits: Limits,
    stop: CancellationToken,
}

impl<H, F> Server<H>
where
    H: Fn(Peer, Request<Incoming>) -> F,
    F: Future<Output = Reply>,
{
    async fn welcome(&self, accepted: Accepted) {
        match accepted {
            Accepted::Tcp(stream, peer) => self.converse(stream, peer).await,
            Accepted::Unix(stream) => self.converse(stream, Peer::Unix).await,
        }
    }

    /// Answers the requests of one connection.
    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let pulse = Pulse::default();
        let service = service_fn(|request| {
            pulse.begin();
            let reply = (self.handle)(peer, request);
            async {
                let reply = reply.await;
                pulse.end();
                Ok::<_, Infallible>(reply)
            }
        });
        let mut http = http1::Builder::new();
        http.max_header_size(self.limits.head).half_close(true);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            () = self.stop.cancelled() => Err(Reason::Stop),
            reason = pulse.watch(&self.limits) => Err(reason),
        };
        let ended = match ended {
            Ok(ended) => Ok(ended),
            Err(Reason::Silence) => {
                debug!(%peer, "connection cut: its client is silent");
                return;
            }
            Err(Reason::Stop | Reason::Age) => {
                // A connection that was taken a moment ago: its request is on the way, and hyper
                // would close it unanswered.
                tokio::select! {
                    () = pulse.first() => {}
                    _ = connection.as_mut() => return,
                    () = time::sleep(FIRST_REQUEST) => {}
                }
                connection.as_mut().graceful_shutdown();
                time::timeout(self.limits.grace, connection).await
            }
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, %peer, "connection"),
            Err(_) => debug!(%peer, "connection cut: its client is too slow"),
        }
    }
}

/// Why a connection is ended from here.
enum Reason {
    Stop,
    /// It has lived long enough.
    Age,
    /// No request has come for a while.
    Silence,
}

/// The requests of one connection.
///
/// One timer watches all of them, where hyper's own would be set and removed for each: a request
/// that is answered from memory should not pay for that.
#[derive(Default)]
struct Pulse {
    begun: AtomicU64,
    ended: AtomicU64,
    first: Notify,
}

impl Pulse {
    fn begin(&self) {
        if self.begun.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first.notify_one();
        }
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for the first request, which may have come long ago.
    async fn first(&self) {
        if self.begun.load(Ordering::Relaxed) == 0 {
            self.first.notified().await;
        }
    }

    /// Waits for a reason to end the connection. That it is silent shows by looks between which
    /// nothing has begun and nothing was under way.
    async fn watch(&self, limits: &Limits) -> Reason {
        let end = Instant::now() + limits.lifetime;
        let (mut before, mut silent) = (None, 0);
        loop {
            let next = Instant::now() + limits.head_timeout / LOOKS;
            time::sleep_until(next.min(end)).await;
            if Instant::now() >= end {
                return Reason::Age;
            }
            let begun = self.begun.load(Ordering::Relaxed);
            let waits = begun == self.ended.load(Ordering::Relaxed);
            silent = if waits && before == Some(begun) { silent + 1 } else { 0 };
            if silent == LOOKS {
                return Reason::Silence;
            }
            before = waits.then_some(begun);
        }
    }
}

#[cfg(test)]
mod tests;
