//! The next step of a deployment: what one pass over an instance does to Marathon and to its tasks
//! (marathon-sync.md §10.1 and §10.2).
//!
//! Pure: what Marathon has and what is known of each task goes in. Nothing is killed that is not drained,
//! or does not run.

use std::collections::BTreeMap;

use crate::{
    bounce::{
        Method, Situation, decide,
        standing::{Stand, Standing},
    },
    marathon::running::{RunningApp, Task},
};

/// What is known of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// It serves, see [`crate::bounce::happy`].
    pub is_happy: bool,
    /// It is marked down. `None`: that could not be found out.
    pub is_draining: Option<bool>,
    /// It has been down long enough.
    pub is_safe_to_kill: bool,
    /// Its host is to go.
    pub host_is_draining: bool,
}

/// What is known of tasks, by their ids.
pub type Facts = BTreeMap<String, Fact>;

/// An instance as it is and as it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Tasks that there are to be.
    pub want: u32,
    pub method: Method,
    /// The app of the wanted definition, where it is to be.
    pub new: Option<&'a RunningApp>,
    /// All its other apps.
    pub old: &'a [&'a RunningApp],
    /// Of a task that is missing here, nothing is known.
    pub facts: &'a Facts,
    /// Whoever is drained may be killed at once: the drain method is none.
    pub drains_at_once: bool,
}

/// Another number of tasks for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale<'a> {
    pub app: &'a str,
    pub to: usize,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step<'a> {
    pub scale: Vec<Scale<'a>>,
    /// Tasks of the new app that are put back into service.
    pub undrain: Vec<&'a Task>,
    pub create_app: bool,
    pub drain: Vec<&'a Task>,
    pub kill: Vec<&'a Task>,
    /// Apps without tasks.
    pub remove: Vec<&'a str>,
}

const RUNNING: &str = "TASK_RUNNING";
/// Nobody can be asked there, and nobody is reached.
const UNREACHABLE: &str = "TASK_UNREACHABLE";

/// Decides one pass.
#[must_use]
pub fn next<'a>(seen: &Seen<'a>) -> Step<'a> {
    let mut step = Step::default();
    let mut old: Standing<&Task> = seen.old.iter().flat_map(|app| seen.stands(app)).collect();
    step.scale.extend(seen.old.iter().filter_map(|app| slack(app)));
    let happy_new = seen.new.map_or(0, |new| attend(seen, new, &mut old, &mut step));
    let candidates = old.candidates();
    let decision = decide(
        seen.method,
        &Situation {
            want: seen.want,
            new_app_exists: seen.new.is_some(),
            happy_new,
            old: &candidates,
        },
    );
    step.create_app = decision.create_app;
    step.drain = decision.drain.to_vec();
    step.kill = kills(seen, &old, &step.drain);
    let is_killed = |task: &Task| step.kill.iter().any(|killed| killed.id == task.id);
    let is_left = |app: &&&RunningApp| app.tasks.iter().all(is_killed);
    step.remove = seen.old.iter().filter(is_left).map(|app| app.id.as_str()).collect();
    step
}

impl<'a> Seen<'a> {
    fn fact(&self, task: &Task) -> Fact {
        self.facts.get(&task.id).copied().unwrap_or_default()
    }

    fn stands(&self, app: &'a RunningApp) -> impl Iterator<Item = (&'a Task, Stand)> {
        let seen = *self;
        app.tasks.iter().map(move |task| {
            let Fact { is_happy, is_draining, host_is_draining, .. } = seen.fact(task);
            (task, Stand::of(is_draining, is_happy, host_is_draining))
        })
    }
}

/// An app is to have more tasks than it has: nobody shall start them.
fn slack(app: &RunningApp) -> Option<Scale<'_>> {
    let to = app.tasks.len();
    (app.instances as usize > to).then_some(Scale { app: &app.id, to })
}

/// What the new app needs; those of its tasks that are too many go with the old ones. Returns how many serve.
fn attend<'a>(
    seen: &Seen<'a>,
    new: &'a RunningApp,
    old: &mut Standing<&'a Task>,
    step: &mut Step<'a>,
) -> usize {
    let facts = |task: &&Task| seen.fact(task);
    let at_risk = new.tasks.iter().filter(|task| facts(task).host_is_draining).count();
    let (want, has) = (seen.want as usize, new.instances as usize);
    let mut happy = new.tasks.iter().filter(|task| facts(task).is_happy).count();
    let mut leaving = Vec::new();
    if has < want + at_risk {
        step.scale.push(Scale { app: &new.id, to: want + at_risk });
    } else if has > want {
        let mut standing: Standing<&Task> = seen.stands(new).collect();
        let surplus = new.tasks.len().min(has).saturating_sub(want);
        let Standing { happy: good, unhappy, draining, at_risk } = standing.take_surplus(surplus);
        happy = standing.happy.len();
        leaving.clone_from(&draining);
        old.happy.extend(good);
        old.unhappy.extend(unhappy);
        old.draining.extend(draining);
        old.at_risk.extend(at_risk);
        step.scale.extend(slack(new));
    }
    let stays = |task: &&Task| leaving.iter().all(|other| other.id != task.id);
    let reached = new.tasks.iter().filter(|task| task.state != UNREACHABLE);
    step.undrain = reached.filter(stays).collect();
    happy
}

/// Of those who drain, are at risk or are drained now: who does not run, or has been down long enough.
fn kills<'a>(seen: &Seen<'a>, old: &Standing<&'a Task>, drained: &[&'a Task]) -> Vec<&'a Task> {
    let is_among = |tasks: &[&Task], task: &Task| tasks.iter().any(|other| other.id == task.id);
    let before = old.draining.iter().chain(&old.at_risk);
    let before = before.filter(|task| !is_among(drained, task));
    let goes = |task: &Task, now: bool| {
        let is_safe = seen.fact(task).is_safe_to_kill || now && seen.drains_at_once;
        task.state != RUNNING || is_safe
    };
    let earlier = before.filter(|task| goes(task, false));
    earlier.chain(drained.iter().filter(|task| goes(task, true))).copied().collect()
}
