//! Whether Chronos is there, as far as the answers of a pass say it.

use crate::chronos::client::{self, Chronos};

use super::told;

/// So many questions in a row that no server answers, or that all might have been refused for Chronos' sake,
/// mean that it is gone.
const IN_A_ROW: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Trust {
    unanswered: usize,
    /// Names of jobs in a row of which it is not known whether they or Chronos are at fault.
    doubtful: Vec<String>,
}

impl Trust {
    pub(super) fn learn<T>(&mut self, name: &str, result: &Result<T, client::Error>) {
        match result {
            Err(error) if error.is_gone() => self.unanswered += 1,
            Err(error) if error.is_ambiguous() => {
                self.unanswered = 0;
                self.doubtful.push(name.to_owned());
            }
            _ => *self = Self::default(),
        }
    }

    /// Nothing more is to be asked.
    pub(super) fn is_gone(&self) -> bool {
        self.unanswered >= IN_A_ROW
    }

    /// When in doubt, asks Chronos for its jobs; once, and not for each job that follows. Returns the jobs that
    /// are not at fault after all, and how Chronos failed. `None`: it is there, as far as is known.
    pub(super) async fn make_sure(&mut self, chronos: &Chronos) -> Option<(Vec<String>, String)> {
        if self.doubtful.len() != IN_A_ROW {
            return None;
        }
        let reason = told(chronos.jobs().await.err()?);
        self.unanswered = IN_A_ROW;
        Some((std::mem::take(&mut self.doubtful), reason))
    }
}
