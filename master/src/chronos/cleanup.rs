//! Which jobs are nobody's any more (chronos-sync.md §9).
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{JobName, Listed, Starts, order::order};

/// A rerun is kept so long after its run, or as long as its job's interval, whichever is more.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What is told of a job that was removed: its alarm is over.
pub const REMOVED: &str = "This instance was removed and is no longer supposed to be scheduled.";

/// What soa-configs say of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, deployed or not.
    Stands {
        /// From run to run, if it is known.
        interval: Option<SignedDuration>,
    },
    Gone,
    /// Its files cannot be read, so nothing of it is removed.
    Unknown,
}

/// What counts as nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Only jobs that PaaSTA made; each rerun by its own time; a parent stays while a job that stays needs
    /// it, which Chronos would start otherwise.
    Safe,
    /// As PaaSTA's own clean-up: whatever is not expected, and all reruns of an instance as soon as one of
    /// them is due.
    AsBefore,
}

/// What a look at all jobs comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale<'l> {
    /// Jobs to remove, children before their parents.
    pub jobs: Vec<&'l Listed>,
    /// Jobs that PaaSTA did not make; they are left alone and do not count.
    pub foreign: Vec<&'l str>,
    /// Nobody's, but parents of jobs that stay: with the name of one of these.
    pub needed: Vec<(&'l str, &'l str)>,
    /// How many of `jobs` are no reruns.
    pub lost: usize,
    /// How many jobs are no reruns and could be nobody's.
    pub counted: usize,
}

/// More is to be removed than may be without a person who says so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{lost} of {counted} jobs are of no instance in soa-configs, more than the share of {threshold} that \
     may be removed; nothing is removed. If that is meant, say --force"
)]
pub struct TooMany {
    pub lost: usize,
    pub counted: usize,
    pub threshold: f64,
}

/// `standing` says what soa-configs say of a service and instance.
#[must_use]
pub fn stale<'l>(
    listed: &'l [Listed],
    standing: impl Fn(&JobName) -> Standing,
    rules: Rules,
    now: Timestamp,
) -> Stale<'l> {
    let mut found = Stale::default();
    let mut remove: Vec<&Listed> = Vec::new();
    let due = due(listed, &standing, now);
    for job in listed {
        let name = job.paasta_name();
        if rules == Rules::Safe && !job.is_made_by_paasta() {
            found.foreign.push(&job.name);
            continue;
        }
        let is_stale = match &name {
            Some(name) if is_rerun(name, &standing) => match rules {
                Rules::Safe => due.contains(name),
                Rules::AsBefore => due.iter().any(|due| due.is_of(name)),
            },
            Some(name) => {
                found.counted += 1;
                standing(name) == Standing::Gone
            }
            None => {
                found.counted += 1;
                true
            }
        };
        if is_stale {
            remove.push(job);
        }
    }
    if rules == Rules::Safe {
        found.needed = needed(listed, &mut remove);
    }
    let is_lost = |job: &&&Listed| job.paasta_name().is_none_or(|name| !is_rerun(&name, &standing));
    found.lost = remove.iter().filter(is_lost).count();
    found.jobs = children_first(remove);
    found
}

/// A service may be called so, too.
fn is_rerun(name: &JobName, standing: impl Fn(&JobName) -> Standing) -> bool {
    name.is_temporary() && (name.prefix.is_some() || standing(name) == Standing::Gone)
}

/// Reruns whose time is over.
fn due(
    listed: &[Listed],
    standing: impl Fn(&JobName) -> Standing,
    now: Timestamp,
) -> BTreeSet<JobName> {
    let reruns = listed.iter().filter_map(|job| {
        let name = job.paasta_name().filter(|name| is_rerun(name, &standing))?;
        let interval = match standing(&name) {
            Standing::Stands { interval } => interval.unwrap_or_default(),
            Standing::Gone => SignedDuration::ZERO,
            Standing::Unknown => return None,
        };
        let age = now.duration_since(job.past.last_run()?.at);
        (age > KEPT.max(interval)).then_some(name)
    });
    reruns.collect()
}

