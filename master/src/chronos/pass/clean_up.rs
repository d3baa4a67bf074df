//! Jobs that are nobody's any more leave Chronos.

use jiff::Timestamp;
use soa_configs::yaml::Map;

use super::{Pass, told, trust::Trust};
use crate::{
    chronos::{
        JobName, Listed,
        cleanup::{self, REMOVED, Rules, Stale, stale},
        client::{self, Chronos},
        telling::Telling,
    },
    events::Status,
};

const CHECK: &str = "check_chronos_jobs";

/// What counts as nobody's, and how much of it may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowed {
    pub rules: Rules,
    /// Nothing is removed when it is more than this share of all jobs; reruns do not count. `None`: however
    /// much it is.
    pub most: Option<f64>,
}

/// How a clean-up went.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// Chronos told of its jobs, and not too many of them are nobody's.
    pub is_known: bool,
    /// The names of all jobs that were to be removed, and whether their tasks are stopped.
    pub tasks: Vec<(String, bool)>,
    /// The same, and whether they are removed or would be.
    pub jobs: Vec<(String, bool)>,
    /// A line for each job that is nobody's and stays all the same.
    pub staying: Vec<String>,
    /// A line for everything that went wrong.
    pub complaints: Vec<String>,
    /// Nothing is left to do.
    pub is_fine: bool,
}

impl<'p> Pass<'p> {
    /// Stops and removes what stands no longer in soa-configs, and reruns whose time is over; ends the alarms
    /// of what is gone.
    pub async fn clean_up(self, allowed: Allowed, now: Timestamp) -> Cleaned {
        let mut telling = self.telling();
        let mut cleaned = Cleaned::default();
        match self.list(&mut telling).await {
            Ok(listed) => self.clean(&listed, allowed, now, &mut telling, &mut cleaned).await,
            Err(error) => cleaned.complaints.push(told(error)),
        }
        self.finish(telling, &mut cleaned.complaints).await;
        cleaned
    }

    /// The same beside what Chronos has.
    pub(super) async fn clean(
        self,
        listed: &[Listed],
        allowed: Allowed,
        now: Timestamp,
        telling: &mut Telling<'p>,
        cleaned: &mut Cleaned,
    ) {
        let standing = |name: &JobName| self.soa.standing(name, now);
        let found = stale(listed, standing, allowed.rules, now);
        cleaned.staying = staying(&found);
        if let Some(Err(error)) = allowed.most.map(|most| found.within(most)) {
            cleaned.complaints.push(error.to_string());
            return;
        }
        let names: Vec<&str> = found.jobs.iter().map(|job| job.name.as_str()).collect();
        (cleaned.is_known, cleaned.is_fine) = (true, true);
        if self.is_dry {
            cleaned.jobs = names.iter().map(|name| ((*name).to_owned(), true)).collect();
            return;
        }
        let chronos = self.chronos;
        let mut asking =
            Asking { chronos, trust: Trust::default(), gone: None, refusals: Vec::new() };
        let otherwise = "tasks are not stopped";
        let tasks = asking.each(&names, otherwise, |name| chronos.kill_tasks(name)).await;
        let jobs = asking.each(&names, "it is not removed", |name| chronos.delete(name)).await;
        cleaned.complaints.extend(asking.refusals.into_iter().map(|(_, line)| line));
        if let Some(reason) = asking.gone {
            let left = jobs.iter().filter(|(_, is_done)| !is_done).count();
            cleaned.complaints.push(self.give_up(&reason, left, telling));
        }
        let removed: Vec<&str> =
            jobs.iter().filter(|(_, is_done)| *is_done).map(|(name, _)| name.as_str()).collect();
        for name in cleanup::over(listed, &removed, standing) {
            let told = (Status::Ok, REMOVED);
            telling.event(self.soa.documents, CHECK, &name, told, &Map::default());
        }
        cleaned.is_fine = tasks.iter().chain(&jobs).all(|(_, is_done)| *is_done);
        (cleaned.tasks, cleaned.jobs) = (tasks, jobs);
    }
}

fn staying(found: &Stale<'_>) -> Vec<String> {
    let foreign = found.foreign.iter();
    let foreign =
        foreign.map(|name| format!("{name} is no job that PaaSTA made; it is left alone"));
    let needed = found.needed.iter().map(|(name, child)| {
        format!("{name} is nobody's, but a parent of {child}; it is left alone")
    });
    foreign.chain(needed).collect()
}

/// Asks the same of many jobs; what fails stops no other, unless Chronos is gone.
struct Asking<'c> {
    chronos: &'c Chronos,
    trust: Trust,
    /// How Chronos did not answer.
    gone: Option<String>,
    /// Jobs for which something was refused, with a line of each.
    refusals: Vec<(String, String)>,
}

impl Asking<'_> {
    /// Returns of which it was done.
    async fn each<'n, F>(
        &mut self,
        names: &[&'n str],
        otherwise: &str,
        ask: impl Fn(&'n str) -> F,
    ) -> Vec<(String, bool)>
    where
        F: Future<Output = Result<(), client::Error>>,
    {
        let mut outcomes = Vec::new();
        for name in names.iter().copied() {
            let is_done = !self.trust.is_gone() && self.one(name, otherwise, ask(name)).await;
            outcomes.push((name.to_owned(), is_done));
        }
        outcomes
    }

    async fn one(
        &mut self,
        name: &str,
        otherwise: &str,
        question: impl Future<Output = Result<(), client::Error>>,
    ) -> bool {
        let result = question.await;
        self.trust.learn(name, &result);
        let is_done = result.is_ok();
        match result {
            Ok(()) => {}
            Err(error) if error.is_gone() => self.gone = Some(told(error)),
            Err(error) => {
                let line = format!("{name}: {otherwise}: {}", told(error));
                self.refusals.push((name.to_owned(), line));
            }
        }
        if let Some((innocent, reason)) = self.trust.make_sure(self.chronos).await {
            self.refusals.retain(|(name, _)| !innocent.contains(name));
            self.gone = Some(reason);
        }
        is_done
    }
}
