//! How the last run of a job went, and whether it is stuck (chronos-sync.md §10 and §11).
//!
//! Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use soa_configs::{
    schedule,
    yaml::{Int, Map, Node, Value},
};

use super::{Interval, JobName, Listed, interval::hours_and_minutes};
use crate::events::Status;

/// A job as soa-configs have it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub name: &'a JobName,
    pub cluster: &'a str,
    pub is_disabled: bool,
    pub schedule: Option<&'a str>,
    pub zone: Option<&'a str>,
    /// From run to run. `None`: it is not known.
    pub interval: Option<Interval>,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub status: Status,
    pub output: String,
}

/// The job that counts for each instance: of the job itself and its reruns, the one that ran last. So a
/// rerun that went well ends the alarm.
#[must_use]
pub fn newest(listed: &[Listed]) -> BTreeMap<JobName, &Listed> {
    let last = |job: &Listed| job.past.last_run().map(|run| run.at);
    let mut newest: BTreeMap<JobName, &Listed> = BTreeMap::new();
    for job in listed {
        let Some(name) = job.paasta_name() else { continue };
        let best = newest.entry(JobName { prefix: None, ..name }).or_insert(job);
        // Of those that ran never, the first.
        if last(job) > last(best) {
            *best = job;
        }
    }
    newest
}

/// When it should have ended again, if it ran as long as the last time. Counted from its last run: the
/// [`Interval`] is that around now, and wrong in a night in which clocks are changed and after a weekend.
fn overdue(asked: &Asked<'_>, job: &Listed) -> Option<Timestamp> {
    asked.interval?;
    schedule::due_after(asked.schedule?, asked.zone, job.past.last_run()?.at)
}

/// Whether it matters how long the job usually runs.
#[must_use]
pub fn depends_on_run_time(asked: &Asked<'_>, job: &Listed, now: Timestamp) -> bool {
    !is_ignored(job) && overdue(asked, job).is_some_and(|end| end < now)
}

/// Of a job that is switched off, nothing is expected; a rerun was asked for.
fn is_ignored(job: &Listed) -> bool {
    job.is_disabled && !job.paasta_name().is_some_and(|name| name.is_temporary())
}

/// `run_time` is how long 99 of 100 runs take at most; if it is not known, the time from run to run is allowed
/// for.
/// `None`: it never ran, and nothing is told.
#[must_use]
pub fn judge(
    asked: &Asked<'_>,
    job: Option<&Listed>,
    run_time: Option<SignedDuration>,
    now: Timestamp,
) -> Option<Finding> {
    let name = asked.name.dotted();
    let ignored = || {
        let output = format!("Job {name} is disabled - ignoring status.");
        Some(Finding { status: Status::Ok, output })
    };
    let Some(job) = job else {
        if asked.is_disabled {
            return ignored();
        }
        let output = format!(
            "Warning: {name} isn't in chronos at all, which means it may not be deployed yet"
        );
        return Some(Finding { status: Status::Warning, output });
    };
    if is_ignored(job) {
        return ignored();
    }
    if is_stuck(asked, job, run_time, now) {
        return Some(Finding { status: Status::Critical, output: stuck(asked, job) });
    }
    let run = job.past.last_run()?;
    Some(if run.is_success {
        let output = format!("Last run of job {name} Succeded");
        Finding { status: Status::Ok, output }
    } else {
        Finding { status: Status::Critical, output: failed(asked) }
    })
}

fn is_stuck(
    asked: &Asked<'_>,
    job: &Listed,
    run_time: Option<SignedDuration>,
    now: Timestamp,
) -> bool {
    let (Some(end), Some(last)) = (overdue(asked, job), job.past.last_run()) else { return false };
    let allowed = run_time.unwrap_or_else(|| end.duration_since(last.at));
    // It is late by now, and even so long a run would be over.
    end < now && end.checked_add(allowed).is_ok_and(|end| end < now)
}

fn stuck(asked: &Asked<'_>, job: &Listed) -> String {
    let Asked { name, schedule, zone, interval, .. } = asked;
    let at = job.past.last_run().map_or(Timestamp::UNIX_EPOCH, |run| run.at);
    format!(
        "Job {} with schedule {} ({}) hasn't run since {}, and is configured to run every {}.\n\n\
         You can view the logs for the job with:\n\n    {}\n\n",
        name.dotted(),
        schedule.unwrap_or("None"),
        zone.unwrap_or("UTC"),
        moment(at, *zone),
        interval.map(Interval::text).unwrap_or_default(),
        logs(asked),
    )
}

/// In its zone when one is named, else in UTC with a blank.
fn moment(at: Timestamp, zone: Option<&str>) -> String {
    let known = zone.and_then(|name| TimeZone::get(name).ok());
    let (zone, between) = known.map_or((TimeZone::UTC, ' '), |zone| (zone, 'T'));
    let local: Zoned = at.to_zoned(zone);
    let micros = local.subsec_nanosecond() / 1000;
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let (date, time) = (local.strftime("%Y-%m-%d"), local.strftime("%H:%M:%S"));
    format!("{date}{between}{time}{fraction}{}", local.strftime("%:z"))
}

fn logs(asked: &Asked<'_>) -> String {
    let JobName { service, instance, .. } = asked.name;
    format!("paasta logs -s {service} -i {instance} -c {}", asked.cluster)
}

fn failed(asked: &Asked<'_>) -> String {
    let JobName { service, instance, .. } = asked.name;
    let of = format!("-s {service} -i {instance} -c {}", asked.cluster);
    // Word for word, as people search for it.
    format!(
        "Last run of job {} failed.\n\
         You can view the logs for the job with:\n\n    {}\n\n\
         If your job didn't manage to start up, you can view the stdout and stderr of your job using:\n\n    \
         paasta status {of} -vv\n\n\
         If you need to rerun your job for the datetime it was started, you can do so with:\n\n    \
         paasta rerun {of} -d {{datetime}}\n\n\
         See the docs on paasta rerun here:\n\
         https://paasta.readthedocs.io/en/latest/workflow.html#re-running-failed-jobs for more details.",
        asked.name.dotted(),
        logs(asked),
    )
}

/// How often people are reminded, if the instance does not say it, goes to the overrides; how often they
/// are goes to the output.
#[must_use]
pub fn remind(finding: Finding, overrides: &mut Map, interval: Option<Interval>) -> Finding {
    let (minutes, is_float) = match (overrides.get("realert_every"), interval) {
        (Some(written), _) => match whole(written) {
            Some(minutes) => (minutes, false),
            None => return finding,
        },
        (None, None) => (-1.0, false),
        (None, Some(interval)) => interval.reminder(),
    };
    if overrides.get("realert_every").is_none() {
        // Of an integral float there is no checked conversion.
        let number: i64 = format!("{minutes:.0}").parse().unwrap_or(-1);
        overrides.set("realert_every", Node::made(number));
    }
    if minutes == -1.0 {
        return finding;
    }
    let every = hours_and_minutes(minutes, is_float);
    let output = format!("{}\n\nThis check realerts every {every}.", finding.output);
    Finding { output, ..finding }
}

fn whole(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Int(Int::Small(_)) => node.as_f64(),
        Value::Text(text) => text.trim().parse::<i32>().ok().map(f64::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
