//! Copies of jobs that run once, for another date (chronos-sync.md §12).
//!
//! Pure.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use soa_configs::yaml::{Map, Node};

use super::{
    Job, JobName,
    order::{order, related},
};

/// At once, and never again.
const ONCE: &str = "R1//PT1M";

/// What is the same for all copies of one rerun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerun {
    /// The first word of all names.
    pub prefix: String,
    /// All related jobs run again, each after its parents; else the one job alone.
    pub is_whole: bool,
    /// Jobs that are switched off run, too.
    pub forces_disabled: bool,
}

/// A copy that is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub name: JobName,
    pub body: Map,
    /// Its parents start it.
    pub is_dependent: bool,
}

/// Why jobs cannot run again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOrder {
    #[error("no job {0} stands in soa-configs for this cluster")]
    Unknown(String),
    #[error("these jobs are parents of one another: {0}")]
    Cycle(String),
}

impl Rerun {
    #[must_use]
    pub fn new(now: Timestamp, is_whole: bool, forces_disabled: bool) -> Self {
        let time = now.to_zoned(TimeZone::UTC).datetime();
        let micros = time.subsec_nanosecond() / 1000;
        let fraction = if micros == 0 { String::new() } else { format!("{micros:06}") };
        let prefix = format!("tmp-{}{fraction}", time.strftime("%Y-%m-%dT%H%M%S"));
        Self { prefix, is_whole, forces_disabled }
    }

    /// The jobs that run again, parents first. `jobs` are all of the cluster with their parents.
    ///
    /// # Errors
    /// When the job is not among them, or stands with those that are related in a circle of parents.
    pub fn order<'n>(
        &self,
        jobs: &BTreeMap<&'n JobName, &'n [JobName]>,
        of: &JobName,
    ) -> Result<Vec<&'n JobName>, NoOrder> {
        let (own, _) = jobs.get_key_value(of).ok_or_else(|| NoOrder::Unknown(of.dotted()))?;
        if !self.is_whole {
            return Ok(vec![*own]);
        }
        let related = related(jobs, of);
        let only = jobs.iter().filter(|(name, _)| related.contains(*name));
        let order = order(&only.map(|(name, parents)| (*name, *parents)).collect());
        match order.cycles.first() {
            Some(cycle) => {
                let names: Vec<String> = cycle.iter().map(|name| name.dotted()).collect();
                Err(NoOrder::Cycle(names.join(" -> ")))
            }
            None => Ok(order.sorted),
        }
    }

    /// `current` is the job as it is now, `dated` as it would be at the date that is meant.
    #[must_use]
    pub fn copy(&self, current: &Job, dated: &Job) -> Copy {
        let temporary =
            |name: &JobName| JobName { prefix: Some(self.prefix.clone()), ..name.clone() };
        let name = temporary(&dated.name);
        let is_dependent = self.is_whole && dated.is_dependent();
        let mut definition = dated.definition.clone();
        definition.set("name", Node::made(name.to_string()));
        definition.set("description", Node::made(current.hash.as_str()));
        if is_dependent {
            let parents =
                dated.parents.iter().map(|parent| Node::made(temporary(parent).to_string()));
            definition.set("parents", Node::made(parents.collect::<Vec<_>>()));
        } else {
            definition.remove("parents");
            definition.set("schedule", Node::made(ONCE));
        }
        if self.forces_disabled {
            definition.set("disabled", Node::made(false));
        }
        Copy { name, body: definition, is_dependent }
    }
}

#[cfg(test)]
mod tests {
    use soa_configs::json;

    use super::*;

    fn job(instance: &str, command: &str, parents: &[&str]) -> Job {
        let definition = json::parse(&format!(r#"{{"command": "{command}", "disabled": true}}"#));
        let mut definition = definition.unwrap().as_map().unwrap().clone();
        let own: Vec<JobName> = parents.iter().map(|parent| JobName::new("s", parent)).collect();
        if parents.is_empty() {
            definition.set("schedule", Node::made("0 3 * * *"));
        } else {
            let names = own.iter().map(|name| Node::made(name.to_string()));
            definition.set("parents", Node::made(names.collect::<Vec<_>>()));
        }
        let name = JobName::new("s", instance);
        Job { name, definition, parents: own, hash: "config01234567".to_owned() }
    }

    #[test]
    fn all_related_jobs_run_again_after_their_parents() {
        let now = "2018-03-14T09:05:07.123456Z".parse().unwrap();
        let rerun = Rerun::new(now, true, true);
        let jobs = [
            job("c", "3", &["b", "a"]),
            job("b", "2", &["a"]),
            job("a", "1", &[]),
            job("other", "0", &[]),
            job("x", "0", &["y"]),
            job("y", "0", &["x"]),
        ];
        let all = jobs.iter().map(|job| (&job.name, job.parents.as_slice())).collect();
        let order = rerun.order(&all, &JobName::new("s", "b")).unwrap();
        assert_eq!(order, [&jobs[2].name, &jobs[1].name, &jobs[0].name]);
        let copy = rerun.copy(&jobs[0], &job("c", "dated", &["b", "a"]));
        let text = json::canonical(&Node::made(copy.body)).unwrap();
        let prefix = "tmp-2018-03-14T090507123456";
        let expected = format!(
            r#"{{"command": "dated", "description": "config01234567", "disabled": false, "name": "{prefix} s c", "parents": ["{prefix} s b", "{prefix} s a"]}}"#
        );
        assert_eq!((text, copy.is_dependent), (expected, true));
        assert!(!rerun.copy(&jobs[2], &jobs[2]).is_dependent);
        let refused = |name| rerun.order(&all, &JobName::new("s", name)).unwrap_err().to_string();
        assert_eq!(refused("x"), "these jobs are parents of one another: s.y -> s.x");
        assert_eq!(refused("z"), "no job s.z stands in soa-configs for this cluster");
    }
}
