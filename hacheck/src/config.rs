//! The file of the stand-alone program: hacheck's old YAML, read strictly (hacheck.md §2.2), and some
//! keys of ours that an old hacheck passes over.
//!
//! What the old program would have misread in silence is an error with a way out. Unknown keys are
//! no error, since the file may be shared with programs of another age, but each is warned about.

mod raw;
mod section;
mod spelling;
mod values;
mod wording;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use self::raw::Raw;
use crate::{network::Network, settings::Settings};

/// The file is a few lines.
const MAX_SIZE: u64 = 1 << 20;

/// What the file says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings of the HTTP interface.
    pub settings: Settings,
    /// Where the log goes; default: standard error.
    pub log: LogTarget,
    /// Open files; default: as many as the system allows.
    pub open_files: OpenFiles,
    /// What is odd about the file and does not keep the program from starting, a sentence each.
    pub warnings: Vec<String>,
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, opened again when it has been moved away.
    File(PathBuf),
}

/// How many files, connections among them, the process may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFiles {
    /// The hard limit that the process was started with.
    Max,
    /// This many; more than the hard limit is an error.
    Exactly(u64),
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is no file of settings.
    #[error("{}: {reason}", path.display())]
    Odd {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// It says something that makes no sense. The message has several lines, with the text around.
    #[error("{0}")]
    Wrong(String),
}

impl Default for Config {
    /// The settings without a file.
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            log: LogTarget::Stderr,
            open_files: OpenFiles::Max,
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file. Blocking.
    ///
    /// # Errors
    /// With file, line, value and a way out.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        Self::parse(path, &text)
    }

    /// Reads `text` as the content of `path`. Nothing at all is all defaults.
    ///
    /// # Errors
    /// With file, line, value and a way out.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let options = serde_yaml::options! {
            duplicate_keys: serde_yaml::DuplicateKeyPolicy::LastWins,
            legacy_octal_numbers: true,
        };
        let raw: Option<Raw> = serde_yaml::from_str_with_options(text, options)
            .map_err(|error| ConfigError::Wrong(wording::render(path, &error)))?;
        Ok(raw.unwrap_or_default().into_config(path))
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let odd = |reason| ConfigError::Odd { path: path.to_owned(), reason };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(odd("it is no regular file"));
    }
    if metadata.len() > MAX_SIZE {
        return Err(odd("it is larger than 1 MiB"));
    }
    let bytes = fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| odd("it is no UTF-8 text"))
}

/// Every address there is.
fn everyone() -> Vec<Network> {
    ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
