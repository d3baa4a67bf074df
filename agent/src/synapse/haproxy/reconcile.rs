//! The task that owns HAProxy: its configuration file, its reloads, its servers.
//!
//! In: the catalog, as a `watch`: ten changes during a reload cost one more pass. Out: the status.
//! A pass renders, observes, plans and acts; state is what HAProxy reports, never what was sent.

mod disk;
mod pass;
mod ports;
mod refusals;
mod statistics;
mod wanted;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::{
    sync::watch,
    time::{self, Duration, Instant},
};
use tokio_util::sync::CancellationToken;

use self::{disk::Disk, wanted::Renderer};
use super::{
    apply::{Known, Reason, ServerRef},
    fingerprint::Fingerprint,
    limit::{Governed, Limit, Quiet},
    model::Ids,
    render::Rendered,
    runtime::Runtime,
    settings::Settings,
    status::Status,
};
use crate::synapse::catalog::Catalog;

/// Between two looks at which worker runs and with which configuration: who asks whether it is safe
/// to stop a task must not hear for long what a dead HAProxy once said.
const LOOK: Duration = Duration::from_secs(1);
/// The same while HAProxy does not answer.
const LOOK_WHEN_AWAY: Duration = Duration::from_millis(500);
/// Between two looks at servers that are leaving or to be deleted; their idle connections end
/// within about 6 s (synapse.md §13.3).
const ATTENTION: Duration = Duration::from_secs(1);
/// Before a configuration that failed is tried again unchanged.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Keeps HAProxy as the catalog says until `stop`. While the catalog is `None` nothing is touched.
pub async fn run(
    settings: Settings,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    status: watch::Sender<Arc<Status>>,
    stop: CancellationToken,
) {
    let limit = Governed::new(settings.reload_interval, settings.reload_burst);
    Keeper::new(settings, limit, catalog, status).run(stop).await;
}

/// When what is to be done next.
#[derive(Debug)]
struct Clock {
    look: Instant,
    full: Instant,
    /// `None`: no server needs attention.
    attention: Option<Instant>,
    /// `None`: no reload is waiting.
    reload: Option<Instant>,
}

#[derive(Debug)]
struct Keeper<L> {
    settings: Arc<Settings>,
    limit: L,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    publish: watch::Sender<Arc<Status>>,
    status: Status,
    runtime: Runtime,
    renderer: Renderer,
    disk: Disk,
    /// What the catalog asks for; `None` until it could be rendered once.
    wanted: Option<Arc<Rendered>>,
    /// The catalog `wanted` was rendered from.
    rendered: Option<Arc<Catalog>>,
    /// What the process should be without a reload; the file follows it.
    target: Option<Arc<Rendered>>,
    known: Known,
    ids: Ids,
    /// Since the last rendering.
    ids_moved: bool,
    /// The worker that `known` is about.
    worker: Option<u32>,
    /// A reload that the skeleton alone does not ask for.
    asked: Option<Reason>,
    /// A skeleton that could not be brought into force, and when.
    failed: Option<(Fingerprint, Instant)>,
    /// Lets changes that need a reload come to rest.
    quiet: Quiet<Fingerprint>,
    reload_alarm: Option<String>,
    runtime_alarm: Option<String>,
    pending: BTreeSet<ServerRef>,
    /// Passes that could not replace a server.
    replacing: BTreeMap<ServerRef, u32>,
    /// Passes in a row in which HAProxy refused to add a server.
    refusals: u32,
    /// The last backend whose statistics were read in turn.
    stat_cursor: String,
    clock: Clock,
}

