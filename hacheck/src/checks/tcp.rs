//! The `tcp` check: an instance that accepts a connection is healthy (hacheck.md §7).

use bytes::Bytes;
use tokio::{net::TcpStream, time::Instant};

use super::{CheckRequest, outcome::Failure};

pub(super) async fn ask(request: &CheckRequest) -> Result<(u16, Bytes), Failure> {
    let (address, started) = (request.address(), Instant::now());
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| Failure::Connect(address, error))?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((200, format!("Connected in {seconds:.2}s").into()))
}
