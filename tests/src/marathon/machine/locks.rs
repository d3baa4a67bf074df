//! Deployments: they lock their apps until all that was asked has come about.

use super::{
    super::{
        deployment::{Action, Change, Deployment, Started},
        event::Event,
        ids::AppId,
        moment::Moment,
        refusal::Refusal,
        task::{Phase, Task},
    },
    Machine,
};

impl Machine {
    /// Ends the deployments that lock one of `apps`, or refuses without `force`.
    pub(super) fn unlock(&mut self, apps: &[&AppId], force: bool) -> Result<(), Refusal> {
        let is_conflict = |deployment: &Deployment| apps.iter().any(|app| deployment.affects(app));
        let (conflicts, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.deployments).into_iter().partition(is_conflict);
        if conflicts.is_empty() || force {
            self.deployments = others;
            for Deployment { id, .. } in conflicts {
                self.note(Event::DeploymentCancelled { id });
            }
            return Ok(());
        }
        let ids: Vec<String> = conflicts.iter().map(|conflict| conflict.id.clone()).collect();
        self.deployments = others.into_iter().chain(conflicts).collect();
        Err(Refusal::locked(&ids))
    }

    /// From now on the apps of `changes` are locked. No changes, no deployment, but an id.
    pub(super) fn begin(&mut self, version: Moment, changes: Vec<Change>) -> Started {
        let id = self.deployment_id();
        if !changes.is_empty() {
            self.deployments.push(Deployment { id: id.clone(), version, changes });
            self.note(Event::DeploymentStarted { id: id.clone() });
        }
        Started { id, version }
    }

    pub(super) fn finish_deployments(&mut self) {
        let is_over = |deployment: &Deployment| deployment.changes.iter().all(|c| self.is_done(c));
        let over: Vec<String> =
            self.deployments.iter().filter(|d| is_over(d)).map(|d| d.id.clone()).collect();
        self.deployments.retain(|deployment| !over.contains(&deployment.id));
        for id in over {
            self.note(Event::DeploymentFinished { id });
        }
    }

    fn is_done(&self, change: &Change) -> bool {
        let are_killed = !change.kills.iter().any(|task| self.tasks.contains_key(task));
        let is_as_wanted = match change.action {
            Action::Stop => self.of(&change.app).next().is_none(),
            Action::Start | Action::Scale | Action::Restart => self.is_ready(&change.app),
        };
        are_killed && is_as_wanted
    }

    /// Whether as many as are wanted run and are healthy, and nobody is dying.
    fn is_ready(&self, id: &AppId) -> bool {
        let Some(app) = self.apps.get(id) else { return true };
        let has_checks = !app.definition.checks.is_empty();
        let is_ready =
            |task: &Task| task.phase == Phase::Running && (!has_checks || task.is_healthy());
        let is_dying = |task: &Task| matches!(task.phase, Phase::Killing { .. });
        self.of(id).filter(|task| is_ready(task)).count() >= app.definition.instances
            && !self.of(id).any(is_dying)
    }
}
