//! How late this machine wakes anybody: what a timer is late, no measurement can be better.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{Failure, figures::Figures};

const EVERY: Duration = Duration::from_millis(5);

/// Looks at the clock all the while. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Stalls {
    stop: oneshot::Sender<()>,
    watching: JoinHandle<Vec<Duration>>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, watching: tokio::spawn(watch(stopped)) }
    }

    /// Ends it; how late the timers were.
    pub(crate) async fn figures(self) -> Result<Figures, Failure> {
        drop(self.stop);
        Ok(Figures::of(self.watching.await?))
    }
}

async fn watch(mut stopped: oneshot::Receiver<()>) -> Vec<Duration> {
    let mut late = Vec::new();
    loop {
        let due = Instant::now() + EVERY;
        tokio::select! {
            _ = &mut stopped => return late,
            () = time::sleep_until(due) => late.push(due.elapsed()),
        }
    }
}
