//! The health of every registration: one loop each, all through the hacheck library.
//!
//! A loop asks hacheck, which looks at marks first, merges checks of one target and caches their
//! answers. Until a target has answered well once it is asked in quick succession, so that a service
//! is registered when it can serve and not at the end of a period.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    judge::{Judge, Verdict},
    registrations::{CheckSpec, Registration, RegistrationKey, Registrations},
};
use crate::{
    backoff::{Backoff, Waits, random},
    probe::{Finding, Probe},
    tally::Tally,
};

/// nerve-tools: up after one good answer, down after two bad ones (nerve.md §5.5).
const RISE: NonZeroUsize = NonZeroUsize::MIN;
const FALL: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
/// The pause between two checks is the timeout plus this (nerve.md §5.5).
const PAUSE_BEYOND_TIMEOUT: Duration = Duration::from_secs(1);
/// Pace of the first checks of a task that does not answer yet: however long a service takes to
/// start, it waits no longer than this for its first good check.
const STARTING: Backoff = Backoff::fixed(10, 80);
/// Longer than services take to start; one that still does not answer is asked less often.
const STARTS_WITHIN: Duration = Duration::from_secs(300);
const STALLED: Backoff = Backoff::fixed(250, 500);
/// Verdicts on their way to the owner of the picture; loops wait when it is full.
const QUEUE: usize = 256;

/// How a registration stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not checked yet.
    Unknown,
    Up,
    Down,
    /// A mark holds it down; the service itself is not asked.
    Marked,
}

/// State, why, and since when.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    pub state: State,
    /// What the last check said, in one line.
    pub detail: String,
    #[serde(skip)]
    pub since: SystemTime,
}

/// What a loop found out, and which loop it is: the news of an ended one may still be under way.
type News = (RegistrationKey, u64, Health);

/// The health of all registrations.
pub type HealthMap = BTreeMap<RegistrationKey, Health>;

/// Runs one loop per registration and publishes what they find, until `stop`.
pub async fn watch_health(
    probe: Probe,
    mut registrations: watch::Receiver<Arc<Registrations>>,
    current: watch::Sender<Arc<HealthMap>>,
    tally: Tally,
    stop: CancellationToken,
) {
    let (verdicts, mut news) = mpsc::channel(QUEUE);
    let mut ward =
        Ward { probe, verdicts, loops: JoinSet::new(), patients: HashMap::new(), admitted: 0 };
    registrations.mark_changed();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = registrations.changed() => {
                if changed.is_err() { return }
                let wanted = Arc::clone(&registrations.borrow_and_update());
                ward.admit(&wanted, &current);
            }
            Some(found) = news.recv() => {
                tally.checked(&found.0.namespace, found.2.state == State::Up, &found.2.detail);
                publish(&current, &ward, found);
            }
            Some(ended) = ward.loops.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    warn!(%error, "a health check loop failed; it starts again");
                    ward.patients.retain(|_, patient| !patient.task.is_finished());
                    registrations.mark_changed();
                }
            }
        }
    }
}

struct Ward {
    probe: Probe,
    verdicts: mpsc::Sender<News>,
    loops: JoinSet<()>,
    patients: HashMap<RegistrationKey, Patient>,
    /// How many loops there have been; numbers them.
    admitted: u64,
}

struct Patient {
    number: u64,
    check: CheckSpec,
    life: String,
    task: AbortHandle,
}

impl Ward {
    /// Starts loops for what is new or is checked differently now, ends those of what is gone.
    fn admit(&mut self, wanted: &Registrations, current: &watch::Sender<Arc<HealthMap>>) {
        self.patients.retain(|key, patient| {
            let same =
                |wish: &Arc<Registration>| wish.check == patient.check && wish.life == patient.life;
            let stays = wanted.wanted.get(key).is_some_and(same);
            if !stays {
                patient.task.abort();
            }
            stays
        });
        // A verdict over another life, or by another check, is none.
        current.send_if_modified(|map| {
            if map.keys().all(|key| self.patients.contains_key(key)) {
                return false;
            }
            Arc::make_mut(map).retain(|key, _| self.patients.contains_key(key));
            true
        });
        for (key, wish) in &wanted.wanted {
            if self.patients.contains_key(key) {
                continue;
            }
            self.admitted += 1;
            let number = self.admitted;
            let verdicts = self.verdicts.clone();
            let checks = check_loop(self.probe.clone(), Arc::clone(wish), number, verdicts);
            let patient = Patient {
                number,
                check: wish.check.clone(),
                life: wish.life.clone(),
                task: self.loops.spawn(checks),
            };
            self.patients.insert(key.clone(), patient);
        }
    }
}

