//! Keeps the znodes of our session in one ensemble equal to the wanted records.
//!
//! One task owns them. A pass deletes first, then checks what the server has, then writes, and may be
//! cut off and repeated at any point: whatever has an unknown outcome is found by the next check.

mod check;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::pending;
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use zookeeper_client::Error;

use super::{
    OnStop, Settings,
    leftovers::Leftovers,
    lookout::Standing,
    operation::{SPREAD, is_answer},
    plan::{self, Missing, Node, Nodes},
    session::{Link, Session},
    turns::Turns,
    write::{create_all, delete_all},
};
use crate::{
    backoff::{Backoff, Waits, random},
    registry::{Observed, Published, RecordKey, Wanted},
    snapshot::renew,
};

/// Waits after a pass that was cut off.
const PASS_RETRY: Backoff = Backoff::fixed(50, 1000);

/// Passes cut off in a row over one connection before the client is held to be dead.
const DOUBTFUL: u32 = 3;

/// What a publisher is connected to.
pub(super) struct Ends {
    pub(super) link: Link,
    pub(super) wanted: watch::Receiver<Arc<Wanted>>,
    pub(super) observed: watch::Receiver<Arc<Observed>>,
    pub(super) published: watch::Sender<Arc<Published>>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) vanished: mpsc::Receiver<String>,
}

pub(super) struct Publisher {
    settings: Settings,
    link: Link,
    wanted: watch::Receiver<Arc<Wanted>>,
    observed: watch::Receiver<Arc<Observed>>,
    published: watch::Sender<Arc<Published>>,
    /// What the lookout has to watch, and what it finds gone.
    standing: watch::Sender<Standing>,
    vanished: mpsc::Receiver<String>,
    turns: Turns,
    /// The session whose nodes these are, and the connection over which they were last checked.
    session: Option<i64>,
    connection: u64,
    nodes: Nodes,
    /// Replaced or double nodes of ours.
    doomed: BTreeSet<String>,
    check_at: Instant,
    waits: Waits,
    /// The session is closed when nothing of ours has been there for so long; `None`: never.
    close_after: Option<Duration>,
    empty_since: Option<Instant>,
}

impl Publisher {
    /// `close_after`: how long the session outlives the last record; `None`: it stays open.
    pub(super) fn new(settings: Settings, ends: Ends, close_after: Option<Duration>) -> Self {
        let Ends { link, wanted, observed, published, standing, vanished } = ends;
        let turns = Turns::new(settings.creates_per_second);
        Self {
            settings,
            link,
            wanted,
            observed,
            published,
            standing,
            vanished,
            turns,
            session: None,
            connection: 0,
            nodes: Nodes::new(),
            doomed: BTreeSet::new(),
            check_at: Instant::now(),
            waits: PASS_RETRY.waits(),
            close_after,
            empty_since: None,
        }
    }

    /// Publishes until `stop`, or until there is nothing of ours.
    pub(super) async fn run(mut self, mut leftovers: Leftovers, stop: CancellationToken) {
        stop.run_until_cancelled(self.serve(&mut leftovers)).await;
        if stop.is_cancelled() && self.settings.on_stop == OnStop::Withdraw {
            self.withdraw(&mut leftovers).await;
        }
    }

    /// Returns when there has been nothing of ours for long enough.
    async fn serve(&mut self, leftovers: &mut Leftovers) {
        loop {
            let session = self.link.borrow_and_update().clone();
            // Seen, even if nothing can be done about it: the next connection brings a pass anyway.
            self.wanted.mark_unchanged();
            let next = match &session {
                Some(session) => Some(self.round(session, leftovers).await),
                None => None,
            };
            self.tell();
            let close_at = self.close_at(leftovers);
            if close_at.is_some_and(|at| at <= Instant::now()) {
                if let Some(session) = self.session {
                    leftovers.forget(session).await;
                }
                return;
            }
            self.wait(next.into_iter().chain(close_at).min()).await;
        }
    }

