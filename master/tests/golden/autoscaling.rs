//! How many tasks an autoscaled instance gets.

use paasta_master::autoscaling::{
    Load,
    history::History,
    policy::{Autoscaling, PidState, Policy, Proportional},
};
use proptest::prelude::*;
use serde_json::Value;
use soa_configs::yaml;

use crate::cases;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_loads_are_scaled_as_paasta_scales_them() {
    let file = cases::json(&cases::kind("marathon").join("functions/autoscaling.json"));
    let mut wrong = Vec::new();
    for case in cases::list(&file) {
        let (name, expected) = (&case["name"], &case["expected"]);
        let whole = |key: &str| case[key].as_i64().unwrap();
        let number = |key: &str| case[key].as_f64().unwrap();
        let map = yaml::parse(&case["autoscaling"].to_string()).unwrap();
        let autoscaling = Autoscaling::read(map.as_map().unwrap()).unwrap();
        let mut history = History::default();
        for pair in case["historical_load"].as_array().unwrap() {
            history.push(pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap());
        }
        let load = Load {
            current: whole("current_instances"),
            min: whole("min_instances"),
            max: whole("max_instances"),
            healthy: usize::try_from(whole("num_healthy_instances")).unwrap(),
            utilization: number("utilization"),
            setpoint: autoscaling.setpoint,
            now: number("now"),
        };
        let scaled = load.scaled(&autoscaling.policy, history, PidState::default());
        let saved = scaled.history.map(|history| hex(&history.bytes()));
        let ours = (load.error(), scaled.to, load.in_words(), saved);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let theirs = (
            expected["error"].as_f64().unwrap(),
            expected["new_instance_count"].as_i64(),
            text(&expected["humanized_error"]).unwrap(),
            text(&expected["saved_historical_load_hex"]),
        );
        if ours != theirs {
            wrong.push(format!("{name}: {ours:?}\nexpected {theirs:?}"));
        }
        for (running, is_unsettled) in expected["data_insufficient_if_running"].as_object().unwrap()
        {
            if load.is_unsettled(running.parse().unwrap()) != is_unsettled.as_bool().unwrap() {
                wrong.push(format!("{name}: with {running} running, expected {is_unsettled}"));
            }
        }
    }
    cases::assert_none(&wrong);
}

proptest! {
    /// Whatever is measured and remembered: within the limits, and never down by much at once.
    #[test]
    fn counts_stay_within_their_limits(
        (min, max) in (0..50_i64, 0..200_i64).prop_map(|(min, more)| (min, min + more)),
        current in 1..300_i64,
        healthy in 0..300_usize,
        utilization in prop_oneof![0.0..100.0_f64, any::<f64>()],
        setpoint in 0.01..2.0_f64,
        times in prop::collection::vec((0.0..2e9_f64, 0.0..1e6_f64), 0..5),
        which in 0..3_usize,
    ) {
        let forecast = paasta_master::autoscaling::forecast::Forecast::Linear {
            window: 600.0, ahead: vec![60.0, 600.0], default_slope: 0.0,
        };
        let policies = [
            Policy::Threshold,
            Policy::Pid,
            Policy::Proportional(Proportional { offset: 0.0, forecast, good_enough: None }),
        ];
        let mut history = History::default();
        times.into_iter().for_each(|(time, load)| history.push(time, load));
        let load = Load { current, min, max, healthy, utilization, setpoint, now: 1.5e9 };
        let pid = PidState { iterm: 0.5, last_error: -0.5, last_time: 1.4e9 };
        let to = load.scaled(&policies[which], history, pid).to.unwrap();
        prop_assert!((min..=max).contains(&to), "{load:?} {to}");
        // In double precision 0.7 of 90 are less than 63.
        prop_assert!(to >= (current * 7 / 10 - 1).min(max), "{load:?} {to}");
    }
}
