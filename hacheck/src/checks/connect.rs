//! The way to an instance.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::SocketAddr,
};

use tokio::net::TcpStream;

use super::outcome::Failure;

/// Where a port of this host leads when loopback refuses it.
///
/// Docker's proxies, which carry loopback to a published port, die with its daemon; the container
/// behind lives on under live-restore and can be asked at its own address.
pub type Detours = BTreeMap<u16, SocketAddr>;

/// Where to connect to, and where else if that is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) address: SocketAddr,
    pub(super) detour: Option<SocketAddr>,
}

pub(super) async fn connect(way: Way) -> Result<TcpStream, Failure> {
    let fail = |error: io::Error| Failure::Connect(way.address, error);
    let connected = match (TcpStream::connect(way.address).await, way.detour) {
        (Err(error), Some(detour)) if error.kind() == ErrorKind::ConnectionRefused => {
            // The refusal is what is told: nobody knows the detour.
            TcpStream::connect(detour).await.map_err(|_| fail(error))
        }
        (connected, _) => connected.map_err(fail),
    };
    let stream = connected?;
    // Fails if the peer has gone, which shows anyway.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
