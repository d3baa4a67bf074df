//! Chronos is brought in line with soa-configs.

use std::collections::{BTreeMap, HashSet};

use jiff::Zoned;
use soa_configs::{json, yaml::Node};

use super::{Pass, told, trust::Trust};
use crate::chronos::{
    JobName, Listed,
    soa::Wanted,
    sync::{self, Done, Plan},
    telling::Telling,
};

const CHECK: &str = "setup_chronos_job";

/// How a pass went.
#[derive(Debug, Default)]
pub struct Deployed {
    /// How it went with each job. Empty when Chronos told nothing of its jobs.
    pub jobs: BTreeMap<JobName, Done>,
    /// In the order in which Chronos took them, or would.
    pub written: Vec<Written>,
    /// A line for everything that is not as it should be.
    pub complaints: Vec<String>,
    /// All jobs are as they should be, or are not deployed yet.
    pub is_fine: bool,
}

/// A job that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub name: JobName,
    /// It took no other's place.
    pub is_new: bool,
}

impl<'p> Pass<'p> {
    /// Writes those of these jobs that are new or changed, parents first, and tells the team of each how it
    /// went. `now` is what time variables stand for, by the clock of this host.
    pub async fn deploy(self, names: impl IntoIterator<Item = JobName>, now: &Zoned) -> Deployed {
        let mut telling = self.telling();
        let wanted = self.soa.make(names, now);
        // What makes no job needs no Chronos.
        let listed =
            if wanted.jobs.is_empty() { Ok(Vec::new()) } else { self.list(&mut telling).await };
        let mut deployed = match listed {
            Ok(listed) => self.deploy_beside(wanted, &listed, &mut telling).await,
            Err(error) => Deployed { complaints: vec![told(error)], ..Deployed::default() },
        };
        self.finish(telling, &mut deployed.complaints).await;
        deployed
    }

    /// The same beside what Chronos has.
    pub(super) async fn deploy_beside(
        self,
        wanted: Wanted,
        listed: &[Listed],
        telling: &mut Telling<'p>,
    ) -> Deployed {
        let mut deployed = Deployed { is_fine: true, ..Deployed::default() };
        let plan = sync::plan(&wanted.jobs, listed);
        deployed.jobs = self.carry_out(&plan, listed, telling).await;
        let writes = plan.writes.iter().map(|write| {
            let (name, is_new) = (write.job.name.clone(), write.past.is_none());
            Written { name, is_new }
        });
        let is_written = |write: &Written| deployed.jobs.get(&write.name) == Some(&Done::Written);
        deployed.written = writes.filter(is_written).collect();
        let unmade = wanted.unmade.into_iter().map(|(name, error)| (name, Done::NotMade(error)));
        deployed.jobs.extend(unmade);
        self.announce(&mut deployed, telling);
        deployed
    }

    /// What is written goes to the log of its service.
    async fn carry_out(
        self,
        plan: &Plan<'_>,
        listed: &[Listed],
        telling: &mut Telling<'p>,
    ) -> BTreeMap<JobName, Done> {
        let mut jobs = BTreeMap::new();
        let mut present: HashSet<String> = listed.iter().map(|job| job.name.clone()).collect();
        let mut trust = Trust::default();
        for write in &plan.writes {
            let job = write.job;
            let absent = sync::absent(job, &present);
            let done = if trust.is_gone() {
                Done::Left
            } else if !absent.is_empty() {
                Done::NoParents(absent.into_iter().cloned().collect())
            } else {
                self.put(write, &mut trust, telling).await
            };
            if done == Done::Written {
                present.insert(job.name.to_string());
            }
            jobs.insert(job.name.clone(), done);
            if let Some((innocent, reason)) = trust.make_sure(self.chronos).await {
                let names = innocent.iter().filter_map(|name| JobName::parse(name));
                jobs.extend(names.map(|name| (name, Done::Gone(reason.clone()))));
            }
        }
        leave_children(plan, &mut jobs);
        jobs.extend(plan.unchanged.iter().map(|job| (job.name.clone(), Done::Unchanged)));
        for cycle in &plan.cycles {
            let names: Vec<JobName> = cycle.iter().map(|name| (*name).clone()).collect();
            jobs.extend(names.iter().map(|name| (name.clone(), Done::Cycle(names.clone()))));
        }
        jobs
    }

    async fn put(
        self,
        write: &sync::Write<'_>,
        trust: &mut Trust,
        telling: &mut Telling<'p>,
    ) -> Done {
        if self.is_dry {
            return Done::Written;
        }
        let job = write.job;
        let request = job.request(&write.past.map(|past| past.fields()).unwrap_or_default());
        let text = json::canonical(&Node::made(request.clone())).unwrap_or_default();
        let result = self.chronos.put(request, job.is_dependent()).await;
        trust.learn(&job.name.to_string(), &result);
        match result {
            Ok(()) => {
                telling.log(&job.name, &format!("Job to update: {text}"), false);
                telling.log(&job.name, &format!("Updated Chronos job: {}", job.name), true);
                Done::Written
            }
            Err(error) if error.is_gone() => Done::Gone(told(error)),
            Err(error) => Done::Refused(told(error)),
        }
    }

    /// One line for each job that is not as it should be, and an event for each job; of a Chronos that is
    /// gone, one line for all.
    fn announce(self, deployed: &mut Deployed, telling: &mut Telling<'p>) {
        let mut left = 0;
        let mut gone = None;
        for (name, done) in &deployed.jobs {
            deployed.is_fine &= done.is_fine();
            match done.event(name, self.soa.cluster.as_str()) {
                Some((status, output)) => {
                    if !matches!(done, Done::Unchanged | Done::Written) {
                        let reason = done.reason().replace('\n', "; ");
                        deployed.complaints.push(format!("{}: {reason}", name.dotted()));
                    }
                    let overrides = sync::overrides(self.soa.instance(name).ok().as_ref());
                    let told = (status, output.as_str());
                    telling.event(self.soa.documents, CHECK, name, told, &overrides);
                }
                None => {
                    left += 1;
                    gone = Some(done.reason()).filter(|_| matches!(done, Done::Gone(_))).or(gone);
                }
            }
        }
        if let Some(reason) = gone {
            deployed.complaints.push(self.give_up(&reason, left, telling));
        }
    }
}

/// A job whose parent was not answered waits with it for the next pass.
fn leave_children(plan: &Plan<'_>, jobs: &mut BTreeMap<JobName, Done>) {
    for name in plan.writes.iter().map(|write| &write.job.name) {
        let Some(Done::NoParents(absent)) = jobs.get(name) else { continue };
        let is_left = |parent| matches!(jobs.get(parent), Some(Done::Gone(_) | Done::Left));
        if absent.iter().any(is_left) {
            jobs.insert(name.clone(), Done::Left);
        }
    }
}
