//! What one pass writes, from one listing (chronos-sync.md §8).
//!
//! Pure. A job is written when it is new or its hash is another; what Chronos remembers of its runs is
//! written along. Parents come first.

use std::collections::{BTreeMap, HashMap, HashSet};

use soa_configs::{
    load::{Instance, LoadError},
    yaml::{Map, Node},
};

use super::{Job, JobError, JobName, Listed, Past, Starts, order::order};
use crate::events::Status;

/// A job that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<'j> {
    pub job: &'j Job,
    /// Of a job that is replaced. `None`: it is new.
    pub past: Option<&'j Past>,
}

/// What one pass does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan<'j> {
    /// In the order in which Chronos takes them.
    pub writes: Vec<Write<'j>>,
    /// Those that are as they should be.
    pub unchanged: Vec<&'j Job>,
    /// Jobs that are, through others, their own parents: Chronos takes none of them.
    pub cycles: Vec<Vec<&'j JobName>>,
}

/// `jobs` are those that are to be in Chronos. No two have the same name.
#[must_use]
pub fn plan<'j>(jobs: &'j [Job], listed: &'j [Listed]) -> Plan<'j> {
    let mut here: HashMap<&str, &Listed> = HashMap::new();
    for job in listed {
        here.entry(&job.name).or_insert(job);
    }
    let by_name: BTreeMap<&JobName, &Job> = jobs.iter().map(|job| (&job.name, job)).collect();
    let parents = by_name.iter().map(|(name, job)| (*name, job.parents.as_slice())).collect();
    let order = order(&parents);
    let mut plan = Plan::default();
    for job in order.sorted.iter().filter_map(|name| by_name.get(name).copied()) {
        let listed = here.get(job.name.to_string().as_str()).copied();
        match listed {
            Some(listed) if is_as_wanted(job, listed) => plan.unchanged.push(job),
            listed => plan.writes.push(Write { job, past: listed.map(|listed| &listed.past) }),
        }
    }
    plan.cycles = order.cycles;
    plan
}

/// The hash alone does not say it: when Chronos loses a parent, it gives the child another one, or the
/// schedule of the one it lost.
fn is_as_wanted(job: &Job, listed: &Listed) -> bool {
    let starts = match &listed.starts {
        Starts::Unknown => true,
        Starts::Schedule => !job.is_dependent(),
        Starts::Parents(parents) => {
            job.is_dependent()
                && parents.len() == job.parents.iter().collect::<HashSet<_>>().len()
                && job.parents.iter().all(|parent| parents.contains(&parent.to_string()))
        }
    };
    listed.description == job.hash && starts
}

/// The parents of a job that are not there: Chronos would refuse it.
#[must_use]
pub fn absent<'j>(job: &'j Job, present: &HashSet<String>) -> Vec<&'j JobName> {
    job.parents.iter().filter(|parent| !present.contains(&parent.to_string())).collect()
}

/// What an instance says of the event `setup_chronos_job`: how often it is sent is not its own choice.
#[must_use]
pub fn overrides(instance: Option<&Instance>) -> Map {
    let monitoring = instance.and_then(|instance| instance.merged.get("monitoring"));
    let mut overrides = monitoring.and_then(Node::as_map).cloned().unwrap_or_default();
    overrides.set("check_every", Node::made("10s"));
    overrides.set("alert_after", Node::made("10m"));
    overrides
}

/// How it went with one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Unchanged,
    Written,
    /// The instance makes no job.
    NotMade(JobError),
    /// Parents that are not in Chronos.
    NoParents(Vec<JobName>),
    /// It is, through these, its own parent.
    Cycle(Vec<JobName>),
    /// Chronos does not take it, for this reason.
    Refused(String),
    /// Chronos did not answer, for this reason.
    Gone(String),
    /// As Chronos did not answer before, it was not asked any more.
    Left,
}

impl Done {
    /// Status and output of the event `setup_chronos_job`. `None`: nobody is told, as all would be told
    /// the same.
    #[must_use]
    pub fn event(&self, name: &JobName, cluster: &str) -> Option<(Status, String)> {
        let name = name.dotted();
        let problem = match self {
            Self::Unchanged | Self::Written => {
                let output = "All chronos bouncing tasks finished.".to_owned();
                return Some((Status::Ok, output));
            }
            Self::Gone(_) | Self::Left => return None,
            Self::NotMade(error) if error.is_not_deployed() => {
                format!(
                    "No deployment found for {name} in cluster {cluster}. Has Jenkins run for it?"
                )
            }
            Self::NotMade(error @ JobError::Load(LoadError::NoConfiguration(_))) => format!(
                "Could not read chronos configuration file for {name} in cluster {cluster}\n\
                 Error was: {error}"
            ),
            _ => format!("{name} is not set up in Chronos: {}", self.reason()),
        };
        Some((Status::Critical, problem))
    }

    /// Why it is not as it should be, on one line or several.
    #[must_use]
    pub fn reason(&self) -> String {
        let names = |names: &[JobName], between: &str| {
            names.iter().map(JobName::dotted).collect::<Vec<_>>().join(between)
        };
        match self {
            Self::Unchanged | Self::Written => String::new(),
            Self::NotMade(error) => error.to_string(),
            Self::NoParents(parents) => {
                format!("Chronos does not have its parents: {}", names(parents, ", "))
            }
            Self::Cycle(cycle) => {
                let first = cycle.first().map(JobName::dotted).unwrap_or_default();
                format!("its parents form a circle: {} -> {first}", names(cycle, " -> "))
            }
            Self::Refused(reason) | Self::Gone(reason) => reason.clone(),
            Self::Left => "Chronos does not answer".to_owned(),
        }
    }

    /// Whether the job is as it should be, or is not yet deployed.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        match self {
            Self::Unchanged | Self::Written => true,
            Self::NotMade(error) => {
                error.is_not_deployed()
                    || matches!(error, JobError::Load(LoadError::NoConfiguration(_)))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
