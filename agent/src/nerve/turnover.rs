//! Counts how registrations come, change, turn and go: what nerve counts of its watchers.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    health::{HealthMap, State},
    registrations::Registrations,
};
use crate::{
    registry::{Published, RecordKey},
    tally::Tally,
};

/// nerve's main loop turns this often; what it counts in each turn is counted as often here.
const TURN: Duration = Duration::from_secs(10);
const FLUSH: Duration = Duration::from_secs(1);

/// Counts what changes from one snapshot to the next, until `stop`.
pub async fn follow(
    tally: Tally,
    mut registrations: watch::Receiver<Arc<Registrations>>,
    mut health: watch::Receiver<Arc<HealthMap>>,
    published: watch::Receiver<Arc<Published>>,
    stop: CancellationToken,
) {
    tally.started();
    let (mut tasks, mut verdicts) = (Arc::default(), Arc::default());
    let mut turn = time::interval_at(Instant::now() + TURN, TURN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flush = time::interval(FLUSH);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            changed = registrations.changed() => if changed.is_err() { break },
            changed = health.changed() => if changed.is_err() { break },
            _ = turn.tick() => ping(&tally, &health.borrow(), &published.borrow(), &tasks),
            _ = flush.tick() => tally.flush(),
        }
        let next = Arc::clone(&registrations.borrow_and_update());
        if !Arc::ptr_eq(&tasks, &next) {
            count_tasks(&tally, &tasks, &next);
            tasks = next;
        }
        let next = Arc::clone(&health.borrow_and_update());
        if !Arc::ptr_eq(&verdicts, &next) {
            count_transitions(&tally, &verdicts, &next);
            verdicts = next;
        }
    }
    tally.stopped();
}

fn count_tasks(tally: &Tally, before: &Registrations, now: &Registrations) {
    let (mut changed, old) = (false, &before.wanted);
    for (key, registration) in &now.wanted {
        let reason = match old.get(key) {
            None => "new",
            Some(known) if known != registration => "update",
            Some(_) => continue,
        };
        changed = true;
        tally.launched(&key.namespace, registration.port, reason);
        if reason == "update" {
            tally.reaped("update");
        }
    }
    for _ in old.keys().filter(|key| !now.wanted.contains_key(*key)) {
        changed = true;
        tally.reaped("old");
    }
    if changed {
        tally.reloaded();
    }
}

/// Up or down; what is not known yet is neither.
fn stands(state: &State) -> Option<&'static str> {
    match state {
        State::Unknown => None,
        State::Up => Some("up"),
        State::Down | State::Held | State::Marked => Some("down"),
    }
}

fn count_transitions(tally: &Tally, before: &HealthMap, now: &HealthMap) {
    for (key, health) in now {
        let (old, new) = (before.get(key).and_then(|h| stands(&h.state)), stands(&health.state));
        if let Some(status) = new.filter(|_| new != old) {
            tally.turned(status);
        }
    }
}

/// nerve looks at its znode in each round: it is there, or nothing is to be there.
fn ping(tally: &Tally, health: &HealthMap, published: &Published, tasks: &Registrations) {
    let there = |key: &RecordKey| published.records.contains_key(key);
    for (key, registration) in &tasks.wanted {
        let up = health.get(key).is_some_and(|health| health.state == State::Up);
        let wanted = up && registration.leaving.is_none();
        tally.pinged(published.connected && (!wanted || registration.records.keys().all(there)));
    }
}

#[cfg(test)]
mod tests;
