//! The changes that clients ask for (marathon-sync.md §22).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        definition::Definition,
        deployment::{Action, Change, Started},
        event::Event,
        ids::{AppId, TaskId},
        moment::Moment,
        refusal::Refusal,
        task::Task,
    },
    App, Machine,
};

/// What killing came to.
#[derive(Debug)]
pub(in super::super) enum Killed {
    /// And the app was scaled down.
    Scaled(Started),
    Only(Vec<Task>),
}

impl Machine {
    /// `POST /v2/apps`.
    pub(in super::super) fn create(
        &mut self,
        body: &str,
        force: bool,
    ) -> Result<(AppId, Started), Refusal> {
        let definition = Definition::create(body)?;
        let id = definition.id.clone();
        if self.apps.get(&id).is_some_and(|app| app.deleted.is_none()) {
            return Err(Refusal::exists(&id));
        }
        self.unlock(&[&id], force)?;
        Ok((id, self.insert(definition)))
    }

    /// `PUT /v2/apps/ID`, and whether it was created.
    pub(in super::super) fn update(
        &mut self,
        id: &AppId,
        body: &str,
        force: bool,
    ) -> Result<(Started, bool), Refusal> {
        let present = self.apps.get(id).filter(|app| app.deleted.is_none());
        let Some(before) = present.map(|app| app.definition.clone()) else {
            let definition = Definition::created_by_update(id, body)?;
            self.unlock(&[id], force)?;
            return Ok((self.insert(definition), true));
        };
        let (after, is_other) = before.updated(body)?;
        if after == before {
            let version = self.new_version();
            return Ok((self.begin(version, Vec::new()), false));
        }
        self.unlock(&[id], force)?;
        let action = if is_other { Action::Restart } else { Action::Scale };
        let version = self.new_version();
        self.define(after, version, is_other);
        let before = Some(before);
        let change = Change { app: id.clone(), action, before, kills: BTreeSet::new() };
        Ok((self.begin(version, vec![change]), false))
    }

    /// `DELETE /v2/apps/ID`.
    pub(in super::super) fn delete(&mut self, id: &AppId, force: bool) -> Result<Started, Refusal> {
        let app = self.apps.get(id).filter(|app| app.deleted.is_none());
        let before = app.ok_or_else(|| Refusal::no_app(id))?.definition.clone();
        self.unlock(&[id], force)?;
        let version = self.new_version();
        self.remove(id);
        let before = Some(before);
        let change =
            Change { app: id.clone(), action: Action::Stop, before, kills: BTreeSet::new() };
        Ok(self.begin(version, vec![change]))
    }

    /// `POST /v2/tasks/delete`. Only active tasks count; others are passed over.
    pub(in super::super) fn kill_tasks(
        &mut self,
        ids: &[TaskId],
        (scale, wipe, force): (bool, bool, bool),
    ) -> Result<Killed, Refusal> {
        let wanted = |task: &&Task| ids.contains(&task.id) && task.is_active();
        let tasks: Vec<Task> = self.tasks.values().filter(wanted).cloned().collect();
        if scale {
            return self.kill_and_scale(&tasks, force).map(Killed::Scaled);
        }
        for task in &tasks {
            if wipe {
                self.end(&task.id, "TASK_KILLED", "it was wiped");
            } else {
                self.kill(&task.id);
            }
        }
        Ok(Killed::Only(tasks))
    }

    fn kill_and_scale(&mut self, tasks: &[Task], force: bool) -> Result<Started, Refusal> {
        let mut by_app: BTreeMap<AppId, BTreeSet<TaskId>> = BTreeMap::new();
        for task in tasks.iter().filter(|task| self.is_wanted(&task.app)) {
            by_app.entry(task.app.clone()).or_default().insert(task.id.clone());
        }
        self.unlock(&by_app.keys().collect::<Vec<_>>(), force)?;
        let version = self.new_version();
        let mut changes = Vec::new();
        for (app, kills) in by_app {
            let Some(before) = self.apps.get(&app).map(|app| app.definition.clone()) else {
                continue;
            };
            let instances = before.instances.saturating_sub(kills.len());
            self.define(before.scaled(instances), version, false);
            kills.iter().for_each(|task| self.kill(task));
            changes.push(Change { app, action: Action::Scale, before: Some(before), kills });
        }
        Ok(self.begin(version, changes))
    }

    /// `DELETE /v2/deployments/ID`: by force it is only given up, else it is also undone.
    pub(in super::super) fn cancel(
        &mut self,
        id: &str,
        force: bool,
    ) -> Result<Option<Started>, Refusal> {
        let found = self.deployments.iter().position(|deployment| deployment.id == id);
        let at = found.ok_or_else(|| Refusal::no_deployment(id))?;
        let deployment = self.deployments.remove(at);
        self.note(Event::DeploymentCancelled { id: deployment.id });
        if force {
            return Ok(None);
        }
        let version = self.new_version();
        let undo = deployment.changes.into_iter().map(|change| self.undo(change, version));
        let changes: Vec<Change> = undo.collect();
        Ok(Some(self.begin(version, changes)))
    }

    fn undo(&mut self, change: Change, version: Moment) -> Change {
        let Change { app, action, before, .. } = change;
        let action = match (before, action) {
            (None, _) => {
                self.remove(&app);
                Action::Stop
            }
            (Some(before), Action::Stop) => {
                match self.apps.get_mut(&app) {
                    Some(app) => app.deleted = None,
                    None => _ = self.apps.insert(app.clone(), App::new(before, version)),
                }
                Action::Start
            }
            (Some(before), action) => {
                self.define(before, version, action == Action::Restart);
                action
            }
        };
        Change { app, action, before: None, kills: BTreeSet::new() }
    }

    fn is_wanted(&self, app: &AppId) -> bool {
        self.apps.get(app).is_some_and(|app| app.deleted.is_none())
    }

    fn insert(&mut self, definition: Definition) -> Started {
        let (id, instances) = (definition.id.clone(), definition.instances);
        let version = self.new_version();
        self.apps.insert(id.clone(), App::new(definition, version));
        self.note(Event::Wanted { app: id.clone(), instances });
        let change =
            Change { app: id, action: Action::Start, before: None, kills: BTreeSet::new() };
        self.begin(version, vec![change])
    }

    fn remove(&mut self, id: &AppId) {
        let now = self.now;
        if let Some(app) = self.apps.get_mut(id) {
            app.deleted = Some(now);
            self.note(Event::Deleted { app: id.clone() });
        }
    }

    fn define(&mut self, definition: Definition, version: Moment, is_other: bool) {
        let (id, instances) = (definition.id.clone(), definition.instances);
        let Some(app) = self.apps.get_mut(&id) else { return };
        (app.definition, app.version, app.scaled) = (definition, version, version);
        if is_other {
            (app.config, app.delay) = (version, None);
        }
        self.note(Event::Wanted { app: id, instances });
    }
}

impl App {
    pub(super) fn new(definition: Definition, version: Moment) -> Self {
        Self {
            definition,
            version,
            config: version,
            scaled: version,
            delay: None,
            failure: None,
            deleted: None,
            waiting: None,
            missing: None,
        }
    }
}
