use super::*;

fn listed(past: &str) -> Listed {
    let job = format!(r#"[{{"name": "s j", "lastSuccess": "{past}", "disabled": false}}]"#);
    Listed::parse(job.as_bytes()).unwrap().remove(0)
}

#[test]
fn a_long_run_is_not_stuck_before_it_took_longer_than_usual() {
    let now: Timestamp = "2018-03-14T09:00:00Z".parse().unwrap();
    let schedule = Some("R/2015-01-01T00:00:00Z/PT1H");
    let interval = Interval::of(schedule, None, now);
    let name = JobName::new("s", "j");
    let asked =
        Asked { name: &name, cluster: "c", is_disabled: false, schedule, zone: None, interval };
    let job = listed("2018-03-14T06:30:00.000Z");
    let status = |run_time: Option<i64>| {
        let run_time = run_time.map(SignedDuration::from_mins);
        judge(&asked, Some(&job), run_time, now).unwrap().status
    };
    assert!(depends_on_run_time(&asked, &job, now));
    assert_eq!(status(None), Status::Critical);
    assert_eq!(status(Some(89)), Status::Critical);
    assert_eq!(status(Some(91)), Status::Ok);
    assert!(!depends_on_run_time(&asked, &listed("2018-03-14T08:30:00.000Z"), now));
    let text = judge(&asked, Some(&job), None, now).unwrap().output;
    assert!(text.contains("(UTC) hasn't run since 2018-03-14 06:30:00+00:00, "), "{text}");
}

/// Whether a job is stuck that usually runs ten minutes.
fn is_late(schedule: &str, zone: Option<&str>, last: &str, now: &str) -> bool {
    let now: Timestamp = now.parse().unwrap();
    let name = JobName::new("s", "j");
    let (schedule, is_disabled) = (Some(schedule), false);
    let interval = Interval::of(schedule, zone, now);
    let asked = Asked { name: &name, cluster: "c", is_disabled, schedule, zone, interval };
    let run_time = Some(SignedDuration::from_mins(10));
    judge(&asked, Some(&listed(last)), run_time, now).unwrap().status == Status::Critical
}

#[test]
fn the_nights_in_which_clocks_are_changed_make_no_job_stuck() {
    // The day before, the last minute in which all is well, and the first one in which it is stuck.
    for (zone, last, well, late) in [
        ("America/Los_Angeles", "2018-11-03T10:05:00Z", "2018-11-04T11:15", "2018-11-04T11:16"),
        ("Europe/Paris", "2018-10-27T01:05:00Z", "2018-10-28T02:15", "2018-10-28T02:16"),
        ("Australia/Sydney", "2018-03-30T16:05:00Z", "2018-03-31T17:15", "2018-03-31T17:16"),
        ("America/Los_Angeles", "2018-03-10T11:05:00Z", "2018-03-11T10:15", "2018-03-11T10:16"),
        ("Europe/Paris", "2018-03-24T02:05:00Z", "2018-03-25T01:15", "2018-03-25T01:16"),
        ("Australia/Sydney", "2018-10-05T17:05:00Z", "2018-10-06T16:15", "2018-10-06T16:16"),
        ("UTC", "2018-11-03T03:05:00Z", "2018-11-04T03:15", "2018-11-04T03:16"),
    ] {
        for schedule in ["0 3 * * *", "R/2015-01-01T03:00:00Z/P1D"] {
            let is_late = |now: &str| is_late(schedule, Some(zone), last, &format!("{now}:00Z"));
            assert_eq!((is_late(well), is_late(late)), (false, true), "{schedule} in {zone}");
        }
    }
}

#[test]
fn a_job_of_working_days_is_not_stuck_on_a_monday_morning() {
    let is_late = |now| is_late("0 9 * * 1-5", None, "2018-03-16T09:05:00Z", now);
    for now in ["2018-03-17T12:00:00Z", "2018-03-19T08:59:00Z", "2018-03-19T09:03:00Z"] {
        assert!(!is_late(now), "{now}");
    }
    assert!(is_late("2018-03-19T09:16:00Z"));
}
