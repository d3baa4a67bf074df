//! Runs the long-lived tasks of the process and stops them together.

use std::{collections::HashMap, future::Future, io, time::Duration};

use futures_util::FutureExt;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{Id, JoinError, JoinSet},
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Why the process is going down.
#[derive(Debug, PartialEq, Eq)]
pub enum Exit {
    /// SIGTERM or SIGINT: the normal way out.
    Asked,
    /// A task that should run for ever has ended; systemd starts us again.
    TaskEnded(&'static str),
}

/// SIGTERM and SIGINT, heard from the moment this is made: what starts slowly misses none. SIGHUP,
/// which other daemons take for a reload, ends nothing here.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// # Errors
    /// When signals cannot be listened for.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the first one.
    pub async fn asked(&mut self) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => {
                    info!("SIGHUP: files are followed anyway, settings are read at the start");
                }
            }
        }
    }

    /// Whether one has come already.
    pub fn came(&mut self) -> bool {
        self.asked().now_or_never().is_some()
    }
}

/// A set of named tasks, each of which is expected to live as long as the process.
#[derive(Debug, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Supervisor {
    /// Starts a task. It gets a token that is cancelled when it must wind down.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = self.tasks.spawn(task(self.stop.child_token()));
        self.names.insert(handle.id(), name);
    }

    /// Waits for a signal or for the first task to end, calls `leaving`, then gives all tasks
    /// `grace` to finish.
    pub async fn run(
        mut self,
        mut signals: Signals,
        grace: Duration,
        leaving: impl FnOnce(),
    ) -> Exit {
        let exit = tokio::select! {
            () = signals.asked() => Exit::Asked,
            Some(ended) = self.tasks.join_next_with_id() => Exit::TaskEnded(self.name(&ended)),
        };
        info!(?exit, "stopping");
        leaving();
        self.stop.cancel();
        let all_done = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.names.remove(&id_of(&ended));
            }
        };
        if time::timeout(grace, all_done).await.is_err() {
            let late: Vec<_> = self.names.values().collect();
            warn!(?grace, ?late, "some tasks did not stop in time");
        }
        exit
    }

    fn name(&mut self, ended: &Result<(Id, ()), JoinError>) -> &'static str {
        if let Err(error) = ended {
            error!(%error, "a task failed");
        }
        self.names.remove(&id_of(ended)).unwrap_or("unknown")
    }
}

fn id_of(ended: &Result<(Id, ()), JoinError>) -> Id {
    match ended {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_one_task_stops_all_and_is_named() {
        let mut supervisor = Supervisor::default();
        let (done, finished) = tokio::sync::oneshot::channel();
        supervisor.spawn("patient", |stop| async move {
            stop.cancelled().await;
            let _ = done.send(());
        });
        supervisor.spawn("hasty", |_| async {});
        let exit = supervisor.run(Signals::listen().unwrap(), Duration::from_secs(5), || {}).await;
        assert_eq!(exit, Exit::TaskEnded("hasty"));
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_panics_is_named_too() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("clumsy", |_| async { panic!("as the test wants") });
        let exit = supervisor.run(Signals::listen().unwrap(), Duration::from_secs(5), || {}).await;
        assert_eq!(exit, Exit::TaskEnded("clumsy"));
    }
}
