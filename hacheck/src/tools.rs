//! The command line tools `haup`, `hadown`, `hastatus`, `hashowdowned` and `halist`
//! (hacheck.md §12): one program under five names.
//!
//! Flags, lines and exit codes are those of the old ones; scripts, `updown_service` and the stop hooks
//! of pods rely on them. They work on the spool directory and need no daemon, except `halist`.

mod args;
mod list;
mod marks;
mod reason;

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::Path,
};

use clap::{CommandFactory, FromArgMatches};

use self::args::{Action, Args};
pub use self::reason::{Anonymous, Caller};

/// It did not work, or something is down.
const FAILED: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;

/// One of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `haup`: removes marks.
    Up,
    /// `hadown`: sets marks.
    Down,
    /// `hastatus`: shows marks.
    Status,
    /// `hashowdowned`: shows all marks.
    ShowDowned,
    /// `halist`: shows what a running hacheck was asked about.
    List,
}

/// Where a tool writes to.
pub struct Output<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

/// Why a tool does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl Tool {
    /// The tool that a program was started as.
    #[must_use]
    pub fn of(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        let all = [Self::Up, Self::Down, Self::Status, Self::ShowDowned, Self::List];
        all.into_iter().find(|tool| tool.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "haup",
            Self::Down => "hadown",
            Self::Status => "hastatus",
            Self::ShowDowned => "hashowdowned",
            Self::List => "halist",
        }
    }

    /// Runs it with the words after its name; returns the exit code. Blocking.
    pub fn run(
        self,
        words: impl IntoIterator<Item = OsString>,
        caller: &Caller,
        mut output: Output<'_>,
    ) -> u8 {
        let failure = match self.parse(words) {
            Ok(args) => match self.act(&args, caller, &mut output) {
                Ok(code) => return code,
                Err(failure) => failure,
            },
            Err(error) if error.use_stderr() => Failure::Usage(usage(&error)),
            // The text of --help.
            Err(help) => match write!(output.out, "{help}") {
                Ok(()) => return 0,
                Err(error) => error.into(),
            },
        };
        let code = if matches!(failure, Failure::Usage(_)) { USAGE } else { FAILED };
        // Nobody to tell it to; the code says enough.
        let _ = writeln!(output.err, "{}: {failure}", self.name());
        code
    }

    fn parse(self, words: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
        let command = Args::command().name(self.name()).about(self.about()).no_binary_name(true);
        Args::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    fn about(self) -> &'static str {
        match self {
            Self::Up => "Bring services back: remove the marks that hold them down on this host.",
            Self::Down => "Hold services down on this host until `haup`, or until --expiration.",
            Self::Status => "Show whether services are held down. Exit code: 0 all up, 1 any down.",
            Self::ShowDowned => "Show everything that is held down on this host.",
            Self::List => {
                "Show what the hacheck on this host was asked about in the last 10 minutes."
            }
        }
    }

    fn act(self, args: &Args, caller: &Caller, output: &mut Output<'_>) -> Result<u8, Failure> {
        let action = args.action.unwrap_or(self.into());
        args.check(action)?;
        match action {
            Action::Up => marks::up(args, &mut self.teller(output)),
            Action::Down => {
                let reason = match args.reason.as_str() {
                    "" => match caller.reason() {
                        Ok(reason) => reason,
                        Err(anonymous) => {
                            writeln!(output.out, "{anonymous}")?;
                            return Ok(FAILED);
                        }
                    },
                    given => given.to_owned(),
                };
                marks::down(args, &reason, &mut self.teller(output))
            }
            Action::Status => marks::status(args, &mut self.teller(output)),
            Action::StatusDowned => marks::status_downed(args, &mut self.teller(output)),
            Action::List => list::list(args.port, output.out),
        }
    }

    fn teller<'a, 'o>(self, output: &'a mut Output<'o>) -> marks::Teller<'a, 'o> {
        marks::Teller { tool: self.name(), output }
    }
}

impl From<Tool> for Action {
    fn from(tool: Tool) -> Self {
        match tool {
            Tool::Up => Self::Up,
            Tool::Down => Self::Down,
            Tool::Status => Self::Status,
            Tool::ShowDowned => Self::StatusDowned,
            Tool::List => Self::List,
        }
    }
}

/// clap's message without its own "error: ", for it follows the name of the tool.
fn usage(error: &clap::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
