//! A machine with systemd of its own, to be booted and shut down. It has this machine's programs and
//! network, and files of its own on top.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
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

use crate::host::program;

const PATIENCE: Duration = Duration::from_secs(120);

/// In a mount namespace, so that nothing has to be unmounted. Units that are enabled on this machine
/// are not on that one.
const BOOT: &str = r#"
mount -t tmpfs tmpfs "$1/mounts"
mkdir "$1/mounts/upper" "$1/mounts/work" "$1/mounts/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/mounts/upper,workdir=$1/mounts/work" "$1/mounts/root"
rm -f "$1/mounts/root/etc/systemd/system/"*.wants/*
cp -a "$1/files/." "$1/mounts/root/"
exec systemd-nspawn --quiet --directory "$1/mounts/root" --boot --register=no --keep-unit \
    --console=pipe --link-journal=no --bind-ro "$2:/usr/bin/smartstack" systemd.unit=multi-user.target
"#;

/// Dropping it takes it off the net, as a power failure does.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
    nspawn: Option<Child>,
}

impl Machine {
    /// A machine that does not run yet.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("smartstack-test-").tempdir()?;
        fs::create_dir(dir.path().join("mounts"))?;
        let this = Self { dir, nspawn: None };
        // It must not be this machine's own.
        this.write("etc/machine-id", &format!("{}\n", "1".repeat(32)))?;
        Ok(this)
    }

    /// Puts a file on it, before it is booted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        File::create(path)?.write_all(text.as_bytes())
    }

    /// Puts a unit of this repository on it, to be started at boot.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn enable(&self, unit: &str) -> io::Result<()> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(unit);
        self.enable_text(unit, &fs::read_to_string(ours)?)
    }

    /// The same with a unit of the test's own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enable_text(&self, unit: &str, text: &str) -> io::Result<()> {
        let name = format!("etc/systemd/system/{unit}");
        self.write(&name, text)?;
        let wants = self.file("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        symlink(format!("/{name}"), wants.join(unit))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    /// Begins to boot it.
    ///
    /// # Errors
    /// When systemd-nspawn cannot be run.
    pub fn boot(&mut self) -> io::Result<()> {
        let log = File::create(self.dir.path().join("log"))?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-ec", BOOT, "boot"]).arg(self.dir.path());
        unshare.arg(program("smartstack")).stdin(Stdio::null());
        unshare.stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        self.nspawn = Some(unshare.spawn()?);
        Ok(())
    }

    /// Shuts it down, as `systemctl poweroff` does, and waits for its end.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub async fn shut_down(&mut self) -> io::Result<()> {
        let mut nspawn = self.nspawn.take().ok_or_else(|| io::Error::other("it does not run"))?;
        let pid = nspawn.id().and_then(|pid| pid.try_into().ok());
        let pid = pid.ok_or_else(|| io::Error::other("it has ended by itself"))?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        time::timeout(PATIENCE, nspawn.wait()).await??;
        Ok(())
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}
