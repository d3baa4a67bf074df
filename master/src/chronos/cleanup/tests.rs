use super::*;

fn listed(jobs: &[(&str, &str)]) -> Vec<Listed> {
    let entry = |(name, more): &(&str, &str)| {
        format!(r#"{{"name": "{name}", "description": "config01234567"{more}}}"#)
    };
    let jobs: Vec<String> = jobs.iter().map(entry).collect();
    Listed::parse(format!("[{}]", jobs.join(",")).as_bytes()).unwrap()
}

fn now() -> Timestamp {
    "2018-03-14T09:00:00Z".parse().unwrap()
}

/// Instances that begin with `old` are gone, those that begin with `x` cannot be read.
fn standing(name: &JobName) -> Standing {
    match name.instance.as_bytes().first() {
        Some(b'o') => Standing::Gone,
        Some(b'x') => Standing::Unknown,
        _ => Standing::Stands { interval: Some(SignedDuration::from_hours(48)) },
    }
}

fn names<'l>(found: &Stale<'l>) -> Vec<&'l str> {
    found.jobs.iter().map(|job| job.name.as_str()).collect()
}

#[test]
fn what_paasta_never_made_and_what_nobody_can_read_stays() {
    let mut jobs =
        listed(&[("s job", ""), ("s old", ""), ("s x", ""), ("weird", ""), ("my old", "")]);
    jobs[4].description = "of my own".to_owned();
    let found = stale(&jobs, standing, Rules::Safe, now());
    assert_eq!(
        (names(&found), found.foreign.as_slice()),
        (vec!["s old"], &["weird", "my old"][..])
    );
    assert_eq!((found.lost, found.counted), (1, 3));
    assert!(found.within(0.3).is_err() && found.within(0.34).is_ok());
    let before = stale(&jobs, standing, Rules::AsBefore, now());
    assert_eq!((before.jobs.len(), before.foreign.len()), (3, 0));
}

#[test]
fn a_rerun_goes_when_its_own_time_is_over() {
    let ran = |days: i64| {
        let at = now() - SignedDuration::from_hours(24 * days + 1);
        format!(r#", "lastError": "{at}""#)
    };
    let (one, two, three) = (ran(0), ran(1), ran(2));
    let jobs = listed(&[
        ("tmp-1 s job", &two),
        ("tmp-2 s job", &three),
        ("tmp-3 s job", ""),
        ("tmp-4 s old", &one),
        ("tmp-5 s old", &two),
        ("tmp-6 s old", ""),
        ("tmp-7 s x", &three),
        ("tmpsvc job", &three),
    ]);
    let found = stale(&jobs, standing, Rules::Safe, now());
    assert_eq!(names(&found), ["tmp-5 s old", "tmp-2 s job"]);
    assert_eq!((found.lost, found.counted), (0, 1));
    assert!(found.within(0.0).is_ok());
    let before = stale(&jobs, standing, Rules::AsBefore, now());
    assert_eq!(before.jobs.len(), 6);
}

#[test]
fn children_go_first_and_the_parent_of_one_that_stays_stays() {
    let jobs = listed(&[
        ("s old1", ""),
        ("s old2", r#", "parents": ["s old1"]"#),
        ("s old3", ""),
        ("s old4", r#", "parents": ["s old3"]"#),
        ("s job", r#", "parents": ["s old4"]"#),
    ]);
    let found = stale(&jobs, standing, Rules::Safe, now());
    assert_eq!(names(&found), ["s old2", "s old1"]);
    assert_eq!(found.needed, [("s old4", "s job"), ("s old3", "s old4")]);
    assert_eq!(stale(&jobs, standing, Rules::AsBefore, now()).jobs.len(), 4);
}

#[test]
fn a_rerun_that_went_ends_no_alarm_of_a_job_that_stays() {
    let jobs = listed(&[
        ("s job", ""),
        ("tmp-1 s job", ""),
        ("tmp-1 s x", ""),
        ("s old1", ""),
        ("tmp-1 s old1", ""),
        ("tmp-2 s old1", ""),
        ("tmp-1 s old2", ""),
        ("tmp-2 s old2", ""),
        ("s old3", ""),
        ("tmp-1 s old3", ""),
        ("weird", ""),
    ]);
    let all: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let names = |removed: &[&str]| -> Vec<String> {
        over(&jobs, removed, standing).into_iter().map(|name| name.to_string()).collect()
    };
    assert_eq!(names(&["tmp-1 s job", "tmp-1 s x", "weird"]), [""; 0]);
    // Its job could not be removed, or is the parent of another one.
    assert_eq!(names(&["tmp-1 s old1", "tmp-2 s old1"]), [""; 0]);
    assert_eq!(names(&["s old1", "tmp-1 s old2"]), ["s old1", "s old2"]);
    assert_eq!(names(&all), ["s old1", "s old2", "s old3"]);
}
