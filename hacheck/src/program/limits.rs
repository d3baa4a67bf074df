//! How many files the process may have open: one for each connection.

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};

use crate::config::OpenFiles;

/// Why the limit cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// More than the process may ask for.
    #[error("rlimit_nofile is {wanted}, above the hard limit of {hard}; raise that or write `max`")]
    AboveHard {
        /// What the settings want.
        wanted: u64,
        /// What the process was started with.
        hard: u64,
    },
    /// The kernel refuses.
    #[error("cannot set the limit of open files to {wanted}")]
    Refused {
        /// What was tried.
        wanted: u64,
        /// Why not.
        source: Errno,
    },
}

/// Sets the soft limit.
pub(super) fn apply(open_files: OpenFiles) -> Result<(), LimitError> {
    let refused = |wanted| move |source| LimitError::Refused { wanted, source };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(refused(0))?;
    let wanted = match open_files {
        OpenFiles::Max => hard,
        OpenFiles::Exactly(wanted) if wanted > hard => {
            return Err(LimitError::AboveHard { wanted, hard });
        }
        OpenFiles::Exactly(wanted) => wanted,
    };
    if wanted == soft {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(refused(wanted))
}
