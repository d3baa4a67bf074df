//! How long the daemon waits.

use std::time::Duration;

use paasta_master::daemon::queue::{back_off, spacing};

use crate::cases;

#[test]
fn golden_waits_are_the_same() {
    let file = cases::json(&cases::kind("marathon").join("functions/deployd.json"));
    for case in cases::list(&file["exponential_back_off"]) {
        // The daemon knows one base and one limit.
        assert_eq!((&case["base"], &case["max_time"]), (&2.into(), &6000.into()));
        let whole = |key: &str| case[key].as_u64().unwrap();
        let (factor, failures) =
            (whole("factor").try_into().unwrap(), whole("failures").try_into().unwrap());
        assert_eq!(back_off(factor, failures), Duration::from_secs(whole("expected")), "{case}");
    }
    for case in cases::list(&file["rate_limit"]) {
        let step = spacing(case["number_per_minute"].as_f64().unwrap());
        assert_eq!(Some(step.as_secs()), case["time_step"].as_u64(), "{case}");
    }
}
