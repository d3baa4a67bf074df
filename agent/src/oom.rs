//! Processes that the kernel kills for want of memory: the people of their instance are told through Sensu
//! and in the log of the service, as `check_oom_events` did (cli-and-monitoring.md A5).
//!
//! A task of its own, so that neither Sensu nor a disk holds up the rooms that register and serve.

mod ledger;
mod memory;
mod telling;

use std::{path::PathBuf, sync::Arc};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::{ledger::Ledger, memory::Memory, telling::Books};
use crate::{
    nerve::{containers::Container, owner::owner},
    soa::Soa,
};

/// Kills that may wait while people are told; of a storm the rest goes uncounted.
pub const WAITING: usize = 1024;

/// Who is told, and by which way.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of Sensu's client. Default: as the system configuration says; without that, nobody.
    pub sensu: Option<(String, u16)>,
    /// Which events of an alarm wake people up again. Default 1, all: there is one a minute.
    pub realert_every: i64,
}

/// Where the room looks, and what it is told.
#[derive(Debug)]
pub struct Inputs {
    pub soa_dir: PathBuf,
    pub paasta_dir: PathBuf,
    /// As records have it.
    pub host: String,
    /// Whom an earlier process told.
    pub memory: PathBuf,
    pub soa: watch::Receiver<Arc<Soa>>,
    /// A container, once for each of its processes that was killed.
    pub killed: mpsc::Receiver<Arc<Container>>,
    /// How many there were.
    pub count: Counter,
}

/// Tells people, until `stop`.
pub async fn run(settings: Settings, inputs: Inputs, stop: CancellationToken) {
    let keep_telling = async {
        let mut killed = inputs.killed;
        let memory = Memory::open(inputs.memory).await;
        let ledger = Ledger::remembering(memory.alarmed(), Instant::now());
        let books = Books::new(settings, inputs.soa_dir, inputs.paasta_dir, inputs.host);
        let mut teller = Teller { ledger, memory, books, soa: inputs.soa, count: inputs.count };
        loop {
            let next = teller.ledger.next();
            // Cancel-safe: a message that is not taken stays in the channel.
            tokio::select! {
                Some(container) = killed.recv() => teller.heard(&container),
                () = sleep_until(next) => teller.tell().await,
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_telling => {}
    }
}

struct Teller {
    ledger: Ledger,
    memory: Memory,
    books: Books,
    soa: watch::Receiver<Arc<Soa>>,
    count: Counter,
}

impl Teller {
    fn heard(&mut self, container: &Container) {
        self.count.inc();
        let Container { name, id, .. } = container;
        let Some(owner) = owner(container) else {
            debug!(container = name, "oom kill in a container that is nobody's");
            return;
        };
        debug!(container = name, %owner, "oom kill");
        if !self.ledger.killed(&owner, id, Instant::now()) {
            warn!(container = name, %owner, "too many instances have oom kills: nobody is told of this one");
        }
    }

    async fn tell(&mut self) {
        for due in self.ledger.due(Instant::now()) {
            let cluster = self.soa.borrow().configs.cluster.clone();
            let told = self.books.tell(&due, cluster).await;
            self.ledger.told(&due, told, Instant::now());
        }
        self.memory.save(self.ledger.alarmed()).await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
