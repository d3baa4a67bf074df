//! The state behind a lock, moved by its clock.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, broadcast},
    time,
};

use super::{
    clock::Clock, event::Event, faults::Faults, machine::Machine, settings::Settings,
    simulator::Call,
};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    clock: Clock,
    pub(super) settings: Settings,
    pub(super) events: broadcast::Sender<(Timestamp, Event)>,
    /// Something was changed from outside.
    wake: Notify,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) machine: Machine,
    pub(super) faults: Faults,
    pub(super) calls: Vec<Call>,
    /// So many changes are still made, and then nothing is answered any more.
    pub(super) writes_left: Option<usize>,
    /// Every answer waits so long.
    pub(super) delay: Duration,
    /// The port of the server that leads.
    pub(super) leader: Option<u16>,
}

/// Calls beyond so many are not recorded.
const CALLS: usize = 100_000;

impl Inner {
    pub(super) fn record(&mut self, call: Call) {
        if self.calls.len() < CALLS {
            self.calls.push(call);
        }
    }
}

impl Shared {
    pub(super) fn new(port: u16, settings: Settings) -> Arc<Self> {
        let from = settings.from.unwrap_or_else(Timestamp::now);
        let inner = Inner {
            machine: Machine::new(from, settings.script.clone()),
            faults: Faults::default(),
            calls: Vec::new(),
            writes_left: None,
            delay: Duration::ZERO,
            leader: Some(port),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            clock: Clock::new(from, settings.speed),
            settings,
            events: broadcast::Sender::new(4096),
            wake: Notify::new(),
        })
    }

    /// Lets the state come up to now, and then looks at it or changes it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        self.step(&mut inner);
        let result = act(&mut inner);
        self.step(&mut inner);
        drop(inner);
        self.wake.notify_one();
        result
    }

    /// Moves the state whenever something is due. Never ends.
    pub(super) async fn drive(&self) {
        loop {
            let next = {
                let mut inner = self.inner.lock();
                self.step(&mut inner);
                inner.machine.next()
            };
            let wait = next.map_or(Duration::MAX, |next| self.clock.until(next));
            tokio::select! {
                () = time::sleep(wait.max(Duration::from_millis(1))) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    fn step(&self, inner: &mut Inner) {
        inner.machine.step(self.clock.now());
        for event in inner.machine.take_events() {
            // Nobody may be listening.
            let _ = self.events.send((inner.machine.now(), event));
        }
    }
}
