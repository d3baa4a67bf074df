//! A client that asks at a steady pace and knows how long each answer took.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

use crate::Failure;

/// One connection that stays open.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) async fn open(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(4096) })
    }

    /// Status and time of one GET.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        headers: &str,
    ) -> Result<(u16, Duration), Failure> {
        let begun = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the server has hung up".into());
            }
            let text = String::from_utf8_lossy(&self.answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Ok((status.ok_or("no status")?, begun.elapsed()));
            }
        }
    }
}

/// Asks for every path once in each period, evenly spread over `connections`, until `lasts` is over;
/// the time of each answer, and how many were no 200.
pub(crate) async fn steadily(
    port: u16,
    paths: Vec<(String, String)>,
    connections: usize,
    period: Duration,
    lasts: Duration,
) -> Result<(Vec<Duration>, usize), Failure> {
    let share = paths.len().div_ceil(connections);
    let mut clients = JoinSet::new();
    let count = u32::try_from(paths.len().div_ceil(share))?;
    for (number, paths) in (0..count).zip(paths.chunks(share).map(<[_]>::to_vec)) {
        clients.spawn(async move {
            let mut client = Client::open(port).await?;
            let pause = period / u32::try_from(paths.len())?;
            // A crowd that asks in step would measure its own rush.
            time::sleep(pause * number / count).await;
            let mut pace = time::interval(pause);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut times, mut failed) = (Vec::new(), 0);
            let end = Instant::now() + lasts;
            for (path, headers) in paths.iter().cycle() {
                pace.tick().await;
                if Instant::now() >= end {
                    break;
                }
                let (status, took) = client.get(path, headers).await?;
                failed += usize::from(status != 200);
                times.push(took);
            }
            Ok::<_, Failure>((times, failed))
        });
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    while let Some(joined) = clients.join_next().await {
        let (some, lost) = joined??;
        times.extend(some);
        failed += lost;
    }
    Ok((times, failed))
}

/// The 50th and 99th percentile and the worst, in milliseconds.
pub(crate) fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let rank = |percent: usize| {
        let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(at).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    format!("{:8.2} {:8.2} {:8.2}", rank(50), rank(99), rank(100))
}
