//! Verdicts on the `schedule` of Chronos jobs.

use soa_configs::schedule::{Schedule, interval_seconds};

use crate::cases;

#[test]
fn golden_schedules_are_judged_as_paasta_judges_them() {
    let file = cases::json(&cases::kind("chronos-schedules").join("schedules.json"));
    let now = file["now"].as_str().unwrap().parse().unwrap();
    let mut wrong = Vec::new();
    for case in cases::list(&file["cases"]) {
        let text = case["schedule"].as_str().unwrap();
        let parsed = Schedule::parse(text);
        let verdict = if parsed.is_ok() { "valid" } else { "invalid" };
        if !cases::list(&case["accept"]).iter().any(|accepted| accepted == verdict) {
            wrong.push(format!("{text:?} is {verdict}"));
        }
        // Where the original aborted, its message is that of its language.
        if let (Err(error), Some("invalid")) = (&parsed, case["verdict"].as_str()) {
            let ours = error.to_string();
            let first = ours.lines().next().unwrap_or_default();
            if Some(first) != case["message_first_line"].as_str() {
                wrong.push(format!("{text:?}: {first}"));
            }
        }
        let seconds = interval_seconds(text, case["schedule_time_zone"].as_str(), now);
        if seconds != case["interval_seconds"].as_f64() {
            wrong.push(format!("{text:?}: {seconds:?} s, expected {}", case["interval_seconds"]));
        }
    }
    cases::assert_none(&wrong);
}
