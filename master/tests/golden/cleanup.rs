//! Which apps are nobody's.

use paasta_master::cleanup::stale;

use crate::cases;

#[test]
fn golden_apps_are_stale_in_the_same_cases() {
    let file = cases::kind("marathon").join("monitoring/cleanup.json");
    let mut wrong = Vec::new();
    for case in cases::list(&cases::json(&file)) {
        let ids = case["marathon_app_ids"].as_array().unwrap().iter();
        let valid = case["valid_service_instances"].as_array().unwrap();
        let stands = |service: &str, instance: &str| {
            valid.iter().any(|pair| pair[0] == service && pair[1] == instance)
        };
        let found = stale(ids.map(|id| (id.as_str().unwrap(), ())), stands);
        let threshold = case["kill_threshold"].as_f64().unwrap();
        let refused = case["force"] == false && found.within(threshold).is_err();
        let deleted: Vec<_> = if refused {
            Vec::new()
        } else {
            found.apps.iter().map(|(id, ..)| id.trim_start_matches('/')).collect()
        };
        let expected = &case["expected"];
        let as_expected = deleted == *expected["deleted_app_ids"].as_array().unwrap()
            && refused == (expected["error"] == "above_kill_threshold");
        if !as_expected {
            wrong.push(format!("{}: {deleted:?}, refused: {refused}", case["name"]));
        }
    }
    cases::assert_none(&wrong);
}
