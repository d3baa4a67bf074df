//! Follows the containers of the local Docker daemon.
//!
//! Three ways to learn of a change, so that none has to be perfect: the event stream (at once), a
//! full list after every reconnect, and a full list every [`Settings::resync`]. Only the container
//! that an event names is inspected again. While the daemon is away the last known containers stand.

mod ask;
mod kills;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    API_DEFAULT_VERSION, Docker, errors::Error, models::EventMessage,
    query_parameters::EventsOptionsBuilder,
};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::{
    ask::{Answer, ask, inspect, running_ids},
    kills::Kills,
};
use super::{
    containers::{Container, Containers, Leaving, Link},
    leavers::Leavers,
};
use crate::{backoff::Backoff, registry::TaskId};

/// How to reach Docker and how often to look without being told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub socket: String,
    /// A list this often finds what the event stream lost. Default 30 s.
    pub resync: Duration,
    /// How long beyond its own stop timeout a container may live after a stop signal before it is
    /// taken for a survivor and comes back. Default 2 min.
    pub stop_grace: Duration,
    /// Where it is remembered who was told to stop; `None`: nowhere.
    pub memory: Option<PathBuf>,
}

/// Seconds for one request; a stopped daemon keeps its socket open for ever otherwise.
const REQUEST_TIMEOUT_S: u64 = 10;
const INSPECTS_AT_ONCE: usize = 8;
/// A container missing from the first list after a reconnect is looked for once more.
const SECOND_LOOK: Duration = Duration::from_millis(500);
const RETRY: Backoff = Backoff::fixed(200, 5_000);

/// Publishes the running containers whenever they change, until `stop`. `killed` gets a container, be it
/// over, for each of its processes that the kernel kills for want of memory; when nobody takes them in time
/// they are lost.
pub async fn follow(
    settings: Settings,
    current: watch::Sender<Arc<Containers>>,
    killed: mpsc::Sender<Arc<Container>>,
    stop: CancellationToken,
) {
    let leavers = Leavers::remember(settings.memory.clone()).await;
    let (deadlines, kills) = (BTreeMap::new(), Kills::default());
    let mut follower = Follower { settings, current, killed, kills, leavers, deadlines };
    tokio::select! {
        () = stop.cancelled() => {}
        () = follower.keep_following() => {}
    }
}

struct Follower {
    settings: Settings,
    current: watch::Sender<Arc<Containers>>,
    killed: mpsc::Sender<Arc<Container>>,
    kills: Kills,
    leavers: Leavers,
    /// Until when a container that got a stop signal is believed to be leaving.
    deadlines: BTreeMap<TaskId, Instant>,
}

impl Follower {
    async fn keep_following(&mut self) {
        let mut waits = RETRY.waits();
        loop {
            let started = Instant::now();
            let error = match self.follow_once().await {
                Ok(()) => "the event stream ended".to_owned(),
                Err(error) => error.to_string(),
            };
            if started.elapsed() > Duration::from_secs(10) {
                waits.reset();
            }
            let lost = Link::Lost(error.clone());
            if self.current.borrow().link != lost {
                warn!(
                    error,
                    socket = self.settings.socket,
                    "docker is away; the last known containers stand"
                );
            }
            self.update(|containers| containers.link = lost);
            time::sleep(waits.after_failure()).await;
        }
    }

