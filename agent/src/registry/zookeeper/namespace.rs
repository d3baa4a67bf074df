//! Follows the records of one namespace.
//!
//! A watch says that something has changed; a pass lists the children again, reads those it does not
//! know and hands on a complete listing. Whatever fails leaves the last listing as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use soa_configs::Namespace;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{self, Instant},
};
use tracing::{info, warn};
use zookeeper_client::{Client, Error};

use super::{
    operation::{SPREAD, bounded, is_answer, make_parent},
    payloads,
    security::Access,
    session::{Link, Session},
};
use crate::{
    backoff::{Backoff, Waits, random},
    registry::{Listing, ParentPath, Record, SeenRecord},
};

const RETRY: Backoff = Backoff::fixed(50, 5000);

/// A parent with more children is not believed: the last listing stands.
const MOST_CHILDREN: usize = 10_000;

/// A lone change is read at once; a namespace in a storm of them is not read more often than this.
const PACE: Duration = Duration::from_millis(50);

/// Passes failed in a row over one connection before the client is held to be dead.
const DOUBTFUL: u32 = 5;

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    ZooKeeper(#[from] Error),
    #[error("{0} has {1} children, more than {MOST_CHILDREN}")]
    TooMany(ParentPath, usize),
}

/// A complete read of one namespace; `follower` tells a follower from an earlier one of that name.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) namespace: Namespace,
    pub(super) follower: u64,
    pub(super) listing: Arc<Listing>,
}

/// How much a pass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// The list, and the children not known yet.
    News,
    /// The list and all children, whose data may have changed in place.
    Full,
    /// The same, after the server has caught up with the leader.
    Asked,
}

/// By path: what is known of each child.
type Children = BTreeMap<String, Child>;

/// One child. A payload that can no longer be read leaves the last good record standing (design
/// invariant 1): who registered is alive, or the znode would be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Child {
    record: Option<Arc<Record>>,
    /// Why the payload of now is refused.
    refused: Option<String>,
}

impl Child {
    fn new(content: Result<Record, String>, before: Option<&Self>) -> Self {
        match content {
            Ok(record) => Self { record: Some(Arc::new(record)), refused: None },
            Err(reason) => {
                let record = before.and_then(|before| before.record.clone());
                Self { record, refused: Some(reason) }
            }
        }
    }
}

type Fired = Pin<Box<dyn Future<Output = usize> + Send>>;

pub(super) struct Follower {
    pub(super) namespace: Namespace,
    pub(super) parents: Vec<ParentPath>,
    /// Of parents that have to be made.
    pub(super) access: Access,
    pub(super) number: u64,
    pub(super) link: Link,
    /// Bounds what all followers of a session have on the wire.
    pub(super) slots: Arc<Semaphore>,
    /// Changes when somebody wants the namespace read again.
    pub(super) asked: watch::Receiver<()>,
    pub(super) readings: mpsc::Sender<Reading>,
    pub(super) reread_every: Duration,
    pub(super) state: State,
}

/// What a follower has found out so far.
#[derive(Default)]
pub(super) struct State {
    children: Children,
    generation: u64,
    /// The session of the watches.
    session: i64,
    /// When the last pass began.
    passed_at: Option<Instant>,
    /// Parents with a watch that has not fired.
    armed: BTreeSet<usize>,
    watches: FuturesUnordered<Fired>,
}

impl Follower {
    /// Follows the namespace until it is aborted.
    pub(super) async fn run(mut self) {
        loop {
            let session = match self.link.wait_for(Option::is_some).await {
                Ok(session) => session.clone(),
                // The keeper is gone, and so are we in a moment.
                Err(_) => return,
            };
            if let Some(session) = session {
                self.attend(&session).await;
            }
        }
    }

    /// Reads and watches over one connection, until there is another or none.
    async fn attend(&mut self, session: &Session) {
        if self.state.session != session.id() {
            self.state.session = session.id();
            self.state.armed.clear();
            self.state.watches.clear();
        }
        // The watches of the earlier connection hold, and all hosts of a fleet may read now.
        if self.state.passed_at.is_some() && self.pause(SPREAD.mul_f64(random())).await.is_none() {
            return;
        }
        let mut waits = RETRY.waits();
        let mut pass = Pass::Full;
        let mut full_at = Instant::now();
        loop {
            self.state.passed_at = Some(Instant::now());
            if pass != Pass::News {
                full_at = Instant::now() + self.reread_every.mul_f64(0.75 + 0.5 * random());
            }
            // Without a connection the client queues requests and says nothing.
            let mut link = self.link.clone();
            let read = tokio::select! {
                read = self.read(&session.client, pass) => read,
                _ = link.changed() => return,
            };
            let next = match read {
                Ok(listing) => {
                    self.recovered(&mut waits);
                    if self.hand_on(listing).await.is_err() {
                        return;
                    }
                    self.next_pass(full_at).await
                }
                Err(error) => self.failed(session, &mut waits, &error, pass).await,
            };
            match next {
                Some(next) => pass = next,
                None => return,
            }
        }
    }