    /// When to close the session, if nothing is wanted, nothing stands and nothing is left over.
    fn close_at(&mut self, leftovers: &Leftovers) -> Option<Instant> {
        let close_after = self.close_after?;
        let wanted = self.wanted.borrow();
        let standing = !self.nodes.is_empty() || !self.doomed.is_empty() || leftovers.are_sought();
        if !wanted.complete || !wanted.records.is_empty() || standing {
            self.empty_since = None;
            return None;
        }
        Some(*self.empty_since.get_or_insert_with(Instant::now) + close_after)
    }

    /// One pass; returns when the next is due.
    async fn round(&mut self, session: &Session, leftovers: &mut Leftovers) -> Instant {
        self.join(session, leftovers);
        // Without a connection the client queues requests and says nothing.
        let mut link = self.link.clone();
        let outcome = tokio::select! {
            outcome = self.pass(session, leftovers) => outcome,
            () = changed(&mut link) => Err(Error::ConnectionLoss),
        };
        match outcome {
            Ok(next) => {
                self.waits.reset();
                next
            }
            Err(error) => {
                self.check_at = Instant::now();
                let wait = self.waits.after_failure();
                debug!(%error, ?wait, "pass over our records cut off");
                if self.waits.failures() >= DOUBTFUL {
                    warn!(ensemble = %self.settings.ensemble, %error, "zookeeper does not answer");
                    self.waits.reset();
                    session.doubt();
                }
                Instant::now() + wait
            }
        }
    }

    /// Takes note of a new session or connection.
    fn join(&mut self, session: &Session, leftovers: &mut Leftovers) {
        if self.session != Some(session.id()) {
            let mut from = Instant::now();
            if let Some(old) = self.session.replace(session.id()) {
                let (records, ensemble) = (self.nodes.len(), &self.settings.ensemble);
                info!(records, %ensemble, "session lost; writing all records again");
                leftovers.retire(old);
                from += SPREAD.mul_f64(random());
            }
            self.turns.restart(from);
            self.nodes.clear();
            self.doomed.clear();
        }
        if self.connection != session.connection {
            self.connection = session.connection;
            self.check_at = Instant::now();
            self.waits.reset();
        }
    }

    /// # Errors
    /// When an operation ended without an answer.
    async fn pass(
        &mut self,
        session: &Session,
        leftovers: &mut Leftovers,
    ) -> Result<Instant, Error> {
        let wanted = Arc::clone(&self.wanted.borrow_and_update());
        self.delete(session, &wanted).await?;
        self.tell();
        if self.check_at <= Instant::now() {
            self.check(session, &wanted).await?;
            self.check_at =
                Instant::now() + self.settings.verify_every.mul_f64(0.8 + 0.4 * random());
            leftovers.search_again();
        }
        let more_at = self.create(session, &wanted, leftovers).await?;
        leftovers.pass(&session.client, &wanted, &self.nodes).await?;
        Ok(more_at.unwrap_or(self.check_at).min(self.check_at))
    }

