//! How the jobs of an instance stand, in the words of `paasta status` (chronos-sync.md §12).
//!
//! Pure.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{LastRun, Listed, Starts};

/// What is deployed of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub git_sha: String,
    /// It is stopped, or disabled in soa-configs.
    pub is_disabled: bool,
}

impl Wish {
    /// `image` is that of the deployment, whose tag ends with the sha.
    #[must_use]
    pub fn new(image: &str, is_disabled: bool) -> Self {
        let sha = image.rsplit_once("paasta-").map_or(image, |(_, sha)| sha);
        Self { git_sha: sha.to_owned(), is_disabled }
    }
}

/// What is said of an instance of which nothing is deployed.
pub const UNDEPLOYED: &str = "Git sha:    None (not deployed yet)\n";

/// `jobs` are those that Chronos has of the instance, reruns too, each with what it does at the moment; times are
/// shown by the clock of `zone`.
#[must_use]
pub fn text(
    wish: &Wish,
    jobs: &[(&Listed, Option<&str>)],
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let sha: String = wish.git_sha.chars().take(8).collect();
    let desired = if wish.is_disabled { "Disabled" } else { "Scheduled" };
    let mut text = format!("Git sha:    {sha} (desired)\nDesired:    {desired}\n");
    if jobs.is_empty() {
        text.push_str("Warning: chronos job is not set up yet\n");
    }
    let mut jobs = jobs.to_vec();
    // The one that ran last first, as it counts.
    jobs.sort_by_key(|(job, _)| Reverse(job.past.last_run().map(|run| run.at)));
    for (job, state) in jobs {
        text.push_str(&of_job(job, state, now, zone));
    }
    text
}

fn of_job(job: &Listed, state: Option<&str>, now: Timestamp, zone: &TimeZone) -> String {
    let of_rerun = |name: super::JobName| {
        let by = if name.is_temporary() { " (Launched by paasta rerun)" } else { "" };
        format!("{} {}{by}", name.service, name.instance)
    };
    let name = job.paasta_name().map_or_else(|| job.name.clone(), of_rerun);
    let scheduled = if job.is_disabled { "Not scheduled" } else { "Scheduled" };
    let (last, when) = last(job.past.last_run(), now, zone);
    let running = if state == Some("running") { "Running" } else { "Not running" };
    format!(
        "Job:     {name}\n  \
         Status:   {scheduled} ({})  Last:     {last} ({when})\n  {}\n  \
         Command:  {}\n  \
         Mesos:    {running}\n",
        state.unwrap_or("unknown"),
        starts(job),
        job.details.command,
    )
}

fn starts(job: &Listed) -> String {
    let or = |text: &str, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
    };
    let details = &job.details;
    match &job.starts {
        Starts::Schedule => format!(
            "Schedule: {} ({}) Epsilon: {}",
            details.schedule,
            or(&details.zone, "UTC"),
            or(&details.epsilon, "unknown"),
        ),
        Starts::Parents(parents) => {
            let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
            format!("Parents:  {}", parents.join(", "))
        }
        Starts::Unknown => "Schedule: unknown".to_owned(),
    }
}

fn last(run: Option<LastRun>, now: Timestamp, zone: &TimeZone) -> (&'static str, String) {
    let Some(LastRun { at, is_success }) = run else { return ("New", "never".to_owned()) };
    let time = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string();
    let last = if is_success { "OK" } else { "Failed" };
    (last, format!("{time}, {}", ago(now.duration_since(at))))
}

/// Roughly.
fn ago(age: SignedDuration) -> String {
    let (count, unit) = match age.as_secs() {
        ..1 => return "now".to_owned(),
        seconds @ 1..60 => (seconds, "second"),
        seconds @ 60..3600 => (seconds / 60, "minute"),
        seconds @ 3600..86_400 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    let article = if unit == "hour" { "an" } else { "a" };
    if count == 1 { format!("{article} {unit} ago") } else { format!("{count} {unit}s ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "services-paasta-web:paasta-0123456789abcdef0123456789abcdef01234567";

    fn shown(jobs: &str, states: &[Option<&str>], is_disabled: bool) -> String {
        let listed = Listed::parse(jobs.as_bytes()).unwrap();
        let jobs: Vec<_> = listed.iter().zip(states.iter().copied()).collect();
        let now = "2018-03-14T09:05:07Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Paris").unwrap();
        text(&Wish::new(IMAGE, is_disabled), &jobs, now, &zone)
    }

    #[test]
    fn a_job_and_its_reruns_are_shown_the_one_that_ran_last_first() {
        let jobs = r#"[
            {"name": "web job", "command": "run it", "schedule": "0 3 * * *", "scheduleTimeZone": "",
             "epsilon": "PT60S", "lastError": "2018-03-14T03:00:00.000Z"},
            {"name": "tmp-2018-03-14T080000 web job", "command": "run it", "disabled": true,
             "schedule": "R0/2018-03-14T08:00:00.000Z/PT1M", "scheduleTimeZone": "Asia/Tokyo",
             "lastSuccess": "2018-03-14T09:04:00.000Z"}
        ]"#;
        let expected = "\
Git sha:    01234567 (desired)
Desired:    Scheduled
Job:     web job (Launched by paasta rerun)
  Status:   Not scheduled (running)  Last:     OK (2018-03-14T10:04, a minute ago)
  Schedule: R0/2018-03-14T08:00:00.000Z/PT1M (Asia/Tokyo) Epsilon: unknown
  Command:  run it
  Mesos:    Running
Job:     web job
  Status:   Scheduled (idle)  Last:     Failed (2018-03-14T04:00, 6 hours ago)
  Schedule: 0 3 * * * (UTC) Epsilon: PT60S
  Command:  run it
  Mesos:    Not running
";
        assert_eq!(shown(jobs, &[Some("idle"), Some("running")], false), expected);
    }

    #[test]
    fn a_child_that_never_ran_and_a_job_that_is_not_there_are_shown() {
        let jobs = r#"[{"name": "web job", "command": "x", "parents": ["web b", "web a"]}]"#;
        let expected = "\
Git sha:    01234567 (desired)
Desired:    Disabled
Job:     web job
  Status:   Scheduled (unknown)  Last:     New (never)
  Parents:  web a, web b
  Command:  x
  Mesos:    Not running
";
        assert_eq!(shown(jobs, &[None], true), expected);
        let absent = shown("[]", &[], false);
        assert!(absent.ends_with("\nWarning: chronos job is not set up yet\n"), "{absent}");
    }

    #[test]
    fn ages_are_told_roughly() {
        for (seconds, text) in [
            (-5, "now"),
            (1, "a second ago"),
            (119, "a minute ago"),
            (3600, "an hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "a day ago"),
            (40 * 86_400, "40 days ago"),
        ] {
            assert_eq!(ago(SignedDuration::from_secs(seconds)), text);
        }
    }
}
