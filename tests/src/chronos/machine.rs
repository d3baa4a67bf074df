//! The state, stepped by a given time and without I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    definition::{Definition, Path, Starts},
    event::Event,
    refusal::Refusal,
    script::Script,
};

/// After a failure.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// A job, and how its runs went.
#[derive(Clone, Debug)]
pub struct Job {
    pub(super) definition: Definition,
    pub last_success: Option<Timestamp>,
    pub last_error: Option<Timestamp>,
    pub successes: u64,
    pub errors: u64,
    pub(super) errors_since_success: u64,
    run: Option<Run>,
    /// The next attempt, and when.
    retry: Option<(Timestamp, u32)>,
    /// Parents that ended well since it ran last.
    ready: BTreeSet<String>,
    /// In milliseconds.
    pub(super) run_times: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    started: Timestamp,
    ends: Timestamp,
    attempt: u32,
    fails: bool,
}

impl Job {
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.definition.is_disabled
    }

    /// A field as it was sent.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Value> {
        self.definition.fields.get(key)
    }

    /// The names of its parents; none when it has a schedule.
    #[must_use]
    pub fn parents(&self) -> Vec<&str> {
        match &self.definition.starts {
            Starts::Parents(parents) => parents.iter().map(String::as_str).collect(),
            Starts::Schedule { .. } => Vec::new(),
        }
    }
}

#[derive(Debug)]
pub struct Machine {
    now: Timestamp,
    jobs: BTreeMap<String, Job>,
    script: Script,
    events: Vec<Event>,
}

impl Machine {
    #[must_use]
    pub fn new(now: Timestamp, script: Script) -> Self {
        Self { now, jobs: BTreeMap::new(), script, events: Vec::new() }
    }

    pub fn set_script(&mut self, script: Script) {
        self.script = script;
    }

    /// Forgets all jobs, and what runs of them.
    pub fn clear(&mut self) {
        self.jobs.clear();
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// By name.
    pub fn jobs(&self) -> impl Iterator<Item = (&str, &Job)> {
        self.jobs.iter().map(|(name, job)| (name.as_str(), job))
    }

    #[must_use]
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.get(name)
    }

    /// What happened since the last time.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Takes a job past the interface, with what is to be remembered of its runs. `None`: never.
    ///
    /// # Errors
    /// As the interface refuses it.
    pub fn adopt(
        &mut self,
        body: &Value,
        last_success: Option<Timestamp>,
        last_error: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let path = if body.get("parents").is_some() { Path::Dependent } else { Path::Scheduled };
        let name = self.put(&body.to_string(), path)?;
        if let Some(job) = self.jobs.get_mut(&name) {
            (job.last_success, job.last_error) = (last_success, last_error);
            job.successes = u64::from(last_success.is_some());
            job.errors = u64::from(last_error.is_some());
        }
        Ok(())
    }

    /// Creates or replaces a job; a run goes on. Returns its name.
    pub(super) fn put(&mut self, body: &str, path: Path) -> Result<String, Refusal> {
        let mut definition = Definition::parse(body, path, self.now)?;
        let name = definition.name.clone();
        if let Starts::Parents(parents) = &definition.starts {
            self.check_parents(&name, parents)?;
        }
        let now = self.now;
        if let Starts::Schedule { schedule, .. } = &mut definition.starts {
            schedule.skip_to(now.checked_sub(definition.epsilon).unwrap_or(now));
        }
        let old = self.jobs.remove(&name);
        let job = name.clone();
        self.events.push(if old.is_some() {
            Event::Replaced { job }
        } else {
            Event::Created { job }
        });
        self.jobs.insert(name.clone(), replaced(definition, old));
        self.expire(&name);
        Ok(name)
    }

    fn check_parents(&self, name: &str, parents: &BTreeSet<String>) -> Result<(), Refusal> {
        if parents.is_empty() {
            return Err(match self.jobs.contains_key(name) {
                true => Refusal::bad_request("requirement failed: a job needs parents"),
                false => Refusal::broken("empty.reduceLeft"),
            });
        }
        if !parents.iter().all(|parent| self.jobs.contains_key(parent)) {
            return Err(Refusal::no_parents(name));
        }
        let mut above: Vec<&str> = parents.iter().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        while let Some(parent) = above.pop() {
            if parent == name {
                return Err(Refusal::bad_request(format!("Job {name} would be its own parent")));
            }
            if seen.insert(parent)
                && let Some(job) = self.jobs.get(parent)
            {
                above.extend(job.parents());
            }
        }
        Ok(())
    }

