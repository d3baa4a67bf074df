//! What becomes of tasks: by the script, and by what is told from outside.

use std::time::Duration;

use super::{
    super::{
        definition::HealthCheck,
        event::Event,
        ids::TaskId,
        moment::Moment,
        script::Health,
        task::{Phase, Task},
    },
    Delay, Failure, Machine,
};

/// No two things of one task happen at once, so that nothing goes round without end.
const TICK: Duration = Duration::from_millis(1);

impl Machine {
    /// When something happens to it next.
    pub(super) fn due(&self, task: &Task) -> Option<Moment> {
        let behaviour = self.script.of(task.app.as_str());
        match task.phase {
            Phase::Staging => Some(task.staged_at.after(behaviour.start_delay)),
            Phase::Killing { since } if self.are_tasks_real => {
                let grace = self.apps.get(&task.app).map(|app| app.definition.grace);
                Some(since.after(grace.unwrap_or_default()))
            }
            Phase::Killing { since } => Some(since.after(behaviour.kill_delay)),
            Phase::Unreachable { since, is_replaced: false } => {
                behaviour.replaced_after.map(|after| since.after(after))
            }
            Phase::Unreachable { is_replaced: true, .. } => None,
            Phase::Running => {
                [self.death(task), self.loss(task), self.result(task)].into_iter().flatten().min()
            }
        }
    }

    fn death(&self, task: &Task) -> Option<Moment> {
        let after = self.script.of(task.app.as_str()).dies_after?;
        Some(task.started_at?.after(after.max(TICK)))
    }

    fn loss(&self, task: &Task) -> Option<Moment> {
        let after = self.script.of(task.app.as_str()).unreachable_after?;
        (!task.was_unreachable).then_some(task.started_at?.after(after))
    }

    /// When the script has the next result of its health check.
    fn result(&self, task: &Task) -> Option<Moment> {
        let behaviour = self.script.of(task.app.as_str());
        let check = self.check(task)?;
        let last = task.last_result();
        match behaviour.health {
            Health::Asked | Health::Kept => None,
            Health::Good if task.is_healthy() => None,
            Health::Good | Health::Bad => {
                let every = behaviour.check_every.unwrap_or(check.interval).max(TICK);
                let first = task.started_at?.after(behaviour.health_delay);
                Some(last.map_or(first, |last| last.after(every)))
            }
        }
    }

    /// The first check of its app.
    pub(in super::super) fn check(&self, task: &Task) -> Option<&HealthCheck> {
        self.apps.get(&task.app)?.definition.checks.first()
    }

    /// Everything that is due.
    pub(super) fn happen(&mut self) {
        let now = self.now;
        let due: Vec<TaskId> = self
            .tasks
            .values()
            .filter(|task| self.due(task).is_some_and(|due| due <= now))
            .map(|task| task.id.clone())
            .collect();
        for id in due {
            self.advance(&id);
        }
    }

    fn advance(&mut self, id: &TaskId) {
        let now = self.now;
        let Some(task) = self.tasks.get(id) else { return };
        let behaviour = self.script.of(task.app.as_str());
        let is_due = |due: Option<Moment>| due.is_some_and(|due| due <= now);
        match task.phase {
            Phase::Staging if behaviour.fails_to_start => self.fail(id, "the task did not start"),
            Phase::Staging => self.run(id),
            Phase::Killing { .. } => self.end(id, "TASK_KILLED", "it was told to die"),
            Phase::Unreachable { since, .. } => {
                self.set_phase(id, Phase::Unreachable { since, is_replaced: true });
            }
            Phase::Running if is_due(self.death(task)) => self.fail(id, "the task ended by itself"),
            Phase::Running if is_due(self.loss(task)) => self.lose(id),
            Phase::Running => {
                let is_good = behaviour.health == Health::Good;
                self.checked(id, is_good.then_some(()).ok_or_else(|| "the script says so".into()));
            }
        }
    }

    fn run(&mut self, id: &TaskId) {
        let now = self.now;
        if let Some(task) = self.tasks.get_mut(id) {
            (task.phase, task.started_at) = (Phase::Running, Some(now));
            self.note(Event::Running { task: id.clone() });
        }
    }

