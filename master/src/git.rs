//! Asks git what a repository has.

use std::{io, process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt, process::Command, time};

use crate::deployments::{Ref, Unreadable, parse};

/// As PaaSTA waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// Ways to a repository that are no commands of the one who names it.
const PROTOCOLS: &str = "file:git:http:https:ssh";
/// Some hundred thousand tags.
const MOST_BYTES: u64 = 64 << 20;
/// Of what git complains.
const MOST_COMPLAINT: u64 = 4096;

/// Why the refs of a repository are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("git cannot be started; is it installed?")]
    Start(#[source] io::Error),
    #[error("git ls-remote {url}: no answer within {} s", PATIENCE.as_secs())]
    Late { url: String },
    #[error("git ls-remote {url}: {complaint}")]
    Failed { url: String, complaint: String },
    #[error("git ls-remote {url}")]
    Io {
        url: String,
        #[source]
        source: io::Error,
    },
    #[error("git ls-remote {url}: more than {} MiB", MOST_BYTES >> 20)]
    TooMuch { url: String },
    #[error("git ls-remote {url}")]
    Unreadable {
        url: String,
        #[source]
        source: Unreadable,
    },
}

/// All refs of the repository at `url`, in git's order.
///
/// # Errors
/// When git fails, says nothing in 20 s, or says what is not understood.
pub async fn refs(url: &str) -> Result<Vec<Ref>, Error> {
    let asked = time::timeout(PATIENCE, ask(url)).await;
    let text = asked.unwrap_or_else(|_| Err(Error::Late { url: url.to_owned() }))?;
    parse(&text).map_err(|source| Error::Unreadable { url: url.to_owned(), source })
}

async fn ask(url: &str) -> Result<String, Error> {
    let io = |source| Error::Io { url: url.to_owned(), source };
    let mut git = Command::new("git");
    // A URL comes from a file: it must be no option, no command, and nobody is there to be asked.
    git.args(["ls-remote", "--", url])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut git = git.spawn().map_err(Error::Start)?;
    let (mut out, mut complaint) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (git.stdout.take(), git.stderr.take());
    let read_out = async {
        let Some(stdout) = stdout else { return Ok(0) };
        stdout.take(MOST_BYTES + 1).read_to_end(&mut out).await
    };
    let read_complaint = async {
        let Some(mut stderr) = stderr else { return Ok(0) };
        let read = (&mut stderr).take(MOST_COMPLAINT).read_to_end(&mut complaint).await?;
        // The rest is of no use, and must not stop git.
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        Ok(read)
    };
    tokio::try_join!(read_out, read_complaint).map_err(io)?;
    if out.len() as u64 > MOST_BYTES {
        return Err(Error::TooMuch { url: url.to_owned() });
    }
    let status = git.wait().await.map_err(io)?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        let lines = complaint.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| line.replace(char::is_control, " ")).collect();
        let complaint = if lines.is_empty() { status.to_string() } else { lines.join("; ") };
        return Err(Error::Failed { url: url.to_owned(), complaint });
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
