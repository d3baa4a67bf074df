//! Events that are handed on in the background: whoever tells goes on at once.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use soa_configs::paasta::Settings;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle, time};

use super::Sensu;
use crate::events::Event;

/// Events that may wait; beyond, they are lost.
const WAITING: usize = 4096;
/// For all that still waits at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hands events to Sensu one after the other, in their order. What still waits when it is dropped is handed on
/// as long as the runtime lives.
#[derive(Debug)]
pub struct Outbox {
    events: mpsc::Sender<Event>,
    complaints: Arc<Mutex<Vec<String>>>,
    handing: JoinHandle<()>,
}

impl Outbox {
    /// `None`: nobody is to be told, or there is no runtime to do it in.
    #[must_use]
    pub fn of(settings: &Settings) -> Option<Self> {
        let (sensu, runtime) = (Sensu::of(settings)?, Handle::try_current().ok()?);
        let (events, mut waiting) = mpsc::channel::<Event>(WAITING);
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&complaints);
        let handing = runtime.spawn(async move {
            while let Some(event) = waiting.recv().await {
                if let Err(untold) = sensu.tell(&event).await {
                    said.lock().push(format!("{untold}: {}", untold.source));
                }
            }
        });
        Some(Self { events, complaints, handing })
    }

    /// Takes an event.
    ///
    /// # Errors
    /// When so many wait that it is lost.
    pub fn post(&self, event: Event) -> Result<(), String> {
        self.events.try_send(event).map_err(|error| {
            let event = error.into_inner();
            format!("Sensu takes events too slowly: {} is lost", event.name())
        })
    }

    /// What went wrong since the last time.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.complaints.lock())
    }

    /// Waits until everything is handed on, ten seconds at most, and returns what went wrong.
    pub async fn finish(self) -> Vec<String> {
        let Self { events, complaints, mut handing } = self;
        let left = events.max_capacity() - events.capacity();
        drop(events);
        let is_over = time::timeout(PATIENCE, &mut handing).await.is_ok();
        let mut said = std::mem::take(&mut *complaints.lock());
        if !is_over {
            handing.abort();
            said.push(format!("Sensu takes events too slowly: of the last {left}, some are lost"));
        }
        said
    }
}
