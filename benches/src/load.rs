//! A steady stream of requests through HAProxy, and who answered each.

use std::{io, time::Duration};

use end_to_end::web::{self, Connection};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};

/// Between two requests of one connection. Timers are no finer.
const PAUSE: Duration = Duration::from_millis(1);
/// Of each kind: kept open, and closed after one request.
const CONNECTIONS: usize = 3;
/// Answers that nobody has looked at yet; the requests wait when it is full.
const QUEUE: usize = 65_536;
/// No change takes so long; something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a request was answered and by whom; `None`: it failed.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) at: Instant,
    pub(crate) server: Option<String>,
}

/// The stream; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Load {
    answers: mpsc::Receiver<Answer>,
    requests: u64,
    failed: u64,
    began: Instant,
    _clients: JoinSet<()>,
}

/// How a stream went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) per_second: u64,
}

impl Load {
    /// Sends requests to `port`, half of them over connections that stay open.
    pub(crate) fn on(port: u16) -> Self {
        let (sender, answers) = mpsc::channel(QUEUE);
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(keep_open(port, sender.clone()));
            clients.spawn(close_each(port, sender.clone()));
        }
        Self { answers, requests: 0, failed: 0, began: Instant::now(), _clients: clients }
    }

    /// The next answer; none for 20 s is an error.
    pub(crate) async fn next(&mut self) -> io::Result<Answer> {
        let answer = time::timeout(PATIENCE, self.answers.recv()).await?;
        let answer = answer.ok_or_else(|| io::Error::other("the load has ended"))?;
        self.requests += 1;
        self.failed += u64::from(answer.server.is_none());
        Ok(answer)
    }

    /// When `server` first answers after `since`.
    pub(crate) async fn first_from(&mut self, server: &str, since: Instant) -> io::Result<Instant> {
        loop {
            let answer = self.next().await?;
            if answer.at >= since && answer.server.as_deref() == Some(server) {
                return Ok(answer.at);
            }
            if answer.at > since + PATIENCE {
                return Err(io::Error::other(format!("{server} is not served")));
            }
        }
    }

    /// When `server` last answered, once it has been silent for `quiet`; `since` if it never did.
    pub(crate) async fn last_from(
        &mut self,
        server: &str,
        since: Instant,
        quiet: Duration,
    ) -> io::Result<Instant> {
        let mut last = since;
        loop {
            let answer = self.next().await?;
            if answer.at > last && answer.server.as_deref() == Some(server) {
                last = answer.at;
            }
            if answer.at > last + quiet {
                return Ok(last);
            }
            if answer.at > since + PATIENCE {
                return Err(io::Error::other(format!("{server} is served for ever")));
            }
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = self.requests.saturating_mul(1000) / millis;
        Tally { requests: self.requests, failed: self.failed, per_second }
    }
}

async fn close_each(port: u16, answers: mpsc::Sender<Answer>) {
    loop {
        let server = web::get(port, "/").await.ok().and_then(who);
        if answers.send(Answer { at: Instant::now(), server }).await.is_err() {
            return;
        }
        time::sleep(PAUSE).await;
    }
}

async fn keep_open(port: u16, answers: mpsc::Sender<Answer>) {
    let mut connection = None;
    loop {
        let server = ask(&mut connection, port).await.ok().and_then(who);
        if answers.send(Answer { at: Instant::now(), server }).await.is_err() {
            return;
        }
        time::sleep(PAUSE).await;
    }
}

/// Opens another connection when HAProxy has ended the last one between two requests.
async fn ask(kept: &mut Option<Connection>, port: u16) -> Result<web::Answer, web::Error> {
    let mut connection = match kept.take() {
        Some(connection) if connection.is_open() => connection,
        _ => Connection::open(port).await?,
    };
    let answer = connection.get("/").await?;
    *kept = Some(connection);
    Ok(answer)
}

/// The name in the answer of a demo service.
pub(crate) fn who((status, body): web::Answer) -> Option<String> {
    let name = body.trim().strip_prefix("hello from ")?;
    (status == 200).then(|| name.to_owned())
}