    /// `None` when the connection is another one. Every arm is cancel-safe.
    async fn next_pass(&mut self, full_at: Instant) -> Option<Pass> {
        tokio::select! {
            _ = self.link.changed() => None,
            Some(parent) = self.state.watches.next() => {
                self.state.armed.remove(&parent);
                let soonest = self.state.passed_at.map_or_else(Instant::now, |at| at + PACE);
                self.pause(soonest.saturating_duration_since(Instant::now())).await?;
                Some(Pass::News)
            }
            Ok(()) = self.asked.changed() => Some(Pass::Asked),
            () = time::sleep_until(full_at) => Some(Pass::Full),
        }
    }

    /// `None` when the connection is another one before the end.
    async fn pause(&mut self, pause: Duration) -> Option<()> {
        tokio::select! {
            _ = self.link.changed() => None,
            () = time::sleep(pause) => Some(()),
        }
    }

    async fn failed(
        &mut self,
        session: &Session,
        waits: &mut Waits,
        error: &Unread,
        pass: Pass,
    ) -> Option<Pass> {
        // The first failure is often just the end of a connection.
        if waits.failures() == 1 {
            warn!(namespace = %self.namespace, %error, "cannot read records; keeping the last");
        }
        let wait = waits.after_failure();
        // One bad namespace must not cost the others their session.
        let silent = matches!(error, Unread::ZooKeeper(error) if !is_answer(error));
        if silent && waits.failures().is_multiple_of(DOUBTFUL) {
            session.doubt();
        }
        self.pause(wait).await.map(|()| pass.max_with_full())
    }

    fn recovered(&self, waits: &mut Waits) {
        if waits.failures() > 1 {
            info!(namespace = %self.namespace, "records can be read again");
        }
        waits.reset();
    }

    async fn hand_on(&mut self, listing: Listing) -> Result<(), mpsc::error::SendError<Reading>> {
        let namespace = self.namespace.clone();
        let reading = Reading { namespace, follower: self.number, listing: Arc::new(listing) };
        self.readings.send(reading).await
    }

    async fn read(&mut self, client: &Client, pass: Pass) -> Result<Listing, Unread> {
        if pass == Pass::Asked {
            bounded(client.sync("/")).await?;
        }
        let mut paths = Vec::new();
        for (index, parent) in self.parents.iter().enumerate() {
            let names = list(client, self.access, &mut self.state, index, parent).await?;
            if names.len() > MOST_CHILDREN {
                return Err(Unread::TooMany(parent.clone(), names.len()));
            }
            paths.extend(names.iter().map(|name| parent.child(name)));
        }
        let mut children = Children::new();
        let mut unknown = Vec::new();
        for path in paths {
            match self.state.children.get(&path) {
                Some(known) if pass == Pass::News => {
                    children.insert(path, known.clone());
                }
                _ => unknown.push(path),
            }
        }
        for (path, content) in payloads::read(client, &self.slots, unknown).await? {
            let child = Child::new(content, self.state.children.get(&path));
            children.insert(path, child);
        }
        self.state.children = children;
        self.state.generation += 1;
        Ok(listing(&self.state))
    }
}

impl Pass {
    /// After a failure the children may be known only in part.
    fn max_with_full(self) -> Self {
        if self == Self::Asked { Self::Asked } else { Self::Full }
    }
}

/// Lists the children of a parent, makes it if it is missing, and sees that it is watched. A watch
/// that has not fired is left alone: it holds across reconnects (crates.md §3.3).
async fn list(
    client: &Client,
    access: Access,
    state: &mut State,
    index: usize,
    parent: &ParentPath,
) -> Result<Vec<String>, Error> {
    if state.armed.contains(&index) {
        match bounded(client.list_children(parent.as_str())).await {
            // Deleted; its watch has fired or will.
            Err(Error::NoNode) => {}
            listed => return listed,
        }
    }
    let listed = match bounded(client.list_and_watch_children(parent.as_str())).await {
        Err(Error::NoNode) => {
            make_parent(client, access, parent.as_str()).await?;
            bounded(client.list_and_watch_children(parent.as_str())).await
        }
        listed => listed,
    };
    let (names, watcher) = listed?;
    state.armed.insert(index);
    state.watches.push(Box::pin(async move {
        watcher.changed().await;
        index
    }));
    Ok(names)
}

fn listing(state: &State) -> Listing {
    let (mut records, mut refused) = (Vec::new(), Vec::new());
    for (path, child) in &state.children {
        if let Some(record) = &child.record {
            records.push(SeenRecord { znode: path.clone(), record: Arc::clone(record) });
        }
        refused.extend(child.refused.iter().map(|reason| (path.clone(), reason.clone())));
    }
    Listing {
        records: Arc::new(records),
        refused,
        generation: state.generation,
        session: state.session,
        read_at: SystemTime::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_became_unreadable_leaves_the_last_record_and_is_told() {
        let record = Record::decode(br#"{"host":"10.0.0.1","port":1,"name":"h"}"#).unwrap();
        let good = Child::new(Ok(record), None);
        let spoilt = Child::new(Err("no JSON".to_owned()), Some(&good));
        let never = Child::new(Err("no JSON".to_owned()), None);
        let children = [("/a", good), ("/b", spoilt), ("/c", never)];
        let children = children.into_iter().map(|(path, c)| (path.to_owned(), c)).collect();
        let listing = listing(&State { children, ..State::default() });
        let paths: Vec<_> = listing.records.iter().map(|seen| seen.znode.as_str()).collect();
        assert_eq!(paths, ["/a", "/b"]);
        assert_eq!(listing.refused.len(), 2);
    }
}
