//! The health of every registration: one loop each, all through the hacheck library.
//!
//! A loop asks hacheck, which looks at marks first, merges checks of one target and caches their
//! answers. When it asks is decided in [`super::rounds`], how many answers count in [`super::judge`],
//! and how long a task that falls again and again is held out in [`super::damper`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};

use hacheck::cache::Freshness;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    checks::CheckPlan,
    damper::{Damper, Damping},
    judge::{Judge, Verdict},
    registrations::{Registration, RegistrationKey, Registrations},
    rounds::{Found, Rounds},
};
use crate::{
    backoff::random,
    probe::{Finding, Probe},
    tally::Tally,
};

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
    /// Healthy again, and held back for a while: it fell too often ([`Damping`]).
    Held,
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
    damping: Damping,
    tally: Tally,
    stop: CancellationToken,
) {
    let (verdicts, mut news) = mpsc::channel(QUEUE);
    let mut ward = Ward {
        probe,
        damping,
        tally,
        verdicts,
        loops: JoinSet::new(),
        patients: HashMap::new(),
        admitted: 0,
    };
    registrations.mark_changed();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = registrations.changed() => {
                if changed.is_err() { return }
                let wanted = Arc::clone(&registrations.borrow_and_update());
                ward.admit(&wanted, &current);
            }
            Some(found) = news.recv() => publish(&current, &ward, found),
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
    damping: Damping,
    tally: Tally,
    verdicts: mpsc::Sender<News>,
    loops: JoinSet<()>,
    patients: HashMap<RegistrationKey, Patient>,
    /// How many loops there have been; numbers them.
    admitted: u64,
}

struct Patient {
    number: u64,
    plan: CheckPlan,
    life: String,
    task: AbortHandle,
}

impl Ward {
    /// Starts loops for what is new or is checked differently now, ends those of what is gone.
    fn admit(&mut self, wanted: &Registrations, current: &watch::Sender<Arc<HealthMap>>) {
        self.patients.retain(|key, patient| {
            let same =
                |wish: &Arc<Registration>| wish.plan == patient.plan && wish.life == patient.life;
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
            let watch = Watch { number, damping: self.damping, tally: self.tally.clone() };
            let checks = check_loop(self.probe.clone(), Arc::clone(wish), watch, verdicts);
            let patient = Patient {
                number,
                plan: wish.plan.clone(),
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
    watch: Watch,
    verdicts: mpsc::Sender<News>,
) {
    let mut patient = Examination::new(&wish.plan, watch.damping);
    let mut marks = probe.marks();
    let phase = random();
    let mut told = None;
    loop {
        marks.mark_unchanged();
        let found = tokio::select! {
            found = patient.look(&probe, &wish, &watch.tally) => found,
            // A mark does not wait for the end of a check.
            changed = marks.changed() => if changed.is_err() { return } else { continue },
        };
        let next = patient.next_round(Instant::now(), phase);
        let marked = found.0 == State::Marked;
        if told.as_ref() != Some(&found) {
            let (state, detail) = found.clone();
            told = Some(found);
            let health = Health { state, detail, since: SystemTime::now() };
            if verdicts.send((wish.key.clone(), watch.number, health)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            // A mark that ends changes the table; nothing has to be asked until then.
            () = time::sleep_until(next), if !marked => {}
            changed = marks.changed() => if changed.is_err() { return },
        }
    }
}

/// What a loop is told beside its registration.
struct Watch {
    number: u64,
    damping: Damping,
    tally: Tally,
}

/// What one loop knows of its target.
struct Examination {
    judges: Vec<Judge>,
    rounds: Rounds,
    damper: Damper,
    /// Whether it was up in the last round.
    up: bool,
    found: Found,
}

/// What a round of checks came to.
struct Round {
    up: bool,
    doubtful: bool,
    detail: String,
}

impl Examination {
    fn new(plan: &CheckPlan, damping: Damping) -> Self {
        Self {
            judges: plan.checks.iter().map(|check| Judge::new(check.rise, check.fall)).collect(),
            rounds: Rounds::new(plan.interval, plan.confirms),
            damper: Damper::new(damping),
            up: false,
            found: Found::Down,
        }
    }

    /// Marks first, then one round. Dropped half-way it has lost answers, and nothing else.
    async fn look(&mut self, probe: &Probe, wish: &Registration, tally: &Tally) -> (State, String) {
        if let Some(text) = probe.marked(wish) {
            // After the mark the next answer decides alone, and is wanted soon.
            self.judges.iter_mut().for_each(Judge::forget);
            self.rounds.restart();
            self.up = false;
            return (State::Marked, text);
        }
        // What somebody else has just asked is as good, but not our own last answer.
        let freshness = match self.rounds.asks_now() {
            true => Freshness::Now,
            false => Freshness::Within(wish.plan.interval / 2),
        };
        let mut round =
            Round { up: true, doubtful: false, detail: "nothing is to be checked".to_owned() };
        for (check, judge) in wish.plan.checks.iter().zip(&mut self.judges) {
            let finding = probe.ask(wish, check, freshness).await;
            let good = matches!(finding, Finding::Good(_));
            tally.checked(&wish.key.namespace, good, check);
            round.take(judge, finding);
            if !round.up {
                break;
            }
        }
        self.conclude(round, Instant::now())
    }

    fn conclude(&mut self, round: Round, now: Instant) -> (State, String) {
        if !round.up {
            if self.up {
                self.damper.fell(now);
            }
            (self.up, self.found) = (false, Found::Down);
            return (State::Down, round.detail);
        }
        self.found = if round.doubtful { Found::Doubtful } else { Found::Well };
        if !self.up && self.damper.held(now).is_some() {
            let falls = self.damper.falls();
            let detail = format!("{}; held back: it fell {falls} times lately", round.detail);
            return (State::Held, detail);
        }
        self.up = true;
        (State::Up, round.detail)
    }

    fn next_round(&mut self, now: Instant, phase: f64) -> Instant {
        let next = self.rounds.after(self.found, now, phase);
        match self.damper.held(now) {
            Some(left) if !self.up && self.found != Found::Down => next.min(now + left),
            _ => next,
        }
    }
}

impl Round {
    fn take(&mut self, judge: &mut Judge, finding: Finding) {
        let (verdict, detail) = match finding {
            Finding::Good(detail) => (judge.take(true), detail),
            Finding::Bad(detail) => (judge.take(false), detail),
            Finding::Hung(detail) => (judge.condemn(), detail),
        };
        self.up = verdict == Verdict::Up;
        // The first doubt is worth more than a later good answer.
        if !self.doubtful {
            self.detail = detail;
        }
        self.doubtful |= self.up && judge.doubts();
    }
}

#[cfg(test)]
mod tests;
