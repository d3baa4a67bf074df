//! Notices when somebody deletes a record of ours that nobody reads here: one of the v1 layout, or one
//! in a further ensemble.
//!
//! An exist watch on each such znode, in sessions that hold watches only (crates.md §3.3 rule 1) and no
//! more than 96 KiB of paths each (rule 2). Without one, a deletion is found by the next check of all
//! records, seconds later.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Aborted, abortable, pending, select_all},
    stream::{self, FuturesUnordered},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use zookeeper_client::{Client, Error, EventType, OneshotWatcher};

use super::{
    Settings,
    budget::Budget,
    operation::{PIPELINE, SPREAD, bounded},
    publish::changed,
    session::{self, Link, Purpose, Session},
};
use crate::backoff::{Backoff, random};

const RETRY: Backoff = Backoff::fixed(100, 5000);

/// The paths of our records that nobody else watches.
pub(super) type Standing = Arc<BTreeSet<String>>;

type Fired = Pin<Box<dyn Future<Output = Result<Event, Aborted>> + Send>>;

/// What a watch has told, and the session in which it was armed.
struct Event {
    path: String,
    session: i64,
    kind: EventType,
}

/// A path that is watched, or is to be.
#[derive(Debug)]
struct Watched {
    post: usize,
    /// The session in which the watch is armed; `None`: it is not.
    session: Option<i64>,
    watch: AbortHandle,
}

/// A watching session.
struct Post {
    link: Link,
    /// The session whose watches were armed last, and when those of a new one may be: after an expiry
    /// all hosts of a fleet have all of them to arm.
    session: Option<i64>,
    from: Instant,
}

pub(super) struct Lookout {
    settings: Settings,
    standing: watch::Receiver<Standing>,
    vanished: mpsc::Sender<String>,
    posts: Vec<Post>,
    budget: Budget,
    watched: BTreeMap<String, Watched>,
    watches: FuturesUnordered<Fired>,
    keepers: JoinSet<()>,
}

impl Lookout {
    /// Tells `vanished` of every path of `standing` that is found to be gone.
    pub(super) fn new(
        settings: Settings,
        standing: watch::Receiver<Standing>,
        vanished: mpsc::Sender<String>,
    ) -> Self {
        Self {
            settings,
            standing,
            vanished,
            posts: Vec::new(),
            budget: Budget::default(),
            watched: BTreeMap::new(),
            watches: FuturesUnordered::new(),
            keepers: JoinSet::new(),
        }
    }

    /// Watches until `stop`. Every arm is cancel-safe.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.serve(&stop)).await;
        self.watched.values().for_each(|watched| watched.watch.abort());
        while self.keepers.join_next().await.is_some() {}
    }

    async fn serve(&mut self, stop: &CancellationToken) {
        let mut waits = RETRY.waits();
        loop {
            self.take_note(stop);
            let next = match self.arm().await {
                Ok(next) => {
                    waits.reset();
                    next
                }
                Err(error) => {
                    debug!(ensemble = %self.settings.ensemble, %error, "cannot watch our records");
                    Some(Instant::now() + waits.after_failure())
                }
            };
            let due = async {
                match next {
                    Some(at) => time::sleep_until(at).await,
                    None => pending().await,
                }
            };
            let event = tokio::select! {
                () = due => None,
                () = changed(&mut self.standing) => None,
                () = any_changed(&mut self.posts) => None,
                Some(event) = self.watches.next() => event.ok(),
            };
            if let Some(event) = event {
                self.heard(event).await;
            }
        }
    }

    /// Drops the watches of paths that no longer count and finds a session for new ones.
    fn take_note(&mut self, stop: &CancellationToken) {
        let standing = Arc::clone(&self.standing.borrow_and_update());
        let chroot = self.settings.chroot.as_ref().map_or(0, String::len);
        self.watched.retain(|path, watched| {
            let stays = standing.contains(path);
            if !stays {
                watched.watch.abort();
                self.budget.release(watched.post, chroot + path.len());
            }
            stays
        });
        for path in standing.iter() {
            if self.watched.contains_key(path) {
                continue;
            }
            let post = self.budget.take(chroot + path.len());
            while self.posts.len() <= post {
                let (link, sessions) = watch::channel(None);
                let settings = self.settings.clone();
                self.keepers.spawn(session::keep(settings, Purpose::Watches, link, stop.clone()));
                self.posts.push(Post { link: sessions, session: None, from: Instant::now() });
            }
            let (watch, _) = AbortHandle::new_pair();
            self.watched.insert(path.clone(), Watched { post, session: None, watch });
        }
    }

    /// Arms what is not armed; returns when to go on, if something has to wait.
    async fn arm(&mut self) -> Result<Option<Instant>, Error> {
        let mut next: Option<Instant> = None;
        for index in 0..self.posts.len() {
            let post = &mut self.posts[index];
            let Some(session) = post.link.borrow_and_update().clone() else { continue };
            if post.session.replace(session.id()).is_some_and(|last| last != session.id()) {
                post.from = Instant::now() + SPREAD.mul_f64(random());
            }
            let from = post.from;
            let lacking = |(path, watched): (&String, &Watched)| {
                let lacks = watched.post == index && watched.session != Some(session.id());
                lacks.then(|| path.clone())
            };
            let paths: Vec<String> = self.watched.iter().filter_map(lacking).collect();
            if paths.is_empty() {
                continue;
            }
            if from > Instant::now() {
                next = Some(next.map_or(from, |next| next.min(from)));
                continue;
            }
            self.arm_all(&session, paths).await?;
        }
        Ok(next)
    }

    async fn arm_all(&mut self, session: &Session, paths: Vec<String>) -> Result<(), Error> {
        // The server at hand may not have seen yet what the other session wrote.
        bounded(session.client.sync("/")).await?;
        let exists = paths.into_iter().map(|path| exists(&session.client, path));
        let mut exists = stream::iter(exists).buffer_unordered(PIPELINE);
        let mut outcome = Ok(());
        while let Some((path, answer)) = exists.next().await {
            let (there, watcher) = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            let Some(watched) = self.watched.get_mut(&path) else { continue };
            watched.session = Some(session.id());
            if there {
                let (told, session) = (path.clone(), session.id());
                let event = async move {
                    Event { path: told, session, kind: watcher.changed().await.event_type }
                };
                let (fired, watch) = abortable(event);
                watched.watch = watch;
                self.watches.push(Box::pin(fired));
            } else {
                tell(&self.vanished, path).await;
            }
        }
        outcome
    }

    async fn heard(&mut self, event: Event) {
        let Some(watched) = self.watched.get_mut(&event.path) else { return };
        if watched.session != Some(event.session) {
            return;
        }
        match event.kind {
            // The server never gives the name of a record again, so there is nothing left to watch.
            EventType::NodeDeleted => tell(&self.vanished, event.path).await,
            _ => watched.session = None,
        }
    }
}

/// Waits until a watching session comes or goes; for ever while there is none.
async fn any_changed(posts: &mut [Post]) {
    if posts.is_empty() {
        pending().await
    }
    let _changed = select_all(posts.iter_mut().map(|post| changed(&mut post.link).boxed())).await;
}

async fn exists(client: &Client, path: String) -> (String, Result<(bool, OneshotWatcher), Error>) {
    let answer = bounded(client.check_and_watch_stat(&path)).await;
    (path, answer.map(|(stat, watcher)| (stat.is_some(), watcher)))
}

/// A publisher that is gone does not care any more.
async fn tell(vanished: &mpsc::Sender<String>, path: String) {
    let _ = vanished.send(path).await;
}
