//! The stand-alone program `hacheck`, and the tools that are links to it.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::TcpListener,
    os::{fd::OwnedFd, unix::fs::symlink},
    path::PathBuf,
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time,
};

use crate::{eventually, host::program, ports::Port, web};

const PATIENCE: Duration = Duration::from_secs(60);
/// Hands standard input on as systemd hands on a listening socket.
const HAND_OVER: &str = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null"#;

/// A spool directory, a port, and whatever of hacheck runs on them.
#[derive(Debug)]
pub struct Hacheck {
    dir: TempDir,
    pub port: Port,
}

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

/// A program of ours that takes its standard input for a listening socket handed over by systemd.
pub(crate) fn heir(name: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", HAND_OVER, "sh"]).arg(program(name));
    command
}

impl Hacheck {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// When files or ports cannot be had.
    pub fn new() -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("hacheck-test-").tempdir()?;
        Ok(Self { dir, port: Port::free()? })
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.path("spool")
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        File::create(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// The program with the flags that every test needs.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("hacheck"));
        self.prepare(&mut command, words);
        command
    }

    fn prepare(&self, command: &mut Command, words: &[&str]) {
        let port = self.port.number.to_string();
        command.args(["-B", "127.0.0.1", "-p", &port, "--spool-root"]).arg(self.spool());
        command.args(words).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        if let Ok(log) = File::options().create(true).append(true).open(self.path("stderr")) {
            command.stderr(log);
        }
    }

    /// Starts the daemon, and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&self, words: &[&str]) -> io::Result<Running> {
        let running = Running { child: self.command(words).spawn()? };
        self.until_it_answers().await;
        Ok(running)
    }

    /// Starts the daemon on a socket that the caller keeps open.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_on(&self, listener: &TcpListener, words: &[&str]) -> io::Result<Running> {
        let mut command = heir("hacheck");
        self.prepare(&mut command, words);
        command.stdin(OwnedFd::from(listener.try_clone()?));
        Ok(Running { child: command.spawn()? })
    }

    pub async fn until_it_answers(&self) {
        eventually("hacheck answers", async || web::get(self.port.number, "/status").await).await;
    }

    /// Runs a program of ours, as a link if it is one, to its end.
    ///
    /// # Errors
    /// When it cannot be started, or does not end.
    pub async fn run(&self, name: &str, words: &[&str]) -> io::Result<Output> {
        let mut command = if name == "hacheck" {
            Command::new(program(name))
        } else {
            let link = self.path(name);
            if !link.exists() {
                symlink(program("hacheck"), &link)?;
            }
            let mut command = Command::new(link);
            command.arg("--spool-root").arg(self.spool());
            command
        };
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        #[expect(clippy::disallowed_methods, reason = "this is the timeout with kill_on_drop")]
        time::timeout(PATIENCE, command.output()).await?
    }

    /// Everything that the daemons have written to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }
}

impl Running {
    /// # Errors
    /// When it is gone already.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = self.child.id().and_then(|pid| pid.try_into().ok());
        let pid = pid.ok_or_else(|| io::Error::other("it is not running"))?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn end(&mut self) -> io::Result<ExitStatus> {
        time::timeout(PATIENCE, self.child.wait()).await?
    }

    /// Asks it to stop, and waits.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.end().await
    }
}

impl Drop for Hacheck {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(io::stderr(), "hacheck said:\n{}", self.log());
        }
    }
}