    fn set_phase(&mut self, id: &TaskId, phase: Phase) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.phase = phase;
        }
    }

    /// Its host is out of reach from now on.
    pub fn lose(&mut self, id: &TaskId) {
        let now = self.now;
        if let Some(task) = self.tasks.get_mut(id).filter(|task| task.phase == Phase::Running) {
            task.was_unreachable = true;
            task.phase = Phase::Unreachable { since: now, is_replaced: false };
            self.note(Event::Unreachable { task: id.clone() });
        }
    }

    /// Its host answers again. Beyond the wanted number, a task will have to go.
    pub fn find(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if matches!(task.phase, Phase::Unreachable { .. }) {
            task.phase = Phase::Running;
            self.note(Event::Reachable { task: id.clone() });
            self.settle();
        }
    }

    /// A result of its health check.
    pub fn checked(&mut self, id: &TaskId, result: Result<(), String>) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.phase == Phase::Running) else {
            return;
        };
        let before = task.results.as_ref().map(|results| results.is_alive);
        task.note(now, result.clone());
        let is_alive = task.is_healthy();
        if before != Some(is_alive) {
            self.note(match result {
                Ok(()) => Event::Healthy { task: id.clone() },
                Err(cause) => Event::Unhealthy { task: id.clone(), cause },
            });
        }
        if self.is_hopeless(id) {
            self.fail(id, "the health check failed too often");
        }
    }

    /// Whether Marathon would kill it for its health.
    fn is_hopeless(&self, id: &TaskId) -> bool {
        let Some(task) = self.tasks.get(id) else { return false };
        let (Some(check), Some(results)) = (self.check(task), &task.results) else { return false };
        let since_start = task.started_at.map(|at| self.now.since(at)).unwrap_or_default();
        let is_counted = results.first_success.is_some() || since_start >= check.grace;
        is_counted && check.max_failures > 0 && results.consecutive_failures >= check.max_failures
    }

    /// It has come to an end by itself: the app is held back, longer each time.
    pub fn fail(&mut self, id: &TaskId, message: &str) {
        let now = self.now;
        let Some(task) = self.tasks.get(id).cloned() else { return };
        self.end(id, "TASK_FAILED", message);
        let Some(app) = self.apps.get_mut(&task.app) else { return };
        let backoff = app.definition.backoff;
        // One that has been quiet for the longest delay starts anew.
        let last = app.delay.filter(|delay| now.since(delay.until) < backoff.most);
        let length = backoff.after(last.map(|delay| delay.length)).max(TICK);
        app.delay = Some(Delay { length, until: now.after(length) });
        app.failure =
            Some(Failure { task, state: "TASK_FAILED", message: message.to_owned(), at: now });
    }

    /// A killed task is no more.
    pub fn ended(&mut self, id: &TaskId) {
        let is_killed =
            self.tasks.get(id).is_some_and(|task| matches!(task.phase, Phase::Killing { .. }));
        if is_killed {
            self.end(id, "TASK_KILLED", "it was told to die");
        }
    }

    /// Tells it to die. One whose host is out of reach is forgotten at once.
    pub(super) fn kill(&mut self, id: &TaskId) {
        let now = self.now;
        match self.tasks.get(id).map(|task| task.phase) {
            Some(Phase::Staging | Phase::Running) => {
                self.set_phase(id, Phase::Killing { since: now });
                self.note(Event::Killing { task: id.clone() });
            }
            Some(Phase::Unreachable { .. }) => {
                self.end(id, "TASK_GONE", "its host is out of reach")
            }
            Some(Phase::Killing { .. }) | None => {}
        }
    }

    pub(super) fn end(&mut self, id: &TaskId, state: &'static str, message: &str) {
        if let Some(task) = self.tasks.remove(id) {
            let siblings = self.by_app.entry(task.app.clone()).or_default();
            siblings.remove(id);
            if siblings.is_empty() {
                self.by_app.remove(&task.app);
            }
            self.note(Event::Ended { task: id.clone(), state, message: message.to_owned() });
        }
    }
}
