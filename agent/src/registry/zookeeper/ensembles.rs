//! Our records in all ensembles: a publisher with a session of its own for each.
//!
//! None waits for another, so an ensemble that is out of reach delays only its own records (nerve.md
//! §13.14). Further ensembles are opened when a record is to stand there, or one of an earlier life may
//! be left there, and closed when nothing of ours is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{FutureExt, future::select_all};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Settings,
    leftovers::{Ledger, Leftovers},
    lookout::Lookout,
    publish::{Ends, Publisher, changed},
    session::{self, Purpose},
    share::shares,
};
use crate::{
    registry::{Ensemble, Observed, Published, Wanted},
    snapshot::renew,
};

/// Each holds a session. A fleet has one ensemble for each of its larger places.
const MOST: usize = 32;

/// Paths found gone that wait for the publisher. The lookout waits when it is full.
const QUEUE: usize = 64;

/// The publisher of one ensemble, as seen from here.
struct Branch {
    wanted: watch::Sender<Arc<Wanted>>,
    published: watch::Receiver<Arc<Published>>,
}

/// Owns what stands where.
pub(super) struct Ensembles {
    settings: Settings,
    wanted: watch::Receiver<Arc<Wanted>>,
    observed: watch::Receiver<Arc<Observed>>,
    published: watch::Sender<Arc<Published>>,
    stop: CancellationToken,
    branches: BTreeMap<Ensemble, Branch>,
    /// Ensembles that got no session, because there are too many.
    refused: BTreeSet<Ensemble>,
    publishers: JoinSet<Ensemble>,
}

