//! A client that never rests: requests through HAProxy while something else goes wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time};

use crate::web;

const PACE: Duration = Duration::from_millis(5);

/// One request after the other until it is asked for its outcome.
#[derive(Debug)]
pub struct Traffic {
    enough: Arc<AtomicBool>,
    task: JoinHandle<Outcome>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Outcome {
    pub served: usize,
    /// Status or error of those that were not.
    pub failed: Vec<String>,
}

impl Traffic {
    /// Asks for `/` on `port` from now on.
    #[must_use]
    pub fn on(port: u16) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(ask(port, Arc::clone(&enough)));
        Self { enough, task }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the client has failed itself.
    pub async fn outcome(self) -> Result<Outcome, tokio::task::JoinError> {
        self.enough.store(true, Ordering::Relaxed);
        self.task.await
    }
}

async fn ask(port: u16, enough: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    while !enough.load(Ordering::Relaxed) {
        match web::get(port, "/").await {
            Ok((200, _)) => outcome.served += 1,
            Ok((status, body)) => outcome.failed.push(format!("{status} {body}")),
            Err(error) => outcome.failed.push(error.to_string()),
        }
        time::sleep(PACE).await;
    }
    outcome
}
