//! Marks that outlived the task they were made for (hacheck.md §16.19).
//!
//! PaaSTA marks `SVC:PORT`, kills the task, and nobody removes the mark. When Mesos gives the port to
//! a new task of the same service before the mark expires, that one would start out of service. A
//! mark that is older than the container that now has its port was not made for it.

use std::{collections::BTreeSet, sync::Arc};

use hacheck::{
    marks::{Mark, MarkKey, MarkTable, Marks, UnixTime},
    names::{Host, ServiceName},
};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::registrations::Registrations;

/// A mark, and the task that it was not made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Stale {
    pub mark: Arc<Mark>,
    /// The name of the container that has the port now.
    pub title: String,
    /// When it was made.
    pub created: UnixTime,
}

/// Decides which marks are older than the container on whose port they lie.
///
/// Marks on a whole service or host are nobody's in particular, and a mark that does not say when it
/// was made may be of today: they stay.
#[must_use]
pub fn stale(registrations: &Registrations, marks: &MarkTable) -> Vec<Stale> {
    if marks.is_empty() {
        return Vec::new();
    }
    let stale = registrations.wanted.values().filter_map(|registration| {
        let service: ServiceName = registration.key.namespace.as_str().parse().ok()?;
        let mark = marks.get(&MarkKey::Instance(service, Host::Local, registration.port))?;
        let created = registration.created?;
        let title = registration.title.clone();
        (mark.creation? < created).then(|| Stale { mark: Arc::clone(mark), title, created })
    });
    stale.collect()
}

/// What is done about them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether they are dropped; otherwise each is only told of.
    pub drop: bool,
    /// How many have been found.
    pub found: Counter,
}

/// Looks whenever registrations or marks change, until `stop`.
pub async fn run(
    settings: Settings,
    mut registrations: watch::Receiver<Arc<Registrations>>,
    marks: Marks,
    stop: CancellationToken,
) {
    let mut table = marks.subscribe();
    // What has been told of, by file name and creation.
    let mut told = BTreeSet::new();
    loop {
        let found = stale(&registrations.borrow_and_update(), &table.borrow_and_update());
        let mut present = BTreeSet::new();
        for stale in found {
            let name = format!("{} {:?}", stale.mark.key, stale.mark.creation);
            if !told.contains(&name) {
                settings.found.inc();
                tell(&stale, settings.drop);
            }
            present.insert(name);
            if settings.drop {
                drop_mark(&stale, &marks).await;
            }
        }
        told = present;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = registrations.changed() => if changed.is_err() { return },
            changed = table.changed() => if changed.is_err() { return },
        }
    }
}

fn tell(stale: &Stale, dropped: bool) {
    let Stale { mark, title, .. } = stale;
    let (reason, created) = (&mark.reason, mark.creation.map(|time| time.seconds()));
    let message = if dropped {
        "a mark is older than the task that has its port now; it is dropped"
    } else {
        "a mark is older than the task that has its port now, and holds it down"
    };
    warn!(mark = %mark.key, reason, created, task = title, "{message}");
}

async fn drop_mark(stale: &Stale, marks: &Marks) {
    if let Err(error) = marks.remove_older(stale.mark.key.clone(), stale.created).await {
        // Tried again at the next change.
        error!(mark = %stale.mark.key, %error, "a stale mark cannot be dropped");
    }
}

#[cfg(test)]
mod tests;
