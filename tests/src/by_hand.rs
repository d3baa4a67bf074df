//! The simulators as programs: they print what happens until they are interrupted, and tests read that.

use std::{
    fmt::Display,
    io::{self, Write},
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    signal::unix::{SignalKind, signal},
    sync::broadcast::{Receiver, error::RecvError},
    time,
};

/// A line of a test's program is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints a line, at once.
///
/// # Errors
/// When nobody takes it.
pub fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints events, as `line` words them, until the program is interrupted or there are no more.
///
/// # Errors
/// When nobody takes what is printed.
pub async fn print<E: Clone, L: Display>(
    mut events: Receiver<E>,
    line: impl Fn(E) -> L,
) -> io::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        // All three may be dropped and asked again.
        let event = tokio::select! {
            event = events.recv() => event,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        };
        match event {
            Ok(event) => say(&line(event).to_string())?,
            Err(RecvError::Lagged(missed)) => say(&format!("... {missed} events not shown"))?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// Why the simulator does not listen.
#[must_use]
pub fn no_port(port: u16, error: &io::Error) -> io::Error {
    io::Error::other(format!("port {port} of 127.0.0.1: {error}; choose another with --port"))
}

/// How the program of this name ends.
#[must_use]
pub fn ending(name: &str, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A reader of our output that goes away has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // There is no other place to tell it.
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A program that prints lines. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// # Errors
    /// When it does not start.
    pub fn start(program: impl AsRef<Path>, words: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(program.as_ref());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("it prints nothing"))?;
        Ok(Self { _child: child, lines: BufReader::new(out).lines() })
    }

    /// The next line that contains this.
    ///
    /// # Errors
    /// When it ends without saying so, or says nothing for a minute.
    pub async fn says(&mut self, part: &str) -> io::Result<String> {
        let reading = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(part) {
                    return Ok(line);
                }
            }
            Err(io::Error::other(format!("it ended and never said {part}")))
        };
        time::timeout(PATIENCE, reading).await?
    }
}
