//! Processes that are measured.

use std::{
    fs::File,
    io::{self, Write},
    process::Stdio,
    time::Duration,
};

use end_to_end::{eventually, host::program, ports::Port, processes};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::Instant,
};

use crate::Failure;

/// A process on a port of its own; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) port: Port,
    child: Child,
    _home: tempfile::TempDir,
}

/// CPU time and wall time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    cpu: Duration,
    at: Instant,
}

impl Program {
    /// hacheck with these settings.
    pub(crate) async fn hacheck(settings: &str) -> Result<Self, Failure> {
        let home = tempfile::tempdir()?;
        let file = home.path().join("hacheck.yaml");
        let (port, spool) = (Port::free()?, home.path().join("spool"));
        File::create(&file)?.write_all(settings.as_bytes())?;
        let mut command = Command::new(program("hacheck"));
        command.args(["-B", "127.0.0.1", "-p", &port.number.to_string()]);
        command.arg("-c").arg(file).arg("--spool-root").arg(spool);
        Self::run(command, port, home).await
    }

    /// This very program in another role.
    pub(crate) async fn own(role: &str) -> Result<Self, Failure> {
        let (port, home) = (Port::free()?, tempfile::tempdir()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.args([role, &port.number.to_string()]);
        Self::run(command, port, home).await
    }

    /// The Python program.
    pub(crate) async fn old(shell: &str) -> Result<Self, Failure> {
        let (port, home) = (Port::free()?, tempfile::tempdir()?);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {shell}")]);
        command.env("PORT", port.number.to_string()).env("SPOOL", home.path());
        Self::run(command, port, home).await
    }

    async fn run(
        mut command: Command,
        port: Port,
        home: tempfile::TempDir,
    ) -> Result<Self, Failure> {
        let quiet = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        };
        quiet(&mut command);
        let child = command.kill_on_drop(true).spawn().map_err(|error| {
            let name = command.as_std().get_program().to_string_lossy().into_owned();
            io::Error::new(error.kind(), format!("cannot start {name}: {error}"))
        })?;
        let number = port.number;
        eventually("the program listens", || TcpStream::connect(("127.0.0.1", number))).await;
        Ok(Self { port, child, _home: home })
    }

    /// CPU time so far.
    pub(crate) fn spent(&self) -> Result<Spent, Failure> {
        let cpu = processes::cpu_time(self.pid()?).ok_or("the kernel shows no CPU time")?;
        Ok(Spent { cpu, at: Instant::now() })
    }

    /// Resident memory now, in MiB.
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    pub(crate) fn resident_mib(&self) -> Result<f64, Failure> {
        let memory = processes::memory(self.pid()?).ok_or("the kernel shows no memory")?;
        Ok(memory.now_kib as f64 / 1024.0)
    }

    fn pid(&self) -> Result<u32, Failure> {
        Ok(self.child.id().ok_or("the program has ended")?)
    }
}

impl Spent {
    /// CPU time since `before`.
    pub(crate) fn cpu_since(self, before: Self) -> Duration {
        self.cpu.saturating_sub(before.cpu)
    }

    /// Processors in use on average since `before`.
    pub(crate) fn cores_since(self, before: Self) -> f64 {
        self.cpu_since(before).as_secs_f64() / (self.at - before.at).as_secs_f64()
    }
}
