use proptest::prelude::*;

use crate::schedule::due_after;

fn due(schedule: &str, zone: &str, last: &str) -> String {
    let due = due_after(schedule, Some(zone), last.parse().unwrap());
    due.map(|due| due.to_string()).unwrap_or_default()
}

#[test]
fn a_day_is_as_long_as_the_clocks_of_its_zone_make_it() {
    // A run at three o'clock that ended at five past three, and when the next one should have.
    for (zone, last, next) in [
        // Put back.
        ("America/Los_Angeles", "2018-11-03T10:05:00Z", "2018-11-04T11:05:00Z"),
        ("Europe/Paris", "2018-10-27T01:05:00Z", "2018-10-28T02:05:00Z"),
        ("Australia/Sydney", "2018-03-30T16:05:00Z", "2018-03-31T17:05:00Z"),
        // By half an hour only.
        ("Australia/Lord_Howe", "2018-03-30T16:05:00Z", "2018-03-31T16:35:00Z"),
        // Put forward.
        ("America/Los_Angeles", "2018-03-10T11:05:00Z", "2018-03-11T10:05:00Z"),
        ("Europe/Paris", "2018-03-24T02:05:00Z", "2018-03-25T01:05:00Z"),
        ("Australia/Sydney", "2018-10-05T17:05:00Z", "2018-10-06T16:05:00Z"),
        // Never changed.
        ("Asia/Kolkata", "2018-11-03T21:35:00Z", "2018-11-04T21:35:00Z"),
        ("UTC", "2018-11-03T03:05:00Z", "2018-11-04T03:05:00Z"),
    ] {
        for schedule in ["0 3 * * *", "R/2015-01-01T03:00:00Z/P1D", "R/2015-01-01T03:00:00Z/P1DT0S"]
        {
            assert_eq!(due(schedule, zone, last), next, "{schedule} in {zone}");
        }
    }
    // Hours are hours.
    let by_hours = due("R/2015-01-01T03:00:00Z/PT24H", "Europe/Paris", "2018-10-27T01:05:00Z");
    assert_eq!(by_hours, "2018-10-28T01:05:00Z");
    let weekly = due("R/2015-01-01T03:00:00Z/P1W", "Europe/Paris", "2018-10-27T01:05:00Z");
    assert_eq!(weekly, "2018-11-03T02:05:00Z");
}

#[test]
fn an_hour_that_is_skipped_or_comes_twice_makes_nobody_late() {
    for (schedule, last, next) in [
        // There is no half past two on that day: only the one of the next day counts.
        ("30 2 * * *", "2018-03-10T10:35:00Z", "2018-03-12T09:35:00Z"),
        // Half past one comes twice: the second one counts, whichever it ran at.
        ("30 1 * * *", "2018-11-03T08:35:00Z", "2018-11-04T09:35:00Z"),
        ("30 1 * * *", "2018-11-04T08:35:00Z", "2018-11-05T09:35:00Z"),
        ("30 1 * * *", "2018-11-04T09:35:00Z", "2018-11-05T09:35:00Z"),
        // Every hour: what is between the two is not counted on.
        ("0 * * * *", "2018-11-04T07:05:00Z", "2018-11-04T09:05:00Z"),
        ("0 * * * *", "2018-11-04T09:05:00Z", "2018-11-04T10:05:00Z"),
        ("0 * * * *", "2018-03-11T09:05:00Z", "2018-03-11T10:05:00Z"),
    ] {
        assert_eq!(due(schedule, "America/Los_Angeles", last), next, "{schedule} after {last}");
    }
}

#[test]
fn what_runs_on_some_days_is_due_on_the_next_of_these() {
    for (schedule, last, next) in [
        // A Friday and a Monday.
        ("0 9 * * 1-5", "2018-03-16T09:05:00Z", "2018-03-19T09:05:00Z"),
        ("0 9 * * 1-5", "2018-03-19T09:05:00Z", "2018-03-20T09:05:00Z"),
        ("0 9,10 * * *", "2018-03-19T09:05:00Z", "2018-03-19T10:05:00Z"),
        ("0 9 1,15 * 0", "2018-03-15T09:05:00Z", "2018-03-18T09:05:00Z"),
        ("0 0 31 12 *", "2018-12-31T00:10:00Z", "2019-12-31T00:10:00Z"),
        ("0 0 29 2 *", "2018-12-31T00:10:00Z", ""),
        ("0 0 30 2 *", "2018-12-31T00:10:00Z", ""),
        ("@daily", "2018-12-31T00:10:00Z", ""),
        ("R/2015-01-01T03:00:00Z/P1M", "2018-12-31T00:10:00Z", ""),
        ("R/2015-01-01T03:00:00Z/PT0S", "2018-12-31T00:10:00Z", ""),
        ("R/2015-01-01T03:00:00Z/P1.5D", "2018-12-31T00:10:00Z", "2019-01-01T12:10:00Z"),
        ("soon", "2018-12-31T00:10:00Z", ""),
    ] {
        assert_eq!(due(schedule, "UTC", last), next, "{schedule} after {last}");
    }
}

proptest! {
    /// By a day, or by two where the clock of one never says that time.
    #[test]
    fn it_is_due_later_whatever_the_clocks_do(
        second in 1_262_304_000_i64..1_893_456_000,
        hour in 0..24_u8,
        minute in 0..60_u8,
        zone in prop::sample::select(vec!["Europe/Paris", "America/Los_Angeles", "Australia/Lord_Howe",
            "America/Sao_Paulo", "Asia/Tehran", "UTC"]),
    ) {
        let last = jiff::Timestamp::from_second(second).unwrap();
        for schedule in [format!("{minute} {hour} * * *"), "R/2015-01-01T03:00:00Z/P1D".to_owned()] {
            let due = due_after(&schedule, Some(zone), last).unwrap();
            let hours = due.duration_since(last).as_secs_f64() / 3600.0;
            prop_assert!((22.9..=49.1).contains(&hours), "{hours} after {last} in {zone}: {schedule}");
        }
    }
}
