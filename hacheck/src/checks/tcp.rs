//! The `tcp` check: an instance that accepts a connection is healthy (hacheck.md §7).

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    connect::{Way, connect},
    outcome::Failure,
};

pub(super) async fn ask(way: Way) -> Result<(u16, Bytes), Failure> {
    let started = Instant::now();
    connect(way).await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((200, format!("Connected in {seconds:.2}s").into()))
}
