//! The socket of HAProxy's master process: reloads, and whether the last one failed.

use std::{io, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time,
};
use tracing::warn;

use super::settings::Settings;

/// Of one answer.
const MAX_REPLY_BYTES: u64 = 64 * 1024;

/// Asks HAProxy to read its configuration again. It answers by closing the connection when it
/// starts over; what comes of it has to be observed.
///
/// # Errors
/// When the master cannot be reached within `timeout`.
pub async fn reload(socket: &Path, timeout: Duration) -> io::Result<()> {
    ask(socket, "reload", timeout).await.map(drop)
}

/// What the master says about its reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloads {
    /// Since it was started.
    pub count: u32,
    /// The last one failed, and the old worker went on.
    pub failed: bool,
}

/// Reads the master's line of `show proc`.
///
/// # Errors
/// When the master cannot be reached within `timeout`, or does not say.
pub async fn reloads(socket: &Path, timeout: Duration) -> io::Result<Reloads> {
    let processes = ask(socket, "show proc;quit", timeout).await?;
    parse(&processes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Ends the oldest of the workers that still live for their last connections, if there are too many.
pub(super) async fn end_oldest_workers(settings: &Settings) {
    let Ok(processes) =
        ask(&settings.master_socket, "show proc;quit", settings.command_timeout).await
    else {
        return;
    };
    let old = old_workers(&processes);
    // There will be one more.
    let most = settings.max_old_workers.saturating_sub(1);
    for pid in old.iter().take(old.len().saturating_sub(most)) {
        warn!(pid, "too many old haproxy workers; the oldest is ended");
        if let Err(error) = kill(Pid::from_raw(*pid), Signal::SIGTERM) {
            warn!(pid, %error, "it cannot be ended");
        }
    }
}

/// Under `# old workers`: pid, `worker`, reloads it has lived through, ...; oldest first.
fn old_workers(processes: &str) -> Vec<i32> {
    let lines = processes.lines().skip_while(|line| !line.starts_with("# old workers")).skip(1);
    let mut old: Vec<(u32, i32)> = lines
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let pid = words.first()?.parse().ok().filter(|pid| *pid > 1)?;
            (*words.get(1)? == "worker").then_some(())?;
            let reloads = words[2..].iter().find_map(|word| word.parse().ok())?;
            Some((reloads, pid))
        })
        .collect();
    old.sort_unstable_by(|a, b| b.cmp(a));
    old.into_iter().map(|(_, pid)| pid).collect()
}

/// Whether a master answers.
pub async fn is_there(socket: &Path, timeout: Duration) -> bool {
    reloads(socket, timeout).await.is_ok()
}

async fn ask(socket: &Path, command: &str, timeout: Duration) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut reply = Vec::new();
        match stream.take(MAX_REPLY_BYTES).read_to_end(&mut reply).await {
            // A master that starts over may cut the connection.
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(String::from_utf8_lossy(&reply).into_owned()),
        }
    };
    time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// `<pid> master <count> [failed: N] …`; N is 0 again after the next success (synapse.md §14). HAProxy
/// 2.4 has a column more and does not say N: there only a new worker proves a reload.
fn parse(processes: &str) -> Option<Reloads> {
    let header = processes.lines().find(|line| line.starts_with('#'))?;
    let column = header.split('<').skip(1).position(|name| name.starts_with("reloads>"))?;
    let line = processes.lines().find(|line| line.split_whitespace().nth(1) == Some("master"))?;
    let count = line.split_whitespace().nth(column)?.parse().ok()?;
    let failures = line.split_once("[failed: ").and_then(|(_, after)| after.split_once(']'));
    let failures = failures.map_or(Some(0), |(failures, _)| failures.trim().parse::<u32>().ok())?;
    Some(Reloads { count, failed: failures > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_reloads_and_failures_are_read() {
        let with = |failures: &str| {
            format!(
                "#<PID>  <type>  <reloads>  <uptime>\n18040  master  3 [failed: {failures}]  0d00h15m37s\n# workers\n"
            )
        };
        assert_eq!(parse(&with("0")), Some(Reloads { count: 3, failed: false }));
        assert_eq!(parse(&with("2")), Some(Reloads { count: 3, failed: true }));
        assert_eq!(parse(&with("many")), None);
        let old =
            "#<PID> <type> <relative PID> <reloads> <uptime>\n9815 master 0 4 0d00h00m01s 2.4.14\n";
        assert_eq!(parse(old), Some(Reloads { count: 4, failed: false }));
        assert_eq!(parse("Permission denied\n"), None);
    }

    #[test]
    fn old_workers_are_told_from_others_oldest_first() {
        let processes = "#<PID> <type> <reloads> <uptime> <version>\n\
            18040 master 3 [failed: 0] 0d00h15m37s 2.6.12\n\
            # workers\n18100 worker 0 0d00h00m03s 2.6.12\n\
            # old workers\n18041 worker [was: 1] 3 0d00h15m37s 2.6.12\n\
            18077 worker 1 0d00h05m 2.6.12\n1 worker 9 x\nnonsense\n# programs\n5 worker 9 x\n";
        assert_eq!(old_workers(processes), [18041, 18077]);
        assert_eq!(old_workers("Permission denied\n"), [0; 0]);
    }

    #[tokio::test]
    async fn a_master_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(reload(&dir.path().join("m.sock"), Duration::from_secs(1)).await.is_err());
        assert!(!is_there(&dir.path().join("m.sock"), Duration::from_secs(1)).await);
    }
}
