//! Owns the catalog: takes listings through the guard, remembers them on disk, and assembles what
//! HAProxy should serve.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use soa_configs::{Namespace, Place};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    catalog::{Catalog, Reading, assemble, near},
    guard::{Doubt, Judgement, Policy, judge},
    memory::{self, Listings},
};
use crate::{
    nerve::publish::Away,
    registry::{Listing, Observed, Record, SeenRecord},
    snapshot::renew,
    soa::Soa,
};

/// Settings of the catalog.
#[derive(Clone, Debug)]
pub struct Settings {
    pub reading: Reading,
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

/// The memory may be a moment older than what HAProxy runs, so after a start the registry has this
/// long to say how things are; meanwhile HAProxy serves as it did.
const PATIENCE_FOR_REGISTRY: Duration = Duration::from_secs(3);
/// A registry that answers but leaves some namespaces unread must not hold up the others longer.
const PATIENCE_FOR_STRAGGLERS: Duration = Duration::from_secs(10);
/// Between two questions about the same doubt.
const ASK_EVERY: Duration = Duration::from_secs(1);
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
    saved: Option<Instant>,
    /// How long the last save took: those of a large fleet come less often.
    save_took: Duration,
    /// Waits while a save is under way.
    save_due: Option<Instant>,
    /// Beside everything else: a slow disk delays no change.
    saving: Option<Saving>,
}

type Saving = JoinHandle<Result<Duration, memory::Error>>;

/// A loss that was seen once.
#[derive(Clone, Copy)]
struct Suspicion {
    generation: u64,
    since: Instant,
    /// When a second read was last asked for.
    asked: Option<Instant>,
    /// When it may be believed; `None`: never.
    due: Option<Instant>,
}

