//! Programs that check a service: exit code 0 is healthy.
//!
//! Only programs of this host's own files get here; no request over HTTP does. A program runs without
//! a terminal, without our files and environment, as an unprivileged user and in a process group of
//! its own, which is killed when it ends or its time is over.

use std::{os::unix::process::CommandExt as _, process::Stdio, time::Duration};

use bytes::Bytes;
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    process::Child,
    sync::Semaphore,
    time::{self, Instant},
};

use super::outcome::{Answered, Failure, Outcome};
use crate::settings::CommandUser;

/// What is kept of what a program says.
const MAX_OUTPUT: usize = 4 * 1024;
/// Programs that run at once; a process costs far more than a connection.
const AT_ONCE: usize = 64;
/// All that they find in their environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As the other checks that are no GET show a failure (hacheck.md §7).
const DOWN: u16 = 503;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    /// A program that is run without a shell: its name or path, then its arguments. `None` if there
    /// is no name.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty())?;
        Some(Self { program, arguments: words.collect() })
    }

    /// A line for `/bin/sh -c`.
    #[must_use]
    pub fn shell(line: impl Into<String>) -> Self {
        Self { program: "/bin/sh".to_owned(), arguments: vec!["-c".to_owned(), line.into()] }
    }
}

/// Runs programs, as one user and so many at once.
#[derive(Debug)]
pub(super) struct Commands {
    user: CommandUser,
    turns: Semaphore,
}

impl Commands {
    pub(super) fn new(user: CommandUser) -> Self {
        Self { user, turns: Semaphore::new(AT_ONCE) }
    }

    pub(super) async fn run(&self, command: &Command, timeout: Duration) -> Outcome {
        let turn = time::timeout(timeout, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Outcome::failed(DOWN, &Failure::Overloaded, Duration::ZERO);
        };
        let began = Instant::now();
        let ended = match Running::start(self.user, command) {
            Ok(running) => {
                time::timeout(timeout, running.end()).await.unwrap_or(Err(Failure::Silent(timeout)))
            }
            Err(failure) => Err(failure),
        };
        let took = began.elapsed();
        match ended {
            Ok((code, body)) => Outcome::answered(code, body, took),
            Err(failure) => Outcome::failed(DOWN, &failure, took),
        }
    }
}

/// A program under way; it and all that it started are killed when this is dropped.
struct Running {
    group: Option<Pid>,
    child: Child,
    output: Receiver,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its number cannot have come round again: a drop follows its end at once.
        if let Some(group) = self.group
            && let Err(error) = killpg(group, Signal::SIGKILL)
            && error != Errno::ESRCH
        {
            tracing::debug!(%error, %group, "cannot kill the program of a check");
        }
    }
}

