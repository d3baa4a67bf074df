//! The thread that works in the spool directory: one job after the other, in the order asked for.

use std::{io, path::PathBuf, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use super::{
    Mark, MarkKey, UnixTime,
    ledger::Sequence,
    spool::{Reading, Spool},
};

/// Tells the caller how its change went.
pub(super) type Reply = oneshot::Sender<Result<(), MarkError>>;

/// Why a mark was not set or removed as asked.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The disk refuses the file.
    #[error("cannot write {}; the mark is in force but would not survive a restart", path.display())]
    Write {
        /// The file of the mark.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The disk keeps the file.
    #[error("cannot remove {}; the mark is still in force", path.display())]
    Remove {
        /// The file of the mark.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The disk takes longer than anyone can wait.
    #[error("the disk has not confirmed the change in time; it is tried further")]
    Slow,
    /// More changes are under way than memory is set aside for.
    #[error("too many changes of marks are waiting for the disk")]
    Busy,
    /// There are as many marks as can be kept.
    #[error("there are too many marks already")]
    Full,
    /// The owner of the marks has stopped.
    #[error("marks are no longer kept by this process")]
    Stopped,
}

/// A mark for the disk.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) sequence: Sequence,
    pub(super) mark: Arc<Mark>,
    /// Nobody has said since when the mark holds, so an older one for the same reason goes on: a tool
    /// may have written it a moment ago.
    pub(super) renews: bool,
    /// `None` for another try at what was refused.
    pub(super) reply: Option<Reply>,
}

#[derive(Debug)]
pub(super) enum Job {
    Write(Write),
    Remove(Sequence, MarkKey, Reply),
    Read,
}

#[derive(Debug)]
pub(super) enum Done {
    Write(Sequence, Arc<Mark>, Result<(), MarkError>, Option<Reply>),
    Remove(Sequence, MarkKey, Result<(), MarkError>, Reply),
    Read(io::Result<Reading>),
}

/// Does the jobs until their sender is gone. Blocking.
pub(super) fn work(mut spool: Spool, mut jobs: mpsc::Receiver<Job>, done: &mpsc::Sender<Done>) {
    while let Some(job) = jobs.blocking_recv() {
        if done.blocking_send(carry_out(&mut spool, job)).is_err() {
            return;
        }
    }
}

fn carry_out(spool: &mut Spool, job: Job) -> Done {
    match job {
        Job::Write(Write { sequence, mark, renews, reply }) => {
            let path = spool.path(&mark.key);
            match spool.write(&mark, renews) {
                Ok(written) => Done::Write(sequence, Arc::new(written), Ok(()), reply),
                Err(source) => {
                    Done::Write(sequence, mark, Err(MarkError::Write { path, source }), reply)
                }
            }
        }
        Job::Remove(sequence, key, reply) => {
            let path = spool.path(&key);
            let result = spool.remove(&key).map_err(|source| MarkError::Remove { path, source });
            Done::Remove(sequence, key, result, reply)
        }
        Job::Read => Done::Read(spool.read(UnixTime::now())),
    }
}