impl<L: Limit> Keeper<L> {
    fn new(
        settings: Settings,
        limit: L,
        catalog: watch::Receiver<Option<Arc<Catalog>>>,
        publish: watch::Sender<Arc<Status>>,
    ) -> Self {
        let settings = Arc::new(settings);
        let now = Instant::now();
        Self {
            limit,
            catalog,
            publish,
            status: Status::default(),
            runtime: Runtime::new(settings.socket.clone(), settings.command_timeout),
            renderer: Renderer::new(Arc::clone(&settings)),
            disk: Disk::new(Arc::clone(&settings)),
            settings,
            wanted: None,
            rendered: None,
            target: None,
            known: Known::new(),
            ids: Ids::new(),
            ids_moved: false,
            worker: None,
            asked: None,
            failed: None,
            quiet: Quiet::default(),
            reload_alarm: None,
            runtime_alarm: None,
            pending: BTreeSet::new(),
            replacing: BTreeMap::new(),
            refusals: 0,
            stat_cursor: String::new(),
            clock: Clock { look: now, full: now, attention: None, reload: None },
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        self.disk.clear().await;
        loop {
            // Not cut off at once: a reload under way is proven or undone first. All its calls
            // have deadlines.
            let grace = 2 * self.settings.proof_timeout;
            tokio::select! {
                () = self.turn() => {}
                () = async { stop.cancelled().await; time::sleep(grace).await } => return,
            }
            let wake = self.next_wake();
            tokio::select! {
                () = stop.cancelled() => break,
                // Cancel-safe: a change that is missed here is seen by the next `changed`.
                changed = self.catalog.changed() => if changed.is_err() { break },
                () = self.disk.finished() => self.publish(),
                () = time::sleep_until(wake) => {}
            }
        }
        self.leave().await;
    }

    /// HAProxy runs on by itself; it must find all servers in its file when it restarts.
    async fn leave(mut self) {
        self.disk.settle().await;
        if let Some(target) = self.target.take()
            && self.disk.due(&target).is_some()
        {
            self.disk.start(target);
            self.disk.settle().await;
        }
    }

    fn next_wake(&self) -> Instant {
        let write = self.target.as_ref().and_then(|target| self.disk.due(target));
        let clock = &self.clock;
        let optional = [clock.attention, clock.reload, write];
        optional.into_iter().flatten().chain([clock.look, clock.full]).min().unwrap_or(clock.look)
    }

    /// One turn of the loop: everything that is due.
    async fn turn(&mut self) {
        let catalog = self.catalog.borrow_and_update().clone();
        match catalog {
            None => self.only_look().await,
            Some(catalog) => {
                // After a reload, or when another worker has appeared, look again at once; three
                // times, so that a HAProxy that flaps cannot keep the loop here.
                for _ in 0..3 {
                    if self.pass(&catalog).await == pass::Next::Wait {
                        break;
                    }
                }
            }
        }
        self.write_file();
        self.publish();
    }

    async fn only_look(&mut self) {
        let now = Instant::now();
        let info = self.runtime.info().await;
        self.saw(info.as_ref().ok());
        self.clock.look = now + if info.is_ok() { LOOK } else { LOOK_WHEN_AWAY };
        // Nothing is compared before there is a catalog; its arrival wakes the loop.
        self.clock.full = self.clock.look;
    }

    fn write_file(&mut self) {
        let Some(target) = &self.target else { return };
        if self.disk.due(target).is_some_and(|due| due <= Instant::now()) {
            self.disk.start(Arc::clone(target));
        }
    }

    fn publish(&mut self) {
        let status = &mut self.status;
        status.fingerprint_wanted = self.wanted.as_ref().map(|wanted| wanted.fingerprint);
        status.refused.clone_from(&self.renderer.refused);
        status.pending_deletes = self.pending.iter().map(ToString::to_string).collect();
        status.counters.template_failures = self.renderer.failures;
        let alarms = [
            &self.reload_alarm,
            &self.renderer.template_alarm,
            &self.renderer.render_alarm,
            &self.disk.alarm,
            &self.runtime_alarm,
        ];
        let alarms: Vec<_> = alarms.into_iter().flatten().map(String::as_str).collect();
        status.alarm = (!alarms.is_empty()).then(|| alarms.join("; "));
        self.publish.send_if_modified(|published| {
            let changed = published.as_ref() != status;
            if changed {
                *published = Arc::new(status.clone());
            }
            changed
        });
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
