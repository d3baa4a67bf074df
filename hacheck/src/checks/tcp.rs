//! The `tcp` check: an instance that accepts a connection is healthy (hacheck.md §7).

use tokio::time::Instant;

use super::{
    connect::{Way, connect},
    dialogue::connected,
    outcome::{Answered, Failure},
};

pub(super) async fn ask(way: Way) -> Result<Answered, Failure> {
    let began = Instant::now();
    connect(way).await?;
    Ok(connected(began))
}