    async fn delete(&mut self, session: &Session, wanted: &Wanted) -> Result<(), Error> {
        let unwanted = plan::unwanted(&self.nodes, wanted);
        let mut keys: BTreeMap<String, RecordKey> = BTreeMap::new();
        for key in unwanted {
            if let Some(node) = self.nodes.get(&key) {
                keys.insert(node.path.clone(), key);
            }
        }
        let paths: Vec<String> = keys.keys().chain(&self.doomed).cloned().collect();
        if paths.is_empty() {
            return Ok(());
        }
        let mut outcome = Ok(());
        for (path, deleted) in
            delete_all(&session.client, paths, &self.settings.ensemble, &self.settings.tally).await
        {
            match deleted {
                Ok(()) => {
                    debug!(path, "record removed");
                    self.doomed.remove(&path);
                    if let Some(key) = keys.get(&path) {
                        self.nodes.remove(key);
                    }
                }
                Err(error) if is_answer(&error) => warn!(path, %error, "cannot remove record"),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Writes one batch; returns when to go on, if there is more to do.
    async fn create(
        &mut self,
        session: &Session,
        wanted: &Wanted,
        leftovers: &mut Leftovers,
    ) -> Result<Option<Instant>, Error> {
        self.turns.forget_unwanted(wanted);
        let (batch, more_at) = self.turns.next(plan::missing(&self.nodes, wanted));
        if self.turns.is_throttled() {
            self.settings.tally.throttled();
        }
        if batch.is_empty() {
            return Ok(more_at);
        }
        let parents = batch.iter().map(|missing| missing.key.parent.clone()).collect();
        leftovers.note(session.id(), parents).await;
        let mut outcome = Ok(more_at);
        let settings = &self.settings;
        for (missing, created) in create_all(
            &session.client,
            settings.security.access,
            &settings.instance_id,
            batch,
            &settings.tally,
        )
        .await
        {
            match created {
                Ok(path) => {
                    debug!(path, task = %missing.key.task, "record written");
                    self.stand(missing.key, Node { path, payload: missing.payload, seen: false });
                }
                Err(error) => {
                    self.turns.failed(missing.key, format!("cannot write it: {error}"));
                    if !is_answer(&error) {
                        outcome = Err(error);
                    }
                }
            }
        }
        self.settings.tally.failing(self.turns.longest_failure());
        // Replaced nodes and further failures are for the next pass, which is due at once.
        if !self.doomed.is_empty() { outcome.map(|_| Some(Instant::now())) } else { outcome }
    }

    fn stand(&mut self, key: RecordKey, node: Node) {
        self.turns.succeeded(&key);
        if let Some(old) = self.nodes.insert(key, node) {
            self.doomed.insert(old.path);
        }
    }

    /// Publishes what became of the wanted records, if that has changed.
    fn tell(&self) {
        let connected = self.link.borrow().is_some();
        let wanted = Arc::clone(&self.wanted.borrow());
        let usual = match connected {
            true => "about to be written".to_owned(),
            false => format!("zookeeper at {} is out of reach", self.settings.ensemble),
        };
        let reason = |missing: Missing| {
            let reason = self.turns.reason(&missing.key).unwrap_or(&usual).to_owned();
            (missing.key, reason)
        };
        let now = Published {
            connected,
            further: BTreeMap::new(),
            records: self
                .nodes
                .iter()
                .map(|(key, node)| (key.clone(), node.path.clone()))
                .collect(),
            failures: plan::missing(&self.nodes, &wanted).into_iter().map(reason).collect(),
        };
        let unread = plan::unread(&self.nodes, &self.observed.borrow(), &self.settings);
        renew(&self.standing, unread);
        renew(&self.published, now);
    }

    /// Until an input changes or `next` has come. Every arm is cancel-safe.
    async fn wait(&mut self, next: Option<Instant>) {
        let due = async {
            match next {
                Some(at) => time::sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => return,
                () = changed(&mut self.wanted) => return,
                () = changed(&mut self.link) => return,
                Some(path) = self.vanished.recv() => {
                    // Not one that we have deleted ourselves in the meantime.
                    if self.nodes.values().any(|node| node.path == path) {
                        self.check_at = Instant::now();
                        return;
                    }
                }
                () = changed(&mut self.observed) => {
                    let observed = Arc::clone(&self.observed.borrow_and_update());
                    if plan::has_vanished(&mut self.nodes, &observed) {
                        self.check_at = Instant::now();
                        return;
                    }
                }
            }
        }
    }

    /// Deletes all nodes of our session, also those whose creation was cut off by the stop.
    async fn withdraw(&mut self, leftovers: &mut Leftovers) {
        let Some(session) = self.link.borrow().clone() else { return };
        let nothing = Wanted { complete: true, ..Wanted::default() };
        let withdrawn = async {
            self.check(&session, &nothing).await?;
            self.delete(&session, &nothing).await?;
            leftovers.search_again();
            leftovers.pass(&session.client, &nothing, &self.nodes).await
        };
        match withdrawn.await {
            Ok(()) => info!("records withdrawn"),
            Err(error) => warn!(%error, "records not withdrawn; they go with the session"),
        }
        self.tell();
    }
}

/// A sender that is gone says nothing more; that must not turn the loop into a spin.
pub(super) async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending().await
    }
}
