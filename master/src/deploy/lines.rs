//! What users read in the log of a deployment (marathon-sync.md §10.2).
//!
//! Pure. The words are PaaSTA's: people and scripts look for them.

use crate::{
    bounce::Method,
    drain::drainer::Undone,
    marathon::running::{RunningApp, Task},
    step::{Drained, Ends, RUNNING, Seen, Step},
};

/// For whom a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For everybody.
    Event,
    /// For whoever looks closely.
    Debug,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

impl Line {
    #[must_use]
    pub fn event(text: String) -> Self {
        Self { level: Level::Event, text }
    }

    fn debug(text: String) -> Self {
        Self { level: Level::Debug, text }
    }
}

/// Which bounce the lines are of.
#[derive(Clone, Copy, Debug)]
pub struct Bounce<'b> {
    pub method: Method,
    /// `service.instance`
    pub name: &'b str,
    /// Of the new app, without its leading slash.
    pub id: &'b str,
}

impl Bounce<'_> {
    fn line(self, text: &str) -> Line {
        Line::debug(format!("{} bounce {text}", self.method.as_str()))
    }

    /// Before anything is created or drained. Nothing in the steady state.
    #[must_use]
    pub fn progress(self, seen: &Seen<'_>, step: &Step<'_>) -> Option<Line> {
        let shrinks = seen.new.is_some_and(|new| new.instances > seen.want);
        let apps = seen.old.len() + usize::from(shrinks);
        if seen.new.is_some() && apps == 0 {
            return None;
        }
        let exists = if seen.new.is_some() { "exists" } else { "not created yet" };
        let missing = i64::from(seen.want) - i64::try_from(step.happy_new).unwrap_or(i64::MAX);
        let old = &step.old;
        Some(Line::event(format!(
            "{} bounce in progress on {}. New marathon app {} {exists}. {missing} new tasks to bring up. \
             {} old tasks receiving traffic and happy. {} old tasks unhappy. {} old tasks draining. \
             {} old tasks at risk. {apps} old apps.",
            self.method.as_str(),
            self.name,
            self.id,
            old.happy.len(),
            old.unhappy.len(),
            old.draining.len(),
            old.at_risk.len(),
        )))
    }

    #[must_use]
    pub fn creating(self) -> Line {
        self.line(&format!("creating new app with app_id {}", self.id))
    }

    /// One line for each app that loses tasks.
    #[must_use]
    pub fn draining(self, step: &Step<'_>) -> Vec<Line> {
        let mut by_app: Vec<(&str, usize)> = Vec::new();
        for task in &step.drain {
            match by_app.iter_mut().find(|(app, _)| *app == task.app_id) {
                Some((_, count)) => *count += 1,
                None => by_app.push((&task.app_id, 1)),
            }
        }
        let line =
            |(app, count)| self.line(&format!("draining {count} old tasks with app_id {app}"));
        by_app.into_iter().map(line).collect()
    }

    /// What is killed and why, what stays although it should go, and what is removed.
    #[must_use]
    pub fn ends(
        self,
        seen: &Seen<'_>,
        step: &Step<'_>,
        drained: &[(Drained, Option<Undone>)],
        ends: &Ends<'_>,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        let is_killed = |task: &Task| ends.kill.iter().any(|killed| killed.id == task.id);
        let mut told = Vec::new();
        for (task, (drained, error)) in step.drain.iter().zip(drained) {
            let (id, Some(error)) = (&task.id, error) else { continue };
            if !is_killed(task) {
                let text = format!("cannot drain task {id}, which goes on serving: {error}");
                lines.push(Line::event(format!("{} bounce {text}", self.method.as_str())));
            } else if seen.kills_undrained {
                let text = format!("killing task {id} due to exception when draining: {error}");
                lines.push(self.line(&text));
                // Of one that cannot be asked either there is another line.
                told.extend(drained.is_safe_to_kill.map(|_| id));
            }
        }
        for task in ends.kill.iter().filter(|task| !told.contains(&&task.id)) {
            let Task { id, state, .. } = task;
            let fact = seen.facts.get(id).copied().unwrap_or_default();
            let text = if seen.kills_undrained && fact.is_safe_to_kill.is_none() && state == RUNNING
            {
                format!("killing task {id} due to exception in is_safe_to_kill: nobody can say")
            } else {
                format!("killing not_running or drained task {id} {state}")
            };
            lines.push(self.line(&text));
        }
        if !ends.remove.is_empty() {
            let ids: Vec<&str> =
                ends.remove.iter().map(|app: &&RunningApp| app.id.as_str()).collect();
            let text = format!("removing old unused apps with app_ids: {}", ids.join(", "));
            lines.push(self.line(&text));
        }
        lines
    }

    /// At the end of a bounce: nothing old was left before this pass, and it removed the rest.
    #[must_use]
    pub fn finishing(self, seen: &Seen<'_>, step: &Step<'_>, ends: &Ends<'_>) -> Option<Line> {
        let does_nothing = ends.kill.is_empty() && ends.remove.is_empty();
        let is_last = !(is_under_way(seen, step) || does_nothing);
        let (method, Self { name, id, .. }) = (self.method.as_str(), self);
        is_last
            .then(|| Line::event(format!("{method} bounce on {name} finishing. Now running {id}")))
    }
}

/// Something old was there before this pass, or nothing new was.
fn is_under_way(seen: &Seen<'_>, step: &Step<'_>) -> bool {
    let old = &step.old;
    let tasks = old.happy.len() + old.unhappy.len() + old.draining.len() + old.at_risk.len();
    tasks > 0 || seen.new.is_none()
}

/// Whether the instance needs another pass soon (marathon-sync.md §10.1, steps 9 and 10).
#[must_use]
pub fn goes_on(seen: &Seen<'_>, step: &Step<'_>) -> bool {
    let is_at_risk =
        |task: &Task| seen.facts.get(&task.id).is_some_and(|fact| fact.host_is_draining);
    let shrinks_or_moves =
        |new: &RunningApp| new.instances > seen.want || new.tasks.iter().any(is_at_risk);
    is_under_way(seen, step) || seen.new.is_some_and(shrinks_or_moves)
}
