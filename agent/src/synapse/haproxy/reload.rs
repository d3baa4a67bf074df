//! A reload that is validated, carried out, proven, and undone if the proof fails.

use std::{io, net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{self, Duration, Instant},
};
use tracing::{error, info, warn};

use super::{
    carry, check,
    fingerprint::Fingerprint,
    master::{self, Reloads},
    observed::Info,
    render::Rendered,
    runtime::Runtime,
    settings::Settings,
};
use crate::atomic_file;

/// Between two looks at a HAProxy that is starting; a reload takes 0.05 to 0.8 s (synapse.md §15.1).
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A command that reaches a master while that starts itself over is lost without a word.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a master may be away while it starts itself over: it tries for 2 s to bind a port that
/// another process holds.
const MASTER_AWAY: Duration = Duration::from_secs(3);

/// Why a configuration is not in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was touched.
    #[error("the new configuration is not usable")]
    NotUsable(#[source] check::Error),
    /// The last good configuration is back, on disk and in the process.
    #[error("the reload failed and was undone")]
    Undone(#[source] Unproven),
    /// Neither the new nor the last good configuration is proven to run.
    #[error("the reload failed and could not be undone ({undo})")]
    NotUndone {
        undo: String,
        #[source]
        source: Unproven,
    },
}

impl Error {
    /// HAProxy did not accept the text.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NotUsable(check::Error::Refused(_)))
    }

    /// HAProxy accepted the text and could not start with it: a port may be taken.
    #[must_use]
    pub fn is_of_start(&self) -> bool {
        matches!(
            self,
            Self::Undone(Unproven::Failed) | Self::NotUndone { source: Unproven::Failed, .. }
        )
    }
}

/// What the proof of a reload lacks.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    #[error("haproxy's master process cannot be told to reload")]
    NoMaster(#[source] io::Error),
    #[error("haproxy could not start with it and went on with the old worker")]
    Failed,
    #[error("no new worker with it answered within {0:?}")]
    NotSeen(Duration),
    #[error("the statistics page at {0} does not answer 200")]
    NotServing(SocketAddr),
}

/// Where the last configuration that worked is kept during and after a reload.
#[must_use]
pub fn last_good(settings: &Settings) -> PathBuf {
    let mut name = settings.config_file.clone().into_os_string();
    name.push(".last-good");
    name.into()
}

/// Makes `wanted` the configuration of HAProxy, whose worker was `before`.
///
/// # Errors
/// See [`Error`]: unless it could not even be undone, the last good configuration is in force.
pub async fn reload(
    settings: &Settings,
    runtime: &mut Runtime,
    wanted: &Rendered,
    before: &Info,
) -> Result<Info, Error> {
    let staged = check::check(settings, &wanted.text()).await.map_err(Error::NotUsable)?;
    let kept = keep_last_good(settings).await.map_err(Error::NotUsable)?;
    check::put_in_place(staged).await.map_err(Error::NotUsable)?;
    let began = Instant::now();
    match switch(settings, runtime, before.pid, Some(wanted.fingerprint)).await {
        Ok(info) => {
            info!(pid = info.pid, after = ?began.elapsed(), "haproxy runs the new configuration");
            Ok(info)
        }
        Err(unproven) => {
            error!(reason = %unproven, "the reload is undone");
            Err(undo(settings, runtime, kept, before, unproven).await)
        }
    }
}

/// The bytes of the configuration in force, also put beside it; `None` if there is none.
async fn keep_last_good(settings: &Settings) -> Result<Option<Vec<u8>>, check::Error> {
    let (path, copy) = (settings.config_file.clone(), last_good(settings));
    let keep = move || {
        let Ok(bytes) = std::fs::read(path) else { return Ok(None) };
        atomic_file::write(&copy, &bytes).map(|()| Some(bytes))
    };
    Ok(tokio::task::spawn_blocking(keep).await.map_err(|_| check::Error::Cancelled)??)
}

async fn undo(
    settings: &Settings,
    runtime: &mut Runtime,
    kept: Option<Vec<u8>>,
    before: &Info,
    source: Unproven,
) -> Error {
    let Some(bytes) = kept else {
        return Error::NotUndone { undo: "there was no configuration before".to_owned(), source };
    };
    let path = settings.config_file.clone();
    let restore = tokio::task::spawn_blocking(move || atomic_file::write(&path, &bytes));
    if let Ok(Err(error)) = restore.await {
        return Error::NotUndone { undo: error.to_string(), source };
    }
    if matches!(source, Unproven::NoMaster(_)) {
        // The process was never told of the new file.
        return Error::Undone(source);
    }
    // The worker to leave behind is the unproven one if there is one.
    runtime.disconnect();
    let current = runtime.info().await.map_or(before.pid, |info| info.pid);
    match switch(settings, runtime, current, before.fingerprint).await {
        Ok(_) => Error::Undone(source),
        Err(undo) => Error::NotUndone { undo: undo.to_string(), source },
    }
}

