//! Which instance files `paasta validate` takes.

use std::collections::BTreeSet;

use serde_json::Value;
use soa_configs::{load::Kind, schema, yaml};

use crate::cases;

#[test]
fn golden_instance_files_are_taken_and_refused_as_paasta_does() {
    let file = cases::kind("marathon").join("monitoring/schema_validity.json");
    let mut wrong = Vec::new();
    for case in cases::list(&cases::json(&file)) {
        let text = case["yaml"].as_str().unwrap();
        let kind = match case["type"].as_str() {
            Some("marathon") => Kind::Marathon,
            Some("chronos") => Kind::Chronos,
            _ => Kind::Adhoc,
        };
        let found = match yaml::parse(text) {
            Ok(node) => schema::check(kind, &node, text),
            Err(fault) => vec![schema::Violation { path: String::new(), fault }],
        };
        // Where the original crashes, either answer will do.
        if case["expected"]["valid"].as_bool().is_some_and(|valid| valid != found.is_empty()) {
            wrong.push(format!("{}: {found:?}", case["name"]));
        }
        let Some(paths) = case["expected"]["error_paths"].as_array() else { continue };
        let wanted: BTreeSet<&str> = paths.iter().filter_map(Value::as_str).collect();
        let name = |path: &str| if path.is_empty() { "(root)".to_owned() } else { path.to_owned() };
        let found: BTreeSet<String> = found.iter().map(|violation| name(&violation.path)).collect();
        if wanted != found.iter().map(String::as_str).collect() {
            wrong.push(format!("{}: {found:?}, expected {wanted:?}", case["name"]));
        }
    }
    cases::assert_none(&wrong);
}