impl Running {
    fn start(user: CommandUser, command: &Command) -> Result<Self, Failure> {
        let failed = |error| Failure::Program(command.program.escape_debug().to_string(), error);
        let mut process = std::process::Command::new(&command.program);
        match user {
            CommandUser::None => {
                return Err(Failure::Forbidden("no user is set that programs may run as"));
            }
            CommandUser::Own => {}
            // Leaves all other groups, too.
            CommandUser::Other { uid, gid } => {
                process.uid(uid).gid(gid);
            }
        }
        let (output, input) = std::io::pipe().map_err(failed)?;
        process
            .args(&command.arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(input.try_clone().map_err(failed)?)
            .stderr(input);
        let mut process = tokio::process::Command::from(process);
        let child = process.kill_on_drop(true).spawn().map_err(failed)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        // Our ends of the pipe go with `process`.
        drop(process);
        match Receiver::from_owned_fd(output.into()) {
            Ok(output) => Ok(Self { group, child, output }),
            Err(error) => Err(failed(error)),
        }
    }

    /// Waits for the program itself: what it left behind in its group may hold the pipe for ever.
    async fn end(mut self) -> Result<Answered, Failure> {
        let mut said = Vec::new();
        let mut buffer = [0; 1024];
        let mut open = true;
        let status = loop {
            // Neither loses anything when the other one is first.
            tokio::select! {
                status = self.child.wait() => break status?,
                read = self.output.read(&mut buffer), if open => {
                    let length = read?;
                    open = length > 0;
                    keep(&mut said, &buffer[..length]);
                }
            }
        };
        while said.len() < MAX_OUTPUT
            && let Ok(length @ 1..) = self.output.try_read(&mut buffer)
        {
            keep(&mut said, &buffer[..length]);
        }
        if status.success() {
            return Ok((200, said.into()));
        }
        let text = format!("{status}: {}", String::from_utf8_lossy(&said));
        Ok((DOWN, Bytes::from(text.trim_end_matches([' ', ':', '\n']).to_owned())))
    }
}

fn keep(said: &mut Vec<u8>, more: &[u8]) {
    let room = MAX_OUTPUT - said.len().min(MAX_OUTPUT);
    said.extend(more.iter().take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// As nobody, where the tests may become somebody else.
    fn commands() -> Commands {
        Commands::new(if nix::unistd::geteuid().is_root() {
            CommandUser::Other { uid: 65534, gid: 65534 }
        } else {
            CommandUser::Own
        })
    }

    async fn shell(line: &str) -> (u16, String) {
        let outcome = commands().run(&Command::shell(line), PATIENCE).await;
        (outcome.code, String::from_utf8_lossy(&outcome.body).into_owned())
    }

    #[tokio::test]
    async fn the_exit_code_decides_and_both_outputs_are_told() {
        assert_eq!(shell("echo well; echo so so >&2").await, (200, "well\nso so\n".to_owned()));
        assert_eq!(shell("echo ill; exit 3").await, (503, "exit status: 3: ill".to_owned()));
        assert_eq!(shell("exit 1").await, (503, "exit status: 1".to_owned()));
        let killed = shell("kill -9 $$").await;
        assert!(killed.0 == 503 && killed.1.starts_with("signal: 9"), "{killed:?}");
    }

    #[tokio::test]
    async fn words_are_passed_as_they_are_and_a_program_that_is_not_there_is_down() {
        let words = ["printf", "%s", "$HOME; a  b"].map(str::to_owned);
        let outcome = commands().run(&Command::new(words).unwrap(), PATIENCE).await;
        assert_eq!((outcome.code, &*outcome.body), (200, &b"$HOME; a  b"[..]));
        let none = Command::new(["/nowhere/check".to_owned()]).unwrap();
        let outcome = commands().run(&none, PATIENCE).await;
        let text = String::from_utf8_lossy(&outcome.body).into_owned();
        assert!(outcome.code == 503 && text.starts_with("cannot run /nowhere/check: "), "{text}");
        assert_eq!(Command::new([]), None);
    }

    #[tokio::test]
    async fn a_program_gets_nothing_of_ours() {
        let ours = tempfile::NamedTempFile::new().unwrap();
        let (code, text) = shell("env; echo files:; ls -l /proc/self/fd; cat; id -u; id -G").await;
        assert_eq!(code, 200, "{text}");
        let environment: Vec<_> = text.lines().take_while(|line| *line != "files:").collect();
        let own_of_shell = |line: &&str| line.starts_with("PWD=") || line.starts_with("SHLVL=");
        let rest: Vec<_> = environment
            .into_iter()
            .filter(|line| {
                !own_of_shell(line) && !line.starts_with("_=") && !line.starts_with("OLDPWD=")
            })
            .collect();
        assert_eq!(rest, [format!("PATH={PATH}")], "{text}");
        let path = ours.path().display().to_string();
        assert!(text.contains("/dev/null") && !text.contains(&path), "{text}");
        if nix::unistd::geteuid().is_root() {
            assert!(text.ends_with("65534\n65534\n"), "{text}");
        }
    }

    #[tokio::test]
    async fn endless_output_is_cut_and_does_not_stop_the_program() {
        let (code, text) = shell("head -c 1000000 /dev/zero | tr '\\0' x").await;
        assert_eq!((code, text.len()), (200, MAX_OUTPUT));
    }

    #[tokio::test]
    async fn nobody_means_that_nothing_is_run() {
        let outcome = Commands::new(CommandUser::None).run(&Command::shell("true"), PATIENCE).await;
        assert_eq!(&*outcome.body, b"not run: no user is set that programs may run as");
    }

    /// Whether a process with this text in its command line lives.
    fn lives(mark: &str) -> bool {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(mark))
    }

    async fn until(what: impl Fn() -> bool) {
        let check = async {
            while !what() {
                time::sleep(Duration::from_millis(10)).await;
            }
        };
        time::timeout(PATIENCE, check).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_is_too_slow_is_killed_with_all_that_it_started() {
        let mark = "1000.8251";
        let command = Command::shell(format!("sleep {mark} & sleep {mark}; true"));
        let outcome = commands().run(&command, Duration::from_millis(200)).await;
        assert!(outcome.timed_out && outcome.code == 503, "{outcome:?}");
        until(|| !lives(mark)).await;
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_neither_delays_its_end_nor_lives_on() {
        let mark = "1000.8252";
        assert_eq!(shell(&format!("sleep {mark} & echo well")).await.0, 200);
        until(|| !lives(mark)).await;
    }

    #[tokio::test]
    async fn a_check_that_is_given_up_leaves_no_process() {
        let mark = "1000.8253";
        let running = tokio::spawn(async move {
            commands().run(&Command::shell(format!("sleep {mark}; true")), PATIENCE).await
        });
        until(|| lives(mark)).await;
        running.abort();
        until(|| !lives(mark)).await;
    }
}
