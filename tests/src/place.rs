//! A directory in which a test keeps files and runs programs.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command, time};

const PATIENCE: Duration = Duration::from_secs(60);

/// The system configuration of what runs here is `etc`. Dropping it removes everything.
#[derive(Debug)]
pub struct Place(TempDir);

/// Exit code, standard output, standard error.
pub type Ended = (i32, String, String);

impl Place {
    /// # Errors
    /// When there is no room.
    pub fn new() -> io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the directories above it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> io::Result<()> {
        let file = self.path().join(name);
        fs::create_dir_all(file.parent().unwrap_or(self.path()))?;
        File::create(file)?.write_all(text.as_bytes())
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it does not start, was killed, takes a minute, or says what is no text.
    pub async fn run(&self, program: impl Into<PathBuf>, words: &[&str]) -> io::Result<Ended> {
        self.run_with(&[], program, words).await
    }

    /// The same, with variables of the environment.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub async fn run_with(
        &self,
        variables: &[(&str, &Path)],
        program: impl Into<PathBuf>,
        words: &[&str],
    ) -> io::Result<Ended> {
        let mut command = Command::new(program.into());
        command.current_dir(self.path()).env("PAASTA_SYSTEM_CONFIG_DIR", "etc");
        command.envs(variables.iter().copied());
        command.args(words).kill_on_drop(true);
        #[expect(clippy::disallowed_methods, reason = "this is the timeout with kill_on_drop")]
        let output = time::timeout(PATIENCE, command.output()).await??;
        let code = output.status.code().ok_or(io::ErrorKind::Interrupted)?;
        let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
        Ok((code, text(output.stdout)?, text(output.stderr)?))
    }
}
