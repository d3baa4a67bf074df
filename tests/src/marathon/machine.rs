//! The state of a Marathon: apps, tasks, deployments and back-offs. It knows no socket and no clock;
//! time is what [`Machine::step`] is given.

mod adopt;
mod changes;
mod launch;
mod life;
mod locks;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use adopt::Adopted;
pub(super) use changes::Killed;

use super::{
    definition::Definition,
    deployment::Deployment,
    event::Event,
    hosts::Host,
    ids::{self, AppId, TaskId},
    moment::Moment,
    script::Script,
    task::Task,
};

/// Events that nobody fetches are dropped beyond so many.
const EVENTS: usize = 10_000;

/// Everything that a Marathon knows.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) now: Moment,
    pub(super) hosts: Vec<Host>,
    pub(super) script: Script,
    pub(super) apps: BTreeMap<AppId, App>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    /// Of each app that has any.
    by_app: BTreeMap<AppId, BTreeSet<TaskId>>,
    pub(super) deployments: Vec<Deployment>,
    /// Tells its ids from those of other shards.
    origin: u32,
    count: u64,
    version: Moment,
    events: Vec<Event>,
    /// Killed tasks end when somebody says so, or after their grace.
    are_tasks_real: bool,
}

/// One app and what has become of it.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) definition: Definition,
    pub(super) version: Moment,
    /// Of the last change beyond scaling: the version of its tasks.
    pub(super) config: Moment,
    pub(super) scaled: Moment,
    pub(super) delay: Option<Delay>,
    pub(super) failure: Option<Failure>,
    pub(super) deleted: Option<Moment>,
    /// Why no task can be placed.
    pub(super) waiting: Option<&'static str>,
    /// Since when instances are missing.
    pub(super) missing: Option<Moment>,
}

/// Back-off after failures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    length: Duration,
    pub(super) until: Moment,
}

/// The last task that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) task: Task,
    pub(super) state: &'static str,
    pub(super) message: String,
    pub(super) at: Moment,
}

impl Machine {
    /// Without apps. Machines of different `origin` never give the same id.
    #[must_use]
    pub fn new(origin: u32, now: Moment, hosts: Vec<Host>, script: Script) -> Self {
        Self {
            now,
            hosts,
            script,
            apps: BTreeMap::new(),
            tasks: BTreeMap::new(),
            by_app: BTreeMap::new(),
            deployments: Vec::new(),
            origin,
            count: 0,
            version: Moment::default(),
            events: Vec::new(),
            are_tasks_real: false,
        }
    }

    /// From now on killed tasks end when [`ended`](Self::ended) says so, at the latest after their
    /// grace period.
    #[must_use]
    pub fn with_real_tasks(mut self) -> Self {
        self.are_tasks_real = true;
        self
    }

    pub fn set_script(&mut self, script: Script) {
        self.script = script;
    }

    /// Lets everything happen that is due by `now`, in its order.
    pub fn step(&mut self, now: Moment) {
        self.settle();
        while let Some(due) = self.next().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.happen();
            self.settle();
        }
        self.now = self.now.max(now);
        self.settle();
    }

    /// When something happens by itself next.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        let tasks = self.tasks.values().filter_map(|task| self.due(task));
        let apps = self.apps.iter().filter_map(|(id, app)| self.app_due(id, app));
        tasks.chain(apps).min()
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Apps that are listed.
    #[must_use]
    pub fn app_ids(&self) -> Vec<AppId> {
        self.listed().map(|app| app.definition.id.clone()).collect()
    }

    /// How many of an app are wanted; none if it is not listed.
    #[must_use]
    pub fn instances(&self, app: &AppId) -> Option<usize> {
        self.listed().find(|a| a.definition.id == *app).map(|app| app.definition.instances)
    }

    /// All tasks, those that are being killed too.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Ids of the deployments that run.
    #[must_use]
    pub fn deployments(&self) -> Vec<String> {
        self.deployments.iter().map(|deployment| deployment.id.clone()).collect()
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = &App> {
        self.apps.values().filter(|app| match app.deleted {
            None => true,
            Some(at) => at.after(self.listing(&app.definition.id)) > self.now,
        })
    }

    /// All tasks of an app.
    pub(super) fn of(&self, app: &AppId) -> impl Iterator<Item = &Task> {
        let ids = self.by_app.get(app).into_iter().flatten();
        ids.filter_map(|id| self.tasks.get(id))
    }

    /// How long a deleted app is listed.
    fn listing(&self, app: &AppId) -> Duration {
        self.script.of(app.as_str()).listed_after_deletion
    }

    fn app_due(&self, id: &AppId, app: &App) -> Option<Moment> {
        let delay = app.delay.map(|delay| delay.until).filter(|_| app.missing.is_some());
        let forgotten = app.deleted.map(|at| at.after(self.listing(id)));
        delay.into_iter().chain(forgotten).filter(|due| *due > self.now).min()
    }

    /// What follows from the state without time passing.
    fn settle(&mut self) {
        let ids: Vec<AppId> = self.apps.keys().cloned().collect();
        for id in &ids {
            self.kill_surplus(id);
            self.launch(id);
        }
        self.finish_deployments();
        let now = self.now;
        let (script, by_app) = (&self.script, &self.by_app);
        self.apps.retain(|id, app| {
            let until =
                app.deleted.map(|at| at.after(script.of(id.as_str()).listed_after_deletion));
            by_app.contains_key(id) || until.is_none_or(|until| until > now)
        });
    }

    fn note(&mut self, event: Event) {
        if self.events.len() < EVENTS {
            self.events.push(event);
        }
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn deployment_id(&mut self) -> String {
        // Tasks count up; deployments have their own space.
        let number = self.number();
        ids::uuid(self.origin ^ 0xdead_0000, number)
    }

    /// Now, or as little later as makes it a new one.
    fn new_version(&mut self) -> Moment {
        self.version = self.now.max(self.version.after(Duration::from_millis(1)));
        self.version
    }
}