/// Reloads and waits for the proof: a new worker that says it runs `fingerprint` and serves.
async fn switch(
    settings: &Settings,
    runtime: &mut Runtime,
    old_pid: u32,
    fingerprint: Option<Fingerprint>,
) -> Result<Info, Unproven> {
    let before = ask_master(settings).await.map_err(Unproven::NoMaster)?;
    master::end_oldest_workers(settings).await;
    carry::save(settings, runtime).await;
    let switched = ask_and_wait(settings, runtime, old_pid, fingerprint, before).await;
    carry::clear(settings).await;
    switched
}

async fn ask_and_wait(
    settings: &Settings,
    runtime: &mut Runtime,
    old_pid: u32,
    fingerprint: Option<Fingerprint>,
    before: Reloads,
) -> Result<Info, Unproven> {
    let deadline = Instant::now() + settings.proof_timeout;
    let mut asked = ask_to_reload(settings).await;
    let mut seen = false;
    while Instant::now() < deadline {
        if let Some(info) = new_worker(runtime, old_pid, fingerprint, deadline).await {
            seen = true;
            if serves(settings.stats_bind, settings.command_timeout).await {
                return Ok(info);
            }
        }
        let now = master::reloads(&settings.master_socket, settings.command_timeout).await;
        match verdict(before, now.ok()) {
            Verdict::Failed => return Err(Unproven::Failed),
            Verdict::Lost if asked.elapsed() > ASK_AGAIN => asked = ask_to_reload(settings).await,
            Verdict::Lost | Verdict::Pending => {}
        }
        time::sleep(LOOK_AGAIN).await;
    }
    warn!(seen, "no proof of the reload in time");
    Err(if seen {
        Unproven::NotServing(settings.stats_bind)
    } else {
        Unproven::NotSeen(settings.proof_timeout)
    })
}

/// Says when it asked. What comes of it is seen elsewhere.
async fn ask_to_reload(settings: &Settings) -> Instant {
    let _ = master::reload(&settings.master_socket, settings.command_timeout).await;
    Instant::now()
}

/// What the master's count says about the reload that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The master answers and has not counted it.
    Lost,
    /// The master is away, because it starts itself over, or it waits for the new worker.
    Pending,
    Failed,
}

/// A master that does not answer must not be asked again: the command would wait in its socket and
/// make it start over once more, with all frontends paused.
fn verdict(before: Reloads, now: Option<Reloads>) -> Verdict {
    match now {
        Some(now) if now.count == before.count => Verdict::Lost,
        Some(now) if now.failed => Verdict::Failed,
        Some(_) | None => Verdict::Pending,
    }
}

async fn new_worker(
    runtime: &mut Runtime,
    old_pid: u32,
    fingerprint: Option<Fingerprint>,
    deadline: Instant,
) -> Option<Info> {
    // The old connection would lead to the old worker for as long as that lives.
    runtime.disconnect();
    let info = time::timeout_at(deadline, runtime.info()).await.ok()?.ok()?;
    let wanted = fingerprint.is_none() || info.fingerprint == fingerprint;
    (info.pid != old_pid && wanted).then_some(info)
}

/// The master's count of reloads. It starts itself over after each, and is away for a moment.
async fn ask_master(settings: &Settings) -> io::Result<Reloads> {
    let deadline = Instant::now() + MASTER_AWAY;
    loop {
        let answer = master::reloads(&settings.master_socket, settings.command_timeout).await;
        if answer.is_ok() || Instant::now() >= deadline {
            return answer;
        }
        time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether the statistics page answers 200. HEAD, because the whole page of a large host has
/// megabytes (synapse.md §13.7).
async fn serves(bind: SocketAddr, timeout: Duration) -> bool {
    let ip = match bind.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let exchange = async {
        let mut stream = TcpStream::connect((ip, bind.port())).await?;
        stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        io::Result::Ok(status.ends_with(b" 200"))
    };
    matches!(time::timeout(timeout, exchange).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_master_that_answers_and_counted_nothing_is_asked_again() {
        let told = |count, failed| Reloads { count, failed };
        let cases = [
            (Some(told(3, false)), Verdict::Lost),
            // Of the reload before.
            (Some(told(3, true)), Verdict::Lost),
            (None, Verdict::Pending),
            (Some(told(4, false)), Verdict::Pending),
            (Some(told(4, true)), Verdict::Failed),
        ];
        for (now, expected) in cases {
            assert_eq!(verdict(told(3, false), now), expected, "{now:?}");
        }
    }
}
