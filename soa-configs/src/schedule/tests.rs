use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// What PaaSTA's libraries make of these texts, written by `tests/tables/make_schedules.py`.
const TABLE: &str = include_str!("../../tests/tables/schedules.json");

fn table(part: &str) -> Vec<Json> {
    let table: Json = serde_json::from_str(TABLE).unwrap();
    let rows = table[part].as_array().unwrap().clone();
    assert!(rows.len() > 30, "{part}");
    rows
}

#[test]
fn what_is_cron_is_decided_as_paasta_does() {
    for row in table("cron") {
        let text = row["text"].as_str().unwrap();
        assert_eq!(Cron::parse(text).is_some(), row["valid"].as_bool().unwrap(), "{text:?}");
    }
}

#[test]
fn the_time_between_runs_is_that_of_the_original() {
    let mut compared = 0;
    for row in table("cron") {
        let text = row["text"].as_str().unwrap();
        let (Some(now), false) = (row["now"].as_str(), text.contains(['<', '>'])) else { continue };
        let ours = interval_seconds(text, row["zone"].as_str(), now.parse().unwrap());
        assert_eq!(ours, row["interval"].as_f64(), "{text:?} at {now}");
        compared += 1;
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn what_is_a_start_or_an_interval_is_decided_as_paasta_does() {
    for row in table("start") {
        let text = row["text"].as_str().unwrap();
        assert_eq!(start::parse(text).is_ok(), row["valid"].as_bool().unwrap(), "{text:?}");
    }
    for row in table("duration") {
        let text = row["text"].as_str().unwrap();
        let ours = Duration::parse(text);
        assert_eq!(ours.map(|d| d.seconds), row["value"]["seconds"].as_f64(), "{text:?}");
        let dated = ours.map(|d| d.has_years_or_months);
        assert_eq!(dated, row["value"]["dated"].as_bool(), "{text:?}");
    }
}

fn never(text: &str) -> bool {
    Schedule::parse(text).unwrap().never_fires().is_some()
}

#[test]
fn a_schedule_that_never_fires_is_found_out() {
    for text in
        ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "5-1 * * * *", "R0/2014-10-10T00:00Z/P1D"]
    {
        assert!(never(text), "{text}");
    }
    for text in
        ["0 0 29 2 *", "0 0 31 2 1", "0 0 31 4,5 *", "* * * * *", "@daily", "R/2014-10-10T00Z/P1D"]
    {
        assert!(!never(text), "{text}");
    }
}

#[test]
fn all_faults_of_an_interval_are_told_at_once() {
    let faults = Schedule::parse("r//PT1S").unwrap_err().0;
    assert_eq!(
        faults,
        [
            "The specified schedule \"r//PT1S\" does not contain a start time",
            "Unsupported interval \"PT1S\": jobs must be run at an interval of > 60 seconds",
            "The specified repeat \"r\" in schedule \"r//PT1S\" does not conform to the ISO 8601 format.",
        ]
    );
    assert!(Schedule::parse("").is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in prop_oneof![
            "\\PC{0,40}",
            "[0-9*,/<>-]{1,5}( [0-9*,/a-zA-Z-]{1,5}){4}",
            "[R0-9]{0,4}/[0-9WTZ:.,+-]{0,25}/[P0-9TYMWDHS.,-]{0,12}",
        ],
        second in -62_135_596_800_i64..253_402_207_200,
    ) {
        let now = Timestamp::from_second(second).unwrap();
        let seconds = interval_seconds(&text, Some("Europe/Paris"), now);
        prop_assert!(seconds.is_none_or(|seconds| !seconds.is_nan()));
        let never = Schedule::parse(&text).ok().and_then(|schedule| schedule.never_fires());
        prop_assert!(never.is_none_or(|reason| !reason.is_empty()));
    }
}

#[test]
fn a_start_that_is_none_is_told_in_the_words_of_the_old_library() {
    for (start, detail) in [
        (
            "2015-01-01",
            "ISO 8601 time designator 'T' missing. Unable to parse datetime string '2015-01-01'",
        ),
        ("1-1-1T00:00:00Z", "Unrecognised ISO 8601 date format: '1-1-1'"),
        ("2015-01-01T9:00", "Unrecognised ISO 8601 time format: '9:00'"),
        ("2015-01-01Tnoon's", "Unrecognised ISO 8601 time format: \"noon's\""),
        ("2015-02-30T00:00:00Z", "it does not exist"),
    ] {
        let error = Schedule::parse(&format!("R/{start}/PT1H")).unwrap_err().to_string();
        assert_eq!(error.lines().nth(1), Some(detail), "{start}");
    }
}