impl Keeper {
    async fn wake(settings: Settings) -> Self {
        let mut believed = Listings::new();
        let source = settings.reading.source;
        if let Some(path) = settings.memory.clone() {
            let loaded = spawn_blocking(move || memory::load(&path, source, SystemTime::now()));
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
        Self {
            settings,
            believed,
            doubts: BTreeMap::new(),
            started,
            saved: None,
            save_took: Duration::ZERO,
            save_due: None,
            saving: None,
        }
    }

    fn look(&mut self, inputs: &mut Inputs, outputs: &Outputs) {
        let soa = Arc::clone(&inputs.soa.borrow_and_update());
        let observed = Arc::clone(&inputs.observed.borrow_and_update());
        let away = Arc::clone(&inputs.away.borrow_and_update());
        let policy = self.policy();
        for (namespace, listing) in &observed.namespaces {
            let believed = self.believed.get(namespace);
            if believed.is_some_and(|believed| believed.generation == listing.generation) {
                continue;
            }
            let config = soa.configs.namespaces.get(namespace);
            let discover = config.map(|config| config.discover.as_str());
            let place = soa.places.iter().find(|place| Some(place.kind()) == discover);
            let policy = config.map_or(policy, |config| policy.of(config));
            self.take(namespace, listing, policy, place, &away, &outputs.reread);
        }
        if soa.read {
            let known = &soa.configs.namespaces;
            self.believed.retain(|namespace, _| known.contains_key(namespace));
            self.doubts.retain(|namespace, _| known.contains_key(namespace));
        }
        renew(&outputs.doubted, self.doubts.keys().cloned().collect::<BTreeSet<_>>());
        if !self.knows_enough(&soa, &observed, outputs) {
            return;
        }
        let before = outputs.catalog.borrow().clone();
        let reading = self.settings.reading;
        let catalog = assemble(&soa, &self.believed, reading, &away, before.as_deref());
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
        policy: Policy,
        place: Option<&Place>,
        away: &Away,
        reread: &mpsc::Sender<Namespace>,
    ) {
        let believed = self.believed.get(namespace);
        let now = Instant::now();
        let doubt = self.doubts.get(namespace).map(|suspicion| Doubt {
            generation: suspicion.generation,
            age: now.duration_since(suspicion.since),
        });
        let departing =
            |r: &Record| away.contains_key(&(namespace.clone(), SocketAddr::new(r.host, r.port)));
        let of_place = place.map(|place| near(self.settings.reading.source, place, namespace));
        let near = |seen: &SeenRecord| of_place.as_ref().is_none_or(|near| near(seen));
        let believed_now = believed.map(AsRef::as_ref);
        let judgement = judge(policy, believed_now, seen, doubt.as_ref(), near, departing);
        match judgement {
            Judgement::Believe => {
                if self.doubts.remove(namespace).is_some() {
                    info!(%namespace, servers = seen.records.len(), "the loss was confirmed or is over");
                }
                if believed.is_none_or(|b| b.records != seen.records) {
                    let pause = SAVE_AT_MOST_EVERY.max(self.save_took * 50);
                    let due = self.saved.map_or(now, |saved| now.max(saved + pause));
                    self.save_due.get_or_insert(due);
                }
                self.believed.insert(namespace.clone(), Arc::clone(seen));
            }
            Judgement::Hold { reread: again, hold } => {
                let suspicion = self.doubt(namespace, seen);
                suspicion.due = Some(suspicion.since + hold);
                let may_ask =
                    suspicion.asked.is_none_or(|asked| now.duration_since(asked) >= ASK_EVERY);
                if again && may_ask {
                    // In a full queue it is lost, and asked again.
                    let _ = reread.try_send(namespace.clone());
                    suspicion.asked = Some(now);
                }
            }
            Judgement::Keep => self.doubt(namespace, seen).due = None,
        }
    }

    /// When the registry itself may have lost something, nothing is believed soon.
    fn policy(&self) -> Policy {
        let with_servers = self.believed.values().filter(|b| !b.records.is_empty()).count();
        let policy = self.settings.guard;
        let doubted = self.doubts.values().filter(|doubt| doubt.due.is_some()).count();
        let panic = policy.is_panic(doubted, with_servers);
        if panic { policy.panicking() } else { policy }
    }

    fn doubt(&mut self, namespace: &Namespace, seen: &Listing) -> &mut Suspicion {
        let had = self.believed.get(namespace).map_or(0, |believed| believed.records.len());
        self.doubts.entry(namespace.clone()).or_insert_with(|| {
            let seen_now = seen.records.len();
            warn!(%namespace, had, seen = seen_now, "sudden loss of servers; keeping them until a second read");
            Suspicion { generation: seen.generation, since: Instant::now(), asked: None, due: None }
        })
    }

    /// Whether the catalog may be acted on. After a start: when every namespace has been read, or
    /// else, after a while, when every one is remembered.
    fn knows_enough(&self, soa: &Soa, observed: &Observed, outputs: &Outputs) -> bool {
        if outputs.catalog.borrow().is_some() {
            return soa.read;
        }
        let waited = self.started.elapsed();
        let names = soa.configs.namespaces.keys();
        let all_in = |known: &Listings| names.clone().all(|name| known.contains_key(name));
        let read = all_in(&observed.namespaces);
        let remembered = waited >= PATIENCE_FOR_REGISTRY && all_in(&self.believed);
        let rest_is_late = waited >= PATIENCE_FOR_STRAGGLERS && observed.connected;
        soa.read && (read || remembered || rest_is_late)
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let doubts = self.doubts.values().filter_map(|suspicion| {
            let ask = suspicion.asked.map(|asked| asked + ASK_EVERY);
            Some(suspicion.due?.max(ask.unwrap_or(now)))
        });
        let start = [PATIENCE_FOR_REGISTRY, PATIENCE_FOR_STRAGGLERS]
            .into_iter()
            .map(|patience| self.started + patience)
            .filter(move |at| *at > now);
        let save = self.save_due.filter(|_| self.saving.is_none());
        let idle = now + Duration::from_secs(60);
        doubts.chain(save).chain(start).min().unwrap_or(idle)
    }

    /// Begins to save, unless a save is under way.
    fn save(&mut self) {
        if self.saving.is_some() {
            return;
        }
        self.save_due = None;
        self.saved = Some(Instant::now());
        let Some(path) = self.settings.memory.clone() else { return };
        let (source, listings) = (self.settings.reading.source, self.believed.clone());
        let save = move || {
            let begun = Instant::now();
            memory::save(&path, source, &listings, SystemTime::now()).map(|()| begun.elapsed())
        };
        self.saving = Some(spawn_blocking(save));
    }

    /// Waits for the save under way, if there is one.
    ///
    /// Cancel-safe: the save goes on, and the next call waits for it.
    async fn saved(&mut self) {
        let Some(saving) = &mut self.saving else { return };
        let saved = saving.await;
        self.saving = None;
        match saved {
            Ok(Ok(took)) => self.save_took = took,
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