/// Takes those out that a job that stays has for a parent, until none is left.
fn needed<'l>(listed: &'l [Listed], remove: &mut Vec<&'l Listed>) -> Vec<(&'l str, &'l str)> {
    let mut needed = Vec::new();
    loop {
        let going: BTreeSet<&str> = remove.iter().map(|job| job.name.as_str()).collect();
        let staying = listed.iter().filter(|job| !going.contains(job.name.as_str()));
        let children: BTreeMap<&str, &str> = staying
            .flat_map(|job| parents(job).map(|parent| (parent, job.name.as_str())))
            .collect();
        let before = remove.len();
        remove.retain(|job| match children.get(job.name.as_str()) {
            Some(child) => {
                needed.push((job.name.as_str(), *child));
                false
            }
            None => true,
        });
        if remove.len() == before {
            return needed;
        }
    }
}

fn parents(job: &Listed) -> impl Iterator<Item = &str> {
    let parents = match &job.starts {
        Starts::Parents(parents) => Some(parents),
        Starts::Schedule | Starts::Unknown => None,
    };
    parents.into_iter().flatten().map(String::as_str)
}

/// A child whose parent goes first would get its schedule.
fn children_first(jobs: Vec<&Listed>) -> Vec<&Listed> {
    let named: Vec<(JobName, Vec<JobName>)> = jobs
        .iter()
        .filter_map(|job| {
            Some((job.paasta_name()?, parents(job).filter_map(JobName::parse).collect()))
        })
        .collect();
    let graph = named.iter().map(|(name, parents)| (name, parents.as_slice())).collect();
    let order = order(&graph);
    let sorted = order.sorted.iter().chain(order.cycles.iter().flatten());
    let place: BTreeMap<String, usize> =
        sorted.enumerate().map(|(at, name)| (name.to_string(), at)).collect();
    let mut jobs = jobs;
    jobs.sort_by_key(|job| std::cmp::Reverse(place.get(&job.name).copied()));
    jobs
}

/// The instances whose alarms are over: soa-configs have them no longer, and of those that are `listed` only
/// reruns stay. A rerun that went says nothing of its job. Each once, and only of those that are `removed`.
#[must_use]
pub fn over(
    listed: &[Listed],
    removed: &[&str],
    standing: impl Fn(&JobName) -> Standing,
) -> BTreeSet<JobName> {
    let removed: BTreeSet<&str> = removed.iter().copied().collect();
    let is_job = |name: &JobName| !is_rerun(name, &standing);
    let bare = |name: JobName| JobName { prefix: None, ..name };
    let mut over: BTreeSet<JobName> = removed
        .iter()
        .filter_map(|name| JobName::parse(name).map(bare))
        .filter(|name| standing(name) == Standing::Gone)
        .collect();
    let staying = listed.iter().filter(|job| !removed.contains(job.name.as_str()));
    for name in staying.filter_map(Listed::paasta_name).filter(is_job) {
        over.remove(&name);
    }
    over
}

impl Stale<'_> {
    /// # Errors
    /// When the share of jobs to remove is above `threshold`; just as much is allowed, and reruns do not
    /// count.
    pub fn within(&self, threshold: f64) -> Result<(), TooMany> {
        let Self { lost, counted, .. } = *self;
        let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if lost > 0 && share(lost) / share(counted) > threshold {
            return Err(TooMany { lost, counted, threshold });
        }
        Ok(())
    }
}

/// What PaaSTA's own clean-up says: names of which the tasks were killed or not, and of jobs that were
/// removed or not.
#[must_use]
pub fn as_before(tasks: &[(String, bool)], jobs: &[(String, bool)]) -> String {
    if jobs.is_empty() {
        return "No Chronos Jobs to remove\n".to_owned();
    }
    let mut text = String::new();
    for (title, of, is_done) in [
        ("Successfully Removed Tasks (if any were running) for:", tasks, true),
        ("Failed to Delete Tasks for:", tasks, false),
        ("Successfully Removed Jobs:", jobs, true),
        ("Failed to Delete Jobs:", jobs, false),
    ] {
        let names: String = of
            .iter()
            .filter(|(_, done)| *done == is_done)
            .map(|(name, _)| format!("  {name}\n"))
            .collect();
        if !names.is_empty() {
            text.push_str(&format!("{title}\n{names}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