    /// Its children get its own parents, or its schedule.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        let gone = self.jobs.remove(name).ok_or_else(|| Refusal::unknown(name))?;
        self.events.push(Event::Deleted { job: name.to_owned() });
        for job in self.jobs.values_mut() {
            let Starts::Parents(parents) = &mut job.definition.starts else { continue };
            if !parents.remove(name) {
                continue;
            }
            match &gone.definition.starts {
                Starts::Parents(above) => parents.extend(above.iter().cloned()),
                Starts::Schedule { .. } if parents.is_empty() => {
                    job.definition.starts = gone.definition.starts.clone();
                }
                Starts::Schedule { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, name: &str) -> Result<(), Refusal> {
        let job = self.jobs.get_mut(name);
        let job = job.ok_or_else(|| Refusal::broken(format!("unknown job {name}")))?;
        job.retry = None;
        if job.run.take().is_some() {
            job.last_error = Some(self.now);
            job.errors += 1;
            self.events.push(Event::Killed { job: name.to_owned() });
        }
        Ok(())
    }

    pub(super) fn run_now(&mut self, name: &str) -> Result<(), Refusal> {
        let job = self.jobs.get(name).ok_or_else(|| Refusal::unknown(name))?;
        if job.run.is_none() {
            self.start(name, 0);
        }
        Ok(())
    }

    pub(super) fn succeed(&mut self, name: &str) -> Result<(), Refusal> {
        self.jobs.get(name).ok_or_else(|| Refusal::unknown(name))?;
        self.end_well(name, self.now);
        Ok(())
    }

    /// When something happens by itself. `None`: never.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.jobs.values().filter_map(due).min()
    }

    /// Lets everything happen until then.
    pub fn step(&mut self, now: Timestamp) {
        while let Some(next) = self.next().filter(|next| *next <= now) {
            self.now = self.now.max(next);
            let due =
                self.jobs.iter().filter(|(_, job)| due(job).is_some_and(|due| due <= self.now));
            for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
                self.act(&name);
            }
        }
        self.now = self.now.max(now);
    }

    /// The one thing that is due of a job.
    fn act(&mut self, name: &str) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(name) else { return };
        if let Some(run) = job.run {
            if run.ends <= now {
                job.run = None;
                let took = run.ends.duration_since(run.started).as_millis();
                job.run_times.push(u64::try_from(took).unwrap_or_default());
                if run.fails { self.end_badly(name, run) } else { self.end_well(name, run.ends) }
            }
            return;
        }
        if let Some((at, attempt)) = job.retry {
            if at <= now {
                job.retry = None;
                self.start(name, attempt);
            }
            return;
        }
        let Starts::Schedule { schedule, .. } = &mut job.definition.starts else { return };
        let Some(due) = schedule.next().filter(|due| *due <= now) else { return };
        schedule.advance();
        let is_late = due.checked_add(job.definition.epsilon).is_ok_and(|last| last < now);
        if !is_late {
            self.start(name, 0);
        }
        self.expire(name);
    }

    /// A job whose recurrences are used up is disabled.
    fn expire(&mut self, name: &str) {
        let Some(job) = self.jobs.get_mut(name) else { return };
        if let Starts::Schedule { schedule, .. } = &job.definition.starts
            && schedule.is_over()
            && !job.definition.is_disabled
        {
            job.definition.is_disabled = true;
            self.events.push(Event::Disabled { job: name.to_owned() });
        }
    }

    fn start(&mut self, name: &str, attempt: u32) {
        let behaviour = self.script.of(name);
        let Some(job) = self.jobs.get_mut(name) else { return };
        let takes = SignedDuration::try_from(behaviour.takes).unwrap_or(SignedDuration::MAX);
        let ends = self.now.checked_add(takes).unwrap_or(Timestamp::MAX);
        job.ready.clear();
        job.run = Some(Run { started: self.now, ends, attempt, fails: behaviour.fails });
        self.events.push(Event::Started { job: name.to_owned(), attempt });
    }

    fn end_badly(&mut self, name: &str, run: Run) {
        let Some(job) = self.jobs.get_mut(name) else { return };
        job.last_error = Some(run.ends);
        job.errors += 1;
        job.errors_since_success += 1;
        if u64::from(run.attempt) < job.definition.retries {
            let at = run.ends.checked_add(RETRY_AFTER).unwrap_or(Timestamp::MAX);
            job.retry = Some((at, run.attempt + 1));
        }
        self.events.push(Event::Failed { job: name.to_owned() });
    }

    fn end_well(&mut self, name: &str, at: Timestamp) {
        let Some(job) = self.jobs.get_mut(name) else { return };
        job.last_success = Some(at);
        job.successes += 1;
        job.errors_since_success = 0;
        self.events.push(Event::Succeeded { job: name.to_owned() });
        let mut ready = Vec::new();
        for (child, job) in &mut self.jobs {
            let Starts::Parents(parents) = &job.definition.starts else { continue };
            if parents.contains(name) {
                job.ready.insert(name.to_owned());
                let can_run = !job.definition.is_disabled && job.run.is_none();
                if can_run && parents.iter().all(|parent| job.ready.contains(parent)) {
                    ready.push(child.clone());
                }
            }
        }
        ready.iter().for_each(|child| self.start(child, 0));
    }
}

/// When something of a job is due. One that is disabled starts nothing more.
fn due(job: &Job) -> Option<Timestamp> {
    if let Some(run) = job.run {
        return Some(run.ends).filter(|ends| *ends < Timestamp::MAX);
    }
    if let Some((at, _)) = job.retry {
        return Some(at);
    }
    match &job.definition.starts {
        Starts::Schedule { schedule, .. } if !job.definition.is_disabled => schedule.next(),
        Starts::Schedule { .. } | Starts::Parents(_) => None,
    }
}

/// What is sent of runs before counts, else nothing is known of them.
fn replaced(definition: Definition, old: Option<Job>) -> Job {
    let fields = &definition.fields;
    let moment = |key: &str| fields.get(key)?.as_str()?.parse().ok();
    let count = |key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (last_success, last_error) = (moment("lastSuccess"), moment("lastError"));
    let (successes, errors) = (count("successCount"), count("errorCount"));
    let old = old.map(|old| (old.run, old.run_times));
    let (run, run_times) = old.unwrap_or_default();
    Job {
        definition,
        last_success,
        last_error,
        successes,
        errors,
        errors_since_success: 0,
        run,
        retry: None,
        ready: BTreeSet::new(),
        run_times,
    }
}

#[cfg(test)]
mod tests;
