//! Logs: text on a terminal, JSON elsewhere.

mod file;

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{MakeWriter, writer::BoxMakeWriter},
};

use self::file::LogFile;
pub(super) use self::file::Rest;
use crate::config::LogTarget;

/// Goes before `-v`.
const LEVEL_VARIABLE: &str = "HACHECK_LOG";

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The levels in the environment.
    #[error("{LEVEL_VARIABLE}={level} is not understood")]
    Level {
        /// What it says.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The file.
    #[error("cannot write the log to {path}")]
    File {
        /// `log_path`.
        path: String,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Starts logging. What is still to be written is written when the result is dropped.
pub(super) fn start(target: &LogTarget, verbose: bool) -> Result<Option<Rest>, LogError> {
    let level = std::env::var(LEVEL_VARIABLE)
        .unwrap_or_else(|_| if verbose { "debug" } else { "info" }.to_owned());
    let filter = EnvFilter::try_new(&level).map_err(|source| LogError::Level { level, source })?;
    let mut rest = None;
    let (writer, terminal) = match target {
        LogTarget::Stderr => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
        LogTarget::Stdout => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
        LogTarget::File(path) => {
            let opened = LogFile::open(path)
                .map_err(|source| LogError::File { path: path.display().to_string(), source });
            let (file, writing) = opened?;
            rest = Some(writing);
            (BoxMakeWriter::new(file), false)
        }
    };
    subscribe(filter, writer, terminal);
    Ok(rest)
}

fn subscribe<W>(filter: EnvFilter, writer: W, terminal: bool)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // Fails only for a second start in one process, which goes on with the first.
    let _ = if terminal {
        builder.with_ansi(true).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