    async fn follow_once(&mut self) -> Result<(), Error> {
        let docker = Docker::connect_with_unix(
            &self.settings.socket,
            REQUEST_TIMEOUT_S,
            API_DEFAULT_VERSION,
        )?
        .negotiate_version()
        .await?;
        // The request for events goes out when the stream is first polled, after the list; `since`
        // makes Docker repeat what happened in between.
        let since = since_epoch().as_secs().saturating_sub(2).to_string();
        let options = EventsOptionsBuilder::default().since(&since).filters(&event_filters());
        let events = docker.events(Some(options.build()));
        let mut events = std::pin::pin!(events);
        self.list(&docker, true).await?;
        info!(socket = self.settings.socket, api = %docker.client_version(), "docker connected");
        let mut resync =
            time::interval_at(Instant::now() + self.settings.resync, self.settings.resync);
        resync.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.deadlines.values().min().copied();
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.handle(&docker, event?).await?,
                    None => return Ok(()),
                },
                _ = resync.tick() => self.list(&docker, false).await?,
                () = sleep_until(deadline) => {
                    self.give_up_leaving();
                    self.leavers.save().await;
                }
            }
        }
    }

    async fn handle(&mut self, docker: &Docker, event: EventMessage) -> Result<(), Error> {
        let at = event.time_nano.map(i128::from);
        let (Some(action), Some(actor)) = (event.action, event.actor) else { return Ok(()) };
        let Some(id) = actor.id.map(|id| TaskId(id.into())) else { return Ok(()) };
        debug!(action, container = %id, "docker event");
        if action == "kill" {
            let signal = actor.attributes.and_then(|mut a| a.remove("signal")).unwrap_or_default();
            self.told_to_stop(&id, &signal, at);
            self.leavers.save().await;
            return Ok(());
        }
        if action == "oom" {
            return self.tell_of_kill(docker, &id, at).await;
        }
        let seen = inspect(docker, &id).await?;
        self.take([(seen, id)], None);
        self.leavers.save().await;
        Ok(())
    }

    /// The container may be over by now, or was too short-lived to be known.
    async fn tell_of_kill(
        &mut self,
        docker: &Docker,
        id: &TaskId,
        at: Option<i128>,
    ) -> Result<(), Error> {
        if self.killed.is_closed() || !self.kills.are_news(id, at) {
            return Ok(());
        }
        let known = self.current.borrow().running.get(id).cloned();
        let container = match known {
            Some(container) => Some(container),
            None => match ask(docker, id).await? {
                Answer::Described(answer) => Container::described(*answer).map(Arc::new),
                Answer::Gone | Answer::Nothing => None,
            },
        };
        if let Some(container) = container
            && self.killed.try_send(container).is_err()
        {
            debug!(container = %id, "an oom kill is not counted: too many wait to be told");
        }
        Ok(())
    }

    /// Takes what Docker says into the picture, in one step: a list without its containers would look
    /// like a host without any. Who was told to stop goes on leaving until it is started anew,
    /// whichever process of ours heard it.
    fn take(
        &mut self,
        seen: impl IntoIterator<Item = (Seen, TaskId)>,
        list: Option<&BTreeSet<TaskId>>,
    ) {
        let mut news = Vec::new();
        for (seen, id) in seen {
            let Seen::Running(mut container) = seen else {
                news.push((seen, id));
                continue;
            };
            match self.leavers.signal(&container) {
                Some((signal, left)) => {
                    container.leaving = Some(Leaving { signal });
                    self.deadlines.entry(id.clone()).or_insert_with(|| Instant::now() + left);
                }
                None => {
                    self.deadlines.remove(&id);
                    self.leavers.forget(&id);
                }
            }
            news.push((Seen::Running(container), id));
        }
        self.update(|containers| {
            if let Some(ids) = list {
                containers.link = Link::Connected;
                containers.listed = true;
                containers.running.retain(|id, _| ids.contains(id));
            }
            for (seen, id) in news {
                match seen {
                    Seen::Running(container) => {
                        containers.running.insert(id, Arc::new(*container));
                    }
                    Seen::Gone => {
                        containers.running.remove(&id);
                    }
                    Seen::Unknown => {}
                }
            }
        });
    }

    /// Out before dead: the container is leaving from the moment of the signal (design invariant 2). `at` is
    /// that moment, in nanoseconds since 1970 by Docker's clock: on a busy host it may be told when the
    /// container lives again, and that life was told nothing.
    fn told_to_stop(&mut self, id: &TaskId, signal: &str, at: Option<i128>) {
        let Some(container) = self.current.borrow().running.get(id).cloned() else { return };
        let is_of_this_life = at.is_none_or(|at| !container.was_started_after(at));
        if !is_of_this_life || !container.is_stop_signal(signal) {
            return;
        }
        let patience = container.stop_timeout + self.settings.stop_grace;
        info!(container = container.name, signal, "container was told to stop");
        self.deadlines.insert(id.clone(), Instant::now() + patience);
        self.leavers.told(&container, signal, patience);
        let leaving = Some(Leaving { signal: signal.to_owned() });
        self.update(|containers| {
            let container = Container { leaving, ..(*container).clone() };
            containers.running.insert(id.clone(), Arc::new(container));
        });
    }

    /// Containers that outlived their stop signal by far are taken back.
    fn give_up_leaving(&mut self) {
        let now = Instant::now();
        let (over, pending) =
            std::mem::take(&mut self.deadlines).into_iter().partition(|(_, at)| *at <= now);
        let over: BTreeMap<TaskId, Instant> = over;
        self.deadlines = pending;
        for id in over.keys() {
            self.leavers.forget(id);
        }
        self.update(|containers| {
            for id in over.keys() {
                let Some(container) = containers.running.get(id) else { continue };
                warn!(
                    container = container.name,
                    "container survived its stop signal; taking it back"
                );
                let back = Container { leaving: None, ..(**container).clone() };
                containers.running.insert(id.clone(), Arc::new(back));
            }
        });
    }

    /// Brings the picture in line with a full list: inspects everything, as the stream of events
    /// may have lost a restart with another port, and drops what is gone.
    ///
    /// After a reconnect what is missing is dropped only if a second list misses it too: a daemon
    /// that is still coming up may not know all its containers yet (design invariant 1).
    async fn list(&mut self, docker: &Docker, reconnected: bool) -> Result<(), Error> {
        let mut ids = running_ids(docker).await?;
        let known: BTreeSet<TaskId> = self.current.borrow().running.keys().cloned().collect();
        if reconnected && !known.is_subset(&ids) {
            time::sleep(SECOND_LOOK).await;
            ids = running_ids(docker).await?;
        }
        let inspected: Vec<_> = stream::iter(ids.clone())
            .map(|id| async move { Ok((inspect(docker, &id).await?, id)) })
            .buffer_unordered(INSPECTS_AT_ONCE)
            .collect()
            .await;
        let inspected = inspected.into_iter().collect::<Result<Vec<_>, Error>>()?;
        self.deadlines.retain(|id, _| ids.contains(id));
        self.leavers.keep_only(|id| ids.iter().any(|running| &*running.0 == id));
        self.take(inspected, Some(&ids));
        self.leavers.save().await;
        Ok(())
    }

    fn update(&self, change: impl FnOnce(&mut Containers)) {
        self.current.send_if_modified(|current| {
            let mut next = (**current).clone();
            change(&mut next);
            let changed = next != **current;
            if changed {
                *current = Arc::new(next);
            }
            changed
        });
    }
}