impl Ensembles {
    pub(super) fn new(
        settings: Settings,
        wanted: watch::Receiver<Arc<Wanted>>,
        observed: watch::Receiver<Arc<Observed>>,
        published: watch::Sender<Arc<Published>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            settings,
            wanted,
            observed,
            published,
            stop,
            branches: BTreeMap::new(),
            refused: BTreeSet::new(),
            publishers: JoinSet::new(),
        }
    }

    /// Publishes until the stop, or until a publisher has failed.
    pub(super) async fn run(mut self) {
        let local = self.settings.ensemble.clone();
        let ledger = Ledger::load(self.settings.state_dir.clone(), local.clone()).await;
        self.open(local, &ledger);
        for ensemble in ledger.ensembles_of_earlier() {
            self.open(ensemble, &ledger);
        }
        self.serve(&ledger).await;
        self.stop.cancel();
        while self.publishers.join_next().await.is_some() {}
        self.tell();
    }

    /// Returns at the stop, or if a publisher has failed. Every arm is cancel-safe.
    async fn serve(&mut self, ledger: &Ledger) {
        loop {
            self.share(ledger);
            self.tell();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = changed(&mut self.wanted) => {}
                () = any_changed(&mut self.branches) => {}
                Some(ended) = self.publishers.join_next() => match ended {
                    Ok(ensemble) if ensemble != self.settings.ensemble => {
                        info!(%ensemble, "nothing of ours is left there; closed");
                        self.branches.remove(&ensemble);
                    }
                    Ok(_) => return,
                    Err(failure) => {
                        error!(%failure, "a task that writes records has failed");
                        return;
                    }
                },
            }
        }
    }

    fn open(&mut self, ensemble: Ensemble, ledger: &Ledger) {
        if self.branches.contains_key(&ensemble) {
            return;
        }
        let is_local = ensemble == self.settings.ensemble;
        let mut settings = self.settings.clone();
        if !is_local {
            info!(%ensemble, "opening a further ensemble");
            settings.hosts = ensemble.to_string();
            settings.ensemble = ensemble.clone();
            settings.chroot = None;
        }
        let (wanted, wishes) = watch::channel(Arc::default());
        let (outcome, published) = watch::channel(Arc::default());
        // Only the registry of this host is read.
        let observed =
            if is_local { self.observed.clone() } else { watch::channel(Arc::default()).1 };
        let (name, tally) = (settings.instance_id.clone(), settings.tally.clone());
        let leftovers = Leftovers::new(ledger.of(ensemble.clone()), name, tally);
        let (keeper, link) = watch::channel(None);
        let (standing, to_watch) = watch::channel(Arc::default());
        let (gone, vanished) = mpsc::channel(QUEUE);
        let ends = Ends { link, wanted: wishes, observed, published: outcome, standing, vanished };
        let close_after = (!is_local).then_some(settings.close_idle_after);
        let publisher = Publisher::new(settings.clone(), ends, close_after);
        let lookout = Lookout::new(settings.clone(), to_watch, gone);
        let stop = self.stop.clone();
        let told = ensemble.clone();
        self.publishers.spawn(async move {
            // The session outlives its user, so that a withdrawal on stop still has one.
            let sessions = CancellationToken::new();
            let _ends_with_us = sessions.clone().drop_guard();
            let mut helpers = JoinSet::new();
            helpers.spawn(session::keep(settings, Purpose::Records, keeper, sessions.clone()));
            helpers.spawn(lookout.run(sessions.clone()));
            publisher.run(leftovers, stop).await;
            sessions.cancel();
            while let Some(ended) = helpers.join_next().await {
                if let Err(failure) = ended {
                    error!(%failure, "a task beside a publisher has failed");
                }
            }
            told
        });
        self.branches.insert(ensemble, Branch { wanted, published });
    }

    /// Tells every publisher what it is to keep.
    fn share(&mut self, ledger: &Ledger) {
        let wanted = Arc::clone(&self.wanted.borrow_and_update());
        let local = &self.settings.ensemble;
        let all_here = wanted.records.keys().all(|key| key.ensemble == *local);
        if let (true, [only]) = (all_here, self.branches.values().collect::<Vec<_>>().as_slice()) {
            renew(&only.wanted, wanted);
            return;
        }
        let asked = self.branches.iter().map(|(e, b)| (e.clone(), b.wanted.borrow().clone()));
        let standing = self.branches.iter().map(|(e, b)| (e.clone(), b.published.borrow().clone()));
        let shares = shares(&wanted, &asked.collect(), &standing.collect());
        self.refused.clear();
        for (ensemble, share) in shares {
            if !self.branches.contains_key(&ensemble) {
                if share.records.is_empty() {
                    continue;
                }
                if self.branches.len() >= MOST {
                    warn!(%ensemble, MOST, "too many ensembles; its records are not written");
                    self.refused.insert(ensemble);
                    continue;
                }
                self.open(ensemble.clone(), ledger);
            }
            if let Some(branch) = self.branches.get(&ensemble) {
                renew(&branch.wanted, share);
            }
        }
    }

    /// Publishes what became of the records everywhere.
    fn tell(&mut self) {
        if let (true, [only]) =
            (self.refused.is_empty(), self.branches.values_mut().collect::<Vec<_>>().as_mut_slice())
        {
            // It is the one of this host, and has said it all.
            let published = Arc::clone(&only.published.borrow_and_update());
            renew(&self.published, published);
            return;
        }
        let wanted = Arc::clone(&self.wanted.borrow());
        let mut now = Published::default();
        for (ensemble, branch) in &mut self.branches {
            let published = branch.published.borrow_and_update();
            if *ensemble == self.settings.ensemble {
                now.connected = published.connected;
            } else {
                now.further.insert(ensemble.clone(), published.connected);
            }
            let standing = published.records.iter().map(|(key, path)| (key.clone(), path.clone()));
            now.records.extend(standing);
            let failures = published.failures.iter();
            now.failures.extend(failures.map(|(key, reason)| (key.clone(), reason.clone())));
        }
        let refused = wanted.records.keys().filter(|key| self.refused.contains(&key.ensemble));
        let reason = format!("more than {MOST} ensembles are to be written to");
        now.failures.extend(refused.map(|key| (key.clone(), reason.clone())));
        renew(&self.published, now);
    }
}

/// Waits until a publisher has news. There is always at least one publisher.
async fn any_changed(branches: &mut BTreeMap<Ensemble, Branch>) {
    let news = branches.values_mut().map(|branch| changed(&mut branch.published).boxed());
    let _changed = select_all(news).await;
}
