//! Folds what the followers read into one `Observed`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::select_all};
use soa_configs::Namespace;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    Settings,
    budget::Budget,
    namespace::{Follower, Reading, State},
    operation::PIPELINE,
    session::{self, Link, Purpose},
};
use crate::registry::{Listing, Observed};

/// A burst of changes reaches the synapse wing in steps of this; a lone change goes at once.
const STEP: Duration = Duration::from_millis(5);

/// While a fleet is read for the first time nobody acts on a part of it, so parts are told rarely.
const STEP_AT_FIRST: Duration = Duration::from_millis(250);
/// Namespaces that cannot be read hold up the others no longer.
const AT_FIRST: Duration = Duration::from_secs(10);

/// Readings on their way. Followers wait when it is full, which slows reading down to our pace.
const QUEUE: usize = 256;

/// A watching session.
struct Post {
    link: Link,
    slots: Arc<Semaphore>,
}

/// The task that follows one namespace.
struct Following {
    number: u64,
    post: usize,
    bytes: usize,
    asked: watch::Sender<()>,
    task: AbortHandle,
}

pub(super) struct Observer {
    settings: Settings,
    namespaces: watch::Receiver<Arc<BTreeSet<Namespace>>>,
    reread: mpsc::Receiver<Namespace>,
    observed: watch::Sender<Arc<Observed>>,
    stop: CancellationToken,
    posts: Vec<Post>,
    budget: Budget,
    following: BTreeMap<Namespace, Following>,
    started: u64,
    listings: BTreeMap<Namespace, Arc<Listing>>,
    readings: mpsc::Receiver<Reading>,
    to_us: mpsc::Sender<Reading>,
    tasks: JoinSet<()>,
}

impl Observer {
    pub(super) fn new(
        settings: Settings,
        namespaces: watch::Receiver<Arc<BTreeSet<Namespace>>>,
        reread: mpsc::Receiver<Namespace>,
        observed: watch::Sender<Arc<Observed>>,
        stop: CancellationToken,
    ) -> Self {
        let (to_us, readings) = mpsc::channel(QUEUE);
        Self {
            settings,
            namespaces,
            reread,
            observed,
            stop,
            posts: Vec::new(),
            budget: Budget::default(),
            following: BTreeMap::new(),
            started: 0,
            listings: BTreeMap::new(),
            readings,
            to_us,
            tasks: JoinSet::new(),
        }
    }

    /// Observes until the stop, or until a task of ours has failed.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // The first session is there even with nothing to watch, so that `connected` means something.
        self.open_post();
        self.follow_wanted();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.serve() => {}
        }
        self.tasks.shutdown().await;
    }

    /// Returns if a task has failed. Every arm is cancel-safe.
    async fn serve(&mut self) {
        let mut dirty = true;
        let begun = Instant::now();
        let mut told_at = begun;
        let (mut wishes, mut asks) = (true, true);
        loop {
            let at_first = self.listings.len() < self.following.len() && begun.elapsed() < AT_FIRST;
            let step = if at_first { STEP_AT_FIRST } else { STEP };
            tokio::select! {
                () = time::sleep_until(told_at + step), if dirty => {
                    self.tell();
                    told_at = Instant::now();
                    dirty = false;
                }
                changed = self.namespaces.changed(), if wishes => {
                    wishes = changed.is_ok();
                    self.follow_wanted();
                    dirty = true;
                }
                namespace = self.reread.recv(), if asks => match namespace {
                    Some(namespace) => self.ask(&namespace),
                    None => asks = false,
                },
                Some(reading) = self.readings.recv() => dirty |= self.take(reading),
                () = any_changed(&mut self.posts) => dirty = true,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(failure) = ended && failure.is_panic() {
                        error!(%failure, "a task that reads records has failed");
                        return;
                    }
                }
            }
        }
    }

    /// Starts and ends followers, so that there is one for each wanted namespace.
    fn follow_wanted(&mut self) {
        let wanted = Arc::clone(&self.namespaces.borrow_and_update());
        let over: Vec<Namespace> =
            self.following.keys().filter(|ns| !wanted.contains(*ns)).cloned().collect();
        for namespace in over {
            if let Some(following) = self.following.remove(&namespace) {
                following.task.abort();
                self.budget.release(following.post, following.bytes);
            }
            self.listings.remove(&namespace);
        }
        for namespace in wanted.iter() {
            if !self.following.contains_key(namespace) {
                self.follow(namespace);
            }
        }
    }

    fn follow(&mut self, namespace: &Namespace) {
        let parents = self.settings.read.parents(namespace, &self.settings.read_places);
        let chroot = self.settings.chroot.as_ref().map_or(0, String::len);
        let bytes = parents.iter().map(|parent| chroot + parent.as_str().len()).sum();
        let post = self.budget.take(bytes);
        while self.posts.len() <= post {
            self.open_post();
        }
        self.started += 1;
        let (asked, asked_rx) = watch::channel(());
        let follower = Follower {
            namespace: namespace.clone(),
            parents,
            access: self.settings.security.access,
            number: self.started,
            link: self.posts[post].link.clone(),
            slots: Arc::clone(&self.posts[post].slots),
            asked: asked_rx,
            readings: self.to_us.clone(),
            reread_every: self.settings.reread_every,
            state: State::default(),
        };
        let task = self.tasks.spawn(follower.run());
        let following = Following { number: self.started, post, bytes, asked, task };
        self.following.insert(namespace.clone(), following);
    }

    fn open_post(&mut self) {
        let (link, watched) = watch::channel(None);
        let settings = self.settings.clone();
        self.tasks.spawn(session::keep(settings, Purpose::Watches, link, self.stop.clone()));
        self.posts.push(Post { link: watched, slots: Arc::new(Semaphore::new(PIPELINE)) });
    }

    fn ask(&self, namespace: &Namespace) {
        if let Some(following) = self.following.get(namespace) {
            following.asked.send_replace(());
        }
    }

    /// Returns whether there is something new. A follower that was ended may still have sent.
    fn take(&mut self, reading: Reading) -> bool {
        let Reading { namespace, follower, listing } = reading;
        let current = self.following.get(&namespace).is_some_and(|f| f.number == follower);
        if current {
            self.listings.insert(namespace, listing);
        }
        current
    }

    fn tell(&mut self) {
        let connected = self.posts.iter_mut().all(|post| post.link.borrow_and_update().is_some());
        let namespaces = self.listings.clone();
        self.observed.send_replace(Arc::new(Observed { connected, namespaces }));
    }
}

/// Waits until a watching session comes or goes. There is always at least one.
async fn any_changed(posts: &mut [Post]) {
    let _changed = select_all(posts.iter_mut().map(|post| post.link.changed().boxed())).await;
}