/// What is known of one container.
enum Seen {
    Running(Box<Container>),
    Gone,
    /// It cannot say; what was known of it stands.
    Unknown,
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn event_filters() -> HashMap<&'static str, Vec<&'static str>> {
    let events = vec![
        "start",
        "die",
        "destroy",
        "kill",
        "pause",
        "unpause",
        "rename",
        "health_status",
        "oom",
    ];
    HashMap::from([("type", vec!["container"]), ("event", events)])
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::containers::tests::container, *};

    #[tokio::test]
    async fn a_signal_that_an_earlier_life_got_stops_no_later_one() {
        let web = container("web", &[], &[]);
        let (id, started) = (web.id.clone(), 1_767_225_600_000_000_000);
        let running = BTreeMap::from([(id.clone(), Arc::new(web))]);
        let (current, seen) =
            watch::channel(Arc::new(Containers { running, ..Containers::default() }));
        let settings = Settings {
            socket: String::new(),
            resync: Duration::ZERO,
            stop_grace: Duration::ZERO,
            memory: None,
        };
        let leavers = Leavers::remember(None).await;
        let (killed, deadlines, kills) = (mpsc::channel(1).0, BTreeMap::new(), Kills::default());
        let mut follower = Follower { settings, current, killed, kills, leavers, deadlines };
        let leaves = |id: &TaskId| seen.borrow().running[id].leaving.is_some();
        follower.told_to_stop(&id, "9", Some(started - 1));
        assert!(!leaves(&id));
        follower.told_to_stop(&id, "9", Some(started + 1));
        assert!(leaves(&id));
    }
}
