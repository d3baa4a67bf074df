//! A Docker daemon of the test's own, to be killed, stopped and wedged.
//!
//! Directories, socket, bridge and cgroup are its own. The machine's daemon, its `docker0`, its
//! settings and the packet filter are not touched, so published ports are there by Docker's proxy
//! processes alone: they end with the daemon, and what must serve on meanwhile uses `--net host`.

mod leavings;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{self, Instant},
};

use crate::{Docker, network::Bridge, processes::Process};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A daemon in a directory of its own. Dropping it kills it and its containers, and removes
/// everything it made.
#[derive(Debug)]
pub struct Dockerd {
    dir: TempDir,
    bridge: Bridge,
    live_restore: bool,
    daemon: Option<Child>,
}

/// A daemon that is stopped where it stands. Dropping this lets it go on, so that a test that has
/// failed can remove its containers.
#[derive(Debug)]
#[must_use]
pub struct Paused(Pid);

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

impl Dockerd {
    /// A daemon that does not run yet. With `live_restore` its containers outlive it.
    ///
    /// # Errors
    /// When this user may not do that, or no bridge can be made.
    pub fn new(live_restore: bool) -> io::Result<Self> {
        if !geteuid().is_root() {
            let sentence = "these tests start a Docker daemon of their own; run them as root";
            return Err(io::Error::other(sentence));
        }
        let dir = tempfile::Builder::new().prefix("smartstack-dockerd-").tempdir()?;
        // The machine's own /etc/docker/daemon.json is not for this one.
        File::create(dir.path().join("daemon.json"))?.write_all(b"{}")?;
        Ok(Self { dir, bridge: Bridge::make()?, live_restore, daemon: None })
    }

    /// Where it listens, once it runs.
    #[must_use]
    pub fn socket(&self) -> String {
        self.path("docker.sock").display().to_string()
    }

    /// Starts it, again if it ran before, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(&mut self) -> io::Result<Docker> {
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        let mut dockerd = Command::new("dockerd");
        for (option, name) in [
            ("--config-file", "daemon.json"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            dockerd.arg(option).arg(self.path(name));
        }
        dockerd.args(["-H", &format!("unix://{}", self.socket())]);
        dockerd.args(["--bridge", &self.bridge.name, "--cgroup-parent", &self.cgroup()]);
        dockerd.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
        dockerd.args(["--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
        dockerd.arg(format!("--live-restore={}", self.live_restore));
        dockerd.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.daemon =
            Some(dockerd.process_group(0).kill_on_drop(true).spawn().map_err(|error| {
                io::Error::other(format!(
                    "these tests need Docker (apt-get install docker.io): {error}"
                ))
            })?);
        self.ready().await
    }

    async fn ready(&mut self) -> io::Result<Docker> {
        let end = Instant::now() + PATIENCE;
        loop {
            let error = match Docker::at(&self.socket()) {
                Ok(docker) => return Ok(docker),
                Err(error) => error,
            };
            let ended = match &mut self.daemon {
                Some(daemon) => daemon.try_wait()?.is_some(),
                None => true,
            };
            if ended || Instant::now() > end {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                return Err(io::Error::other(format!("dockerd does not come up: {error}: {last}")));
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills it where it stands; its containerd ends with it.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> io::Result<()> {
        let file = self.path("exec/containerd/containerd.pid");
        let containerd = fs::read_to_string(&file).ok().and_then(|pid| pid.trim().parse().ok());
        self.end(Signal::SIGKILL).await?;
        let gone = async {
            while containerd.and_then(Process::of).is_some() {
                time::sleep(LOOK_EVERY).await;
            }
        };
        time::timeout(PATIENCE, gone).await?;
        // The next daemon takes a zombie that this machine has not buried yet for a containerd.
        fs::remove_file(file)
    }

    /// Asks it to stop, as `systemctl stop docker` does, and waits for it.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> io::Result<()> {
        self.end(Signal::SIGTERM).await
    }

    async fn end(&mut self, signal: Signal) -> io::Result<()> {
        self.signal(signal)?;
        if let Some(mut daemon) = self.daemon.take() {
            time::timeout(PATIENCE, daemon.wait()).await??;
        }
        Ok(())
    }

    /// Stops it where it stands, until what is returned is dropped: connections stay open and
    /// nobody answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> io::Result<Paused> {
        self.signal(Signal::SIGSTOP).map(Paused)
    }

    fn signal(&self, signal: Signal) -> io::Result<Pid> {
        let pid = self.daemon.as_ref().and_then(Child::id).and_then(|pid| pid.try_into().ok());
        let pid = Pid::from_raw(pid.ok_or_else(|| io::Error::other("dockerd is not running"))?);
        kill(pid, signal)?;
        Ok(pid)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The cgroup of its containers; the bridge's name is taken by nobody else.
    fn cgroup(&self) -> String {
        format!("/{}", self.bridge.name)
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(20)..].join("\n");
            let _ = writeln!(io::stderr(), "dockerd's log ends so:\n{tail}");
        }
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.start_kill();
        }
        if !leavings::clear(self.dir.path(), &self.bridge.name) {
            // Deleting through a mount would delete what is mounted.
            self.dir.disable_cleanup(true);
        }
    }
}
