//! Owns the catalog: takes listings through the guard, remembers them on disk, and assembles what
//! HAProxy should serve.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use soa_configs::Namespace;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    catalog::{Catalog, assemble},
    guard::{Doubt, Judgement, Policy, judge},
    memory::{self, Listings},
};
use crate::{
    nerve::publish::Away,
    registry::{Layout, Listing, Observed, Record},
    soa::Soa,
};

/// Settings of the catalog.
#[derive(Clone, Debug)]
pub struct Settings {
    pub layout: Layout,
    pub guard: Policy,
    /// Where believed listings are remembered; `None`: nowhere.
    pub memory: Option<PathBuf>,
}

/// What the catalog is made of.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub soa: watch::Receiver<Arc<Soa>>,
    pub observed: watch::Receiver<Arc<Observed>>,
    pub away: watch::Receiver<Arc<Away>>,
}

/// Where it goes.
#[derive(Debug)]
pub struct Outputs {
    /// `None` until every namespace is known: before that nothing may be touched.
    pub catalog: watch::Sender<Option<Arc<Catalog>>>,
    /// Namespaces whose loss is not believed yet.
    pub doubted: watch::Sender<Arc<BTreeSet<Namespace>>>,
    pub reread: mpsc::Sender<Namespace>,
}

/// A registry that answers but leaves some namespaces unread must not hold up the others longer.
const PATIENCE_AT_START: Duration = Duration::from_secs(10);
const SAVE_AT_MOST_EVERY: Duration = Duration::from_secs(1);
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Keeps the catalog current until `stop`.
pub async fn run(
    settings: Settings,
    mut inputs: Inputs,
    outputs: Outputs,
    stop: CancellationToken,
) {
    let mut keeper = Keeper::wake(settings).await;
    loop {
        keeper.look(&mut inputs, &outputs);
        let wake = keeper.next_wake();
        tokio::select! {
            () = stop.cancelled() => {
                keeper.saved().await;
                keeper.save();
                keeper.saved().await;
                return;
            }
            changed = inputs.soa.changed() => if changed.is_err() { return },
            changed = inputs.observed.changed() => if changed.is_err() { return },
            changed = inputs.away.changed() => if changed.is_err() { return },
            () = keeper.saved(), if keeper.saving.is_some() => {}
            () = time::sleep_until(wake) => {
                if keeper.save_due.is_some_and(|due| due <= Instant::now()) {
                    keeper.save();
                }
            }
        }
    }
}

struct Keeper {
    settings: Settings,
    believed: Listings,
    doubts: BTreeMap<Namespace, Suspicion>,
    started: Instant,
    /// Waits while a save is under way.
    save_due: Option<Instant>,
    /// Beside everything else: a slow disk delays no change.
    saving: Option<Saving>,
}

type Saving = JoinHandle<Result<(), memory::Error>>;

/// A loss that was seen once.
#[derive(Clone, Copy)]
struct Suspicion {
    generation: u64,
    since: Instant,
    /// When a second read was last asked for.
    asked: Option<Instant>,
}

