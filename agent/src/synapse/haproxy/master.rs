//! The socket of HAProxy's master process: reloads, and whether the last one failed.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time,
};

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

/// Whether the last reload failed and the old worker went on; `None`: the master does not say.
///
/// # Errors
/// When the master cannot be reached within `timeout`.
pub async fn last_reload_failed(socket: &Path, timeout: Duration) -> io::Result<Option<bool>> {
    Ok(failed(&ask(socket, "show proc;quit", timeout).await?))
}

/// Whether a master answers.
pub async fn is_there(socket: &Path, timeout: Duration) -> bool {
    last_reload_failed(socket, timeout).await.is_ok()
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

/// Reads `[failed: N]` in the master's line of `show proc`; N is 0 again after the next success
/// (synapse.md §14).
fn failed(processes: &str) -> Option<bool> {
    let (_, after) = processes.split_once("[failed: ")?;
    let (count, _) = after.split_once(']')?;
    Some(count.trim().parse::<u32>().ok()? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_failures_is_read() {
        let with =
            |count: &str| format!("#<PID>\n18040  master  1 [failed: {count}]  0d00h15m37s\n");
        assert_eq!(failed(&with("0")), Some(false));
        assert_eq!(failed(&with("2")), Some(true));
        assert_eq!(failed("Permission denied\n"), None);
    }

    #[tokio::test]
    async fn a_master_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(reload(&dir.path().join("m.sock"), Duration::from_secs(1)).await.is_err());
        assert!(!is_there(&dir.path().join("m.sock"), Duration::from_secs(1)).await);
    }
}
