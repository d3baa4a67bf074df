//! Trees that `paasta validate` takes and refuses.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use soa_configs::{
    check::{self, Report, Severity},
    documents::Documents,
};

use crate::cases;

/// Checks the service that the recorded command names; without a tree there is nothing valid.
fn report(case: &Path, expected: &Value) -> Option<Report> {
    let command = cases::list(&expected["command"]);
    let asked = command.iter().position(|word| word == "-s").and_then(|at| command.get(at + 1));
    let soa = case.join("soa");
    let mut documents = Documents::new(&soa);
    documents.refresh().ok()?;
    let now = match "2018-03-14T09:05:07[UTC]".parse() {
        Ok(now) => now,
        Err(error) => panic!("{error}"),
    };
    Some(check::check(&documents, asked.and_then(Value::as_str), &now))
}

/// Errors that only show across files; PaaSTA's own check does not look for them.
const ACROSS_FILES: [&str; 3] = ["proxy-port", "proxied-through", "registrations"];

fn is_valid_file_by_file(report: &Report) -> bool {
    let mut errors = report.findings.iter().filter(|found| found.severity == Severity::Error);
    errors.all(|found| ACROSS_FILES.contains(&found.check))
}

#[test]
fn golden_trees_are_taken_and_refused_as_paasta_does() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in fs::read_dir(cases::kind("paasta-validate")).unwrap() {
        let case = case.unwrap().path();
        if !case.join("expected.json").is_file() {
            continue;
        }
        count += 1;
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expected = cases::json(&case.join("expected.json"));
        let report = report(&case, &expected);
        let is_valid = report.as_ref().is_some_and(is_valid_file_by_file);
        let verdict = if is_valid { "valid" } else { "invalid" };
        if !cases::list(&expected["accepted_verdicts"]).iter().any(|accepted| accepted == verdict) {
            wrong.push(format!("{name} is {verdict}: {report:?}"));
        }
        // What PaaSTA says of single jobs is said here in the same words.
        let findings = report.iter().flat_map(|report| &report.findings);
        let said: BTreeSet<&str> =
            findings.map(|finding| finding.diagnostic.message.as_str()).collect();
        // Where PaaSTA aborted it may have said nothing.
        for line in expected["stdout_plain_sorted_lines"].as_array().into_iter().flatten() {
            let line = line.as_str().unwrap();
            let about_a_job = line.starts_with("  ")
                && !line.starts_with("  More info")
                && !line.starts_with("  Validation Message");
            if about_a_job && !said.contains(line.trim_start()) {
                wrong.push(format!("{name}: nobody says {line:?}: {said:?}"));
            }
        }
    }
    assert!(count > 0, "there are no cases");
    cases::assert_none(&wrong);
}