impl Keeper {
    async fn wake(settings: Settings) -> Self {
        let mut believed = Listings::new();
        if let Some(path) = settings.memory.clone() {
            let loaded = spawn_blocking(move || memory::load(&path, SystemTime::now()));
            match loaded.await {
                Ok(Ok((listings, age))) => {
                    if !listings.is_empty() {
                        info!(
                            namespaces = listings.len(),
                            ?age,
                            "starting from the catalog of before"
                        );
                    }
                    believed = listings;
                }
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%error, cause, "starting without the catalog of before");
                }
                Err(error) => warn!(%error, "starting without the catalog of before"),
            }
        }
        let started = Instant::now();
        Self { settings, believed, doubts: BTreeMap::new(), started, save_due: None, saving: None }
    }

    fn look(&mut self, inputs: &mut Inputs, outputs: &Outputs) {
        let soa = Arc::clone(&inputs.soa.borrow_and_update());
        let observed = Arc::clone(&inputs.observed.borrow_and_update());
        let away = Arc::clone(&inputs.away.borrow_and_update());
        for (namespace, listing) in &observed.namespaces {
            self.take(namespace, listing, &away, &outputs.reread);
        }
        if soa.read {
            let known = &soa.configs.namespaces;
            self.believed.retain(|namespace, _| known.contains_key(namespace));
            self.doubts.retain(|namespace, _| known.contains_key(namespace));
        }
        outputs.doubted.send_if_modified(|current| {
            let now: BTreeSet<_> = self.doubts.keys().cloned().collect();
            let changed = **current != now;
            *current = Arc::new(now);
            changed
        });
        if !self.knows_enough(&soa, &observed, outputs) {
            return;
        }
        let catalog = assemble(&soa, &self.believed, self.settings.layout, &away);
        outputs.catalog.send_if_modified(|current| {
            let changed = current.as_deref() != Some(&catalog);
            if changed {
                *current = Some(Arc::new(catalog));
            }
            changed
        });
    }

    /// Takes one listing through the guard.
    fn take(
        &mut self,
        namespace: &Namespace,
        seen: &Arc<Listing>,
        away: &Away,
        reread: &mpsc::Sender<Namespace>,
    ) {
        let believed = self.believed.get(namespace);
        if believed.is_some_and(|b| b.generation == seen.generation) {
            return;
        }
        let now = Instant::now();
        let doubt = self.doubts.get(namespace).map(|suspicion| Doubt {
            generation: suspicion.generation,
            age: now.duration_since(suspicion.since),
        });
        let departing =
            |r: &Record| away.contains_key(&(namespace.clone(), SocketAddr::new(r.host, r.port)));
        let judgement = judge(
            self.settings.guard,
            believed.map(AsRef::as_ref),
            seen,
            doubt.as_ref(),
            departing,
        );
        match judgement {
            Judgement::Believe => {
                if self.doubts.remove(namespace).is_some() {
                    info!(%namespace, servers = seen.records.len(), "the loss was confirmed or is over");
                }
                if believed.is_none_or(|b| b.records != seen.records) {
                    self.save_due.get_or_insert(now + SAVE_AT_MOST_EVERY);
                }
                self.believed.insert(namespace.clone(), Arc::clone(seen));
            }
            Judgement::Hold { reread: again } => {
                let had = believed.map_or(0, |b| b.records.len());
                let suspicion = self.doubts.entry(namespace.clone()).or_insert_with(|| {
                    warn!(%namespace, had, seen = seen.records.len(), "sudden loss of servers; keeping them until a second read");
                    Suspicion { generation: seen.generation, since: now, asked: None }
                });
                let hold = self.settings.guard.hold;
                let due = suspicion.asked.is_none_or(|asked| now.duration_since(asked) >= hold);
                // A full queue is no loss: the question is asked again after another hold.
                if again && due && reread.try_send(namespace.clone()).is_ok() {
                    suspicion.asked = Some(now);
                }
            }
        }
    }

    /// Whether the catalog may be acted on: at the start only when every namespace is known.
    fn knows_enough(&self, soa: &Soa, observed: &Observed, outputs: &Outputs) -> bool {
        let already = outputs.catalog.borrow().is_some();
        let all = || soa.configs.namespaces.keys().all(|name| self.believed.contains_key(name));
        let patient = self.started.elapsed() < PATIENCE_AT_START;
        soa.read && (already || all() || (observed.connected && !patient))
    }

    fn next_wake(&self) -> Instant {
        let hold = self.settings.guard.hold;
        let doubts = self.doubts.values().map(|s| s.asked.unwrap_or(s.since) + hold);
        let start =
            (self.started.elapsed() < PATIENCE_AT_START).then(|| self.started + PATIENCE_AT_START);
        let save = self.save_due.filter(|_| self.saving.is_none());
        let idle = Instant::now() + Duration::from_secs(60);
        doubts.chain(save).chain(start).min().unwrap_or(idle)
    }

    /// Begins to save, unless a save is under way.
    fn save(&mut self) {
        if self.saving.is_some() {
            return;
        }
        self.save_due = None;
        let Some(path) = self.settings.memory.clone() else { return };
        let listings = self.believed.clone();
        self.saving =
            Some(spawn_blocking(move || memory::save(&path, &listings, SystemTime::now())));
    }

    /// Waits for the save under way, if there is one.
    ///
    /// Cancel-safe: the save goes on, and the next call waits for it.
    async fn saved(&mut self) {
        let Some(saving) = &mut self.saving else { return };
        let saved = saving.await;
        self.saving = None;
        match saved {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, cause, "the catalog is not on disk; trying again");
                self.save_due = Some(Instant::now() + SAVE_AGAIN_AFTER);
            }
            Err(error) => warn!(%error, "the catalog is not on disk"),
        }
    }
}

#[cfg(test)]
mod tests;