fn publish(current: &watch::Sender<Arc<HealthMap>>, ward: &Ward, (key, number, health): News) {
    if ward.patients.get(&key).is_none_or(|patient| patient.number != number) {
        return;
    }
    current.send_if_modified(|map| {
        let old = map.get(&key);
        if old.is_some_and(|old| old.state == health.state && old.detail == health.detail) {
            return false;
        }
        let changed = old.is_none_or(|old| old.state != health.state);
        let since = if changed { health.since } else { old.map_or(health.since, |old| old.since) };
        if changed {
            info!(namespace = %key.namespace, task = %key.task, state = ?health.state, detail = health.detail, "health");
        }
        Arc::make_mut(map).insert(key, Health { since, ..health });
        true
    });
}

async fn check_loop(
    probe: Probe,
    wish: Arc<Registration>,
    number: u64,
    verdicts: mpsc::Sender<News>,
) {
    let mut patient =
        Examination { judge: Judge::new(RISE, FALL), starting: Some(Starting::now()) };
    let mut marks = probe.marks();
    let usual = wish.check.timeout + PAUSE_BEYOND_TIMEOUT;
    loop {
        marks.mark_unchanged();
        let finding = tokio::select! {
            finding = probe.ask(&wish, patient.starting.is_some()) => finding,
            // A mark does not wait for the end of a check.
            changed = marks.changed() => if changed.is_err() { return } else { continue },
        };
        let marked = matches!(finding, Finding::Marked(_));
        let (state, detail) = patient.conclude(finding);
        let health = Health { state, detail, since: SystemTime::now() };
        if verdicts.send((wish.key.clone(), number, health)).await.is_err() {
            return;
        }
        let pause = patient.pause(usual);
        tokio::select! {
            // A mark that ends changes the table; nothing has to be asked until then.
            () = time::sleep(pause), if !marked => {}
            changed = marks.changed() => if changed.is_err() { return },
        }
    }
}

/// What one loop knows of its target.
struct Examination {
    judge: Judge,
    /// Set until the target has answered well once.
    starting: Option<Starting>,
}

/// A target that has not answered well yet.
struct Starting {
    since: Instant,
    waits: Waits,
}

impl Starting {
    fn now() -> Self {
        Self { since: Instant::now(), waits: STARTING.waits() }
    }

    fn pause(&mut self) -> Duration {
        if self.since.elapsed() < STARTS_WITHIN {
            return self.waits.after_failure();
        }
        STALLED.wait(self.waits.failures(), random())
    }
}

impl Examination {
    fn conclude(&mut self, finding: Finding) -> (State, String) {
        let (good, detail) = match finding {
            Finding::Marked(text) => {
                // After the mark the next answer decides alone, and is wanted soon.
                self.judge.forget();
                self.starting = Some(Starting::now());
                return (State::Marked, text);
            }
            Finding::Good(detail) => (true, detail),
            Finding::Bad(detail) => (false, detail),
        };
        if good {
            self.starting = None;
        }
        let state = match self.judge.take(good) {
            Verdict::Up => State::Up,
            Verdict::Down => State::Down,
        };
        (state, detail)
    }

    fn pause(&mut self, usual: Duration) -> Duration {
        self.starting.as_mut().map_or(usual, |starting| starting.pause().min(usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(2);

    fn examination() -> Examination {
        Examination { judge: Judge::new(RISE, FALL), starting: Some(Starting::now()) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_starts_slowly_is_asked_often_until_it_answers() {
        let mut patient = examination();
        let end = Instant::now() + STARTS_WITHIN;
        while Instant::now() < end {
            patient.conclude(Finding::Bad("refused".to_owned()));
            let pause = patient.pause(USUAL);
            assert!(pause <= Duration::from_millis(80), "{pause:?}");
            time::advance(pause).await;
        }
        patient.conclude(Finding::Bad("refused".to_owned()));
        assert!(patient.pause(USUAL) >= Duration::from_millis(250));
        patient.conclude(Finding::Good("http 200".to_owned()));
        assert_eq!(patient.pause(USUAL), USUAL);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_mark_a_service_is_asked_often_again() {
        let mut patient = examination();
        patient.conclude(Finding::Good("http 200".to_owned()));
        patient.conclude(Finding::Marked("down".to_owned()));
        patient.conclude(Finding::Bad("refused".to_owned()));
        assert!(patient.pause(USUAL) <= Duration::from_millis(80));
    }
}
