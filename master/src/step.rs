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
    /// It has been down long enough. `None`: that could not be found out.
    pub is_safe_to_kill: Option<bool>,
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
    /// A task that cannot be drained, or of which nobody can say whether it is, is killed; else it stays.
    pub kills_undrained: bool,
}

/// Another number of tasks for an app.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale<'a> {
    pub app: &'a RunningApp,
    pub to: usize,
}

/// What is to be done, in this order; then [`Step::ends`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step<'a> {
    pub scale: Vec<Scale<'a>>,
    /// Tasks of the new app that are put back into service.
    pub undrain: Vec<&'a Task>,
    pub create_app: bool,
    pub drain: Vec<&'a Task>,
    /// Old tasks by how they stand, those of the new app that are too many among them.
    pub old: Standing<&'a Task>,
    /// Tasks of the new app that serve and stay.
    pub happy_new: usize,
}

/// What draining a task came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Else it is still in service, as far as anybody knows.
    pub is_marked: bool,
    /// It may be killed already. `None`: nobody can say.
    pub is_safe_to_kill: Option<bool>,
}

/// What is done when draining is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends<'a> {
    pub kill: Vec<&'a Task>,
    /// Apps without tasks.
    pub remove: Vec<&'a RunningApp>,
}

/// What Mesos says of a task that runs.
pub const RUNNING: &str = "TASK_RUNNING";
/// Nobody can be asked there, and nobody is reached: such a task is not told that it is drained.
pub const UNREACHABLE: &str = "TASK_UNREACHABLE";

/// Decides one pass, up to the tasks that are drained.
#[must_use]
pub fn next<'a>(seen: &Seen<'a>) -> Step<'a> {
    let mut step = Step {
        old: seen.old.iter().flat_map(|app| seen.stands(app)).collect(),
        scale: seen.old.iter().filter_map(|app| slack(app)).collect(),
        ..Step::default()
    };
    if let Some(new) = seen.new {
        attend(seen, new, &mut step);
    }
    let candidates = step.old.candidates();
    let situation = Situation {
        want: seen.want,
        new_app_exists: seen.new.is_some(),
        happy_new: step.happy_new,
        old: &candidates,
    };
    let decision = decide(seen.method, &situation);
    step.create_app = decision.create_app;
    step.drain = decision.drain.to_vec();
    step
}

impl<'a> Step<'a> {
    /// Those of [`Self::undrain`] that are not known to be in service already: of the others nobody need be
    /// asked for anything.
    pub fn put_back(&self, seen: &Seen<'a>) -> impl Iterator<Item = &'a Task> {
        let is_in = |task: &Task| seen.fact(task).is_draining == Some(false);
        self.undrain.iter().copied().filter(move |task| !is_in(task))
    }

    /// Decides the rest, when it is known what became of each task of [`Self::drain`], in that order.
    #[must_use]
    pub fn ends(&self, seen: &Seen<'a>, drained: &[Drained]) -> Ends<'a> {
        let is_drained = |task: &Task| self.drain.iter().any(|other| other.id == task.id);
        let earlier = self.old.draining.iter().chain(&self.old.at_risk);
        let earlier = earlier.filter(|task| !is_drained(task)).filter(|task| {
            let is_safe_to_kill = seen.fact(task).is_safe_to_kill;
            goes(seen, task, Drained { is_marked: true, is_safe_to_kill })
        });
        let now = self.drain.iter().zip(drained);
        let now = now.filter(|(task, drained)| goes(seen, task, **drained)).map(|(task, _)| task);
        let kill: Vec<&Task> = earlier.chain(now).copied().collect();
        let is_killed = |task: &Task| kill.iter().any(|killed| killed.id == task.id);
        let is_left = |app: &&&RunningApp| app.tasks.iter().all(is_killed);
        Ends { remove: seen.old.iter().filter(is_left).copied().collect(), kill }
    }
}

/// A task is killed: it does not run, or has been down long enough.
fn goes(seen: &Seen<'_>, task: &Task, drained: Drained) -> bool {
    let is_safe = match drained {
        Drained { is_marked: true, is_safe_to_kill: Some(is_safe) } => is_safe,
        _ => seen.kills_undrained,
    };
    task.state != RUNNING || is_safe
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
    (app.instances as usize > to).then_some(Scale { app, to })
}

/// What the new app needs; those of its tasks that are too many go with the old ones.
fn attend<'a>(seen: &Seen<'a>, new: &'a RunningApp, step: &mut Step<'a>) {
    let facts = |task: &&Task| seen.fact(task);
    let at_risk = new.tasks.iter().filter(|task| facts(task).host_is_draining).count();
    let (want, has) = (seen.want as usize, new.instances as usize);
    step.happy_new = new.tasks.iter().filter(|task| facts(task).is_happy).count();
    let mut leaving = Vec::new();
    if has < want + at_risk {
        step.scale.push(Scale { app: new, to: want + at_risk });
    } else if has > want {
        let mut standing: Standing<&Task> = seen.stands(new).collect();
        let surplus = new.tasks.len().min(has).saturating_sub(want);
        let Standing { happy, unhappy, draining, at_risk } = standing.take_surplus(surplus);
        step.happy_new = standing.happy.len();
        leaving.clone_from(&draining);
        step.old.happy.extend(happy);
        step.old.unhappy.extend(unhappy);
        step.old.draining.extend(draining);
        step.old.at_risk.extend(at_risk);
        step.scale.extend(slack(new));
    }
    let stays = |task: &&Task| leaving.iter().all(|other| other.id != task.id);
    let reached = new.tasks.iter().filter(|task| task.state != UNREACHABLE);
    step.undrain = reached.filter(stays).collect();
}
