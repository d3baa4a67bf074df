//! Protocols of lines over TCP.

use bytes::Bytes;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::Instant,
};

use super::{
    connect::{Way, connect},
    outcome::{Answered, Failure},
};

/// Longest line that is read; none of these protocols has longer ones.
const MAX_LINE: usize = 4096;

/// A conversation in lines.
#[derive(Debug)]
pub(super) struct Dialogue {
    stream: BufReader<TcpStream>,
    began: Instant,
}

impl Dialogue {
    pub(super) async fn open(way: Way) -> Result<Self, Failure> {
        let began = Instant::now();
        Ok(Self { stream: BufReader::with_capacity(MAX_LINE, connect(way).await?), began })
    }

    pub(super) async fn say(&mut self, words: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(words).await?)
    }

    /// The next line, its end included.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(MAX_LINE as u64);
        bounded.read_until(b'\n', &mut line).await?;
        match line.last() {
            Some(b'\n') => Ok(line),
            Some(_) if line.len() == MAX_LINE => Err(Failure::Endless(MAX_LINE)),
            _ => Err(Failure::Closed),
        }
    }

    /// As every protocol that carries no text of its own answers (hacheck.md §7).
    pub(super) fn went_well(&self) -> Answered {
        connected(self.began)
    }
}

pub(super) fn connected(began: Instant) -> Answered {
    (200, Bytes::from(format!("Connected in {:.2}s", began.elapsed().as_secs_f64())))
}
