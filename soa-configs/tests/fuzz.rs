//! Fuzz targets: no bytes make a reader panic, and what is read can be written, checked and loaded.
//!
//! Under `cargo test` each target runs its stored corpus (`tests/__fuzz__/<target>/corpus`) and a short
//! random run. `cargo bolero test -p soa-configs <target>` looks for new paths through the code, as long
//! as it is let.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use bolero::check;
use soa_configs::{
    Cluster, Diagnostic, instances, json, load::Kind, schedule, schema, smartstack, time_variables,
    topology, yaml,
};

/// How many random inputs one run of the tests tries.
const ITERATIONS: usize = 2000;

fn cluster() -> Cluster {
    "c1".parse().unwrap()
}

#[test]
fn no_bytes_make_the_readers_of_yaml_panic() {
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let text = &*String::from_utf8_lossy(bytes);
        let file = Path::new("fuzz.yaml");
        match yaml::parse(text) {
            Err(fault) => {
                let shown = Diagnostic::new(file, text, &fault);
                assert!(!shown.one_line().contains('\n'));
            }
            Ok(node) => {
                if let Ok(written) = json::canonical(&node) {
                    let again = json::parse(&written).unwrap();
                    assert_eq!(json::canonical(&again).unwrap(), written);
                }
                for kind in Kind::ALL {
                    for violation in schema::check(kind, &node, text) {
                        assert!(violation.fault.span.range().end <= text.len());
                    }
                }
            }
        }
        for result in [
            smartstack::parse("web", file, text).map(drop),
            instances::parse("web", &cluster(), file, text).map(drop),
            topology::parse(file, text).map(drop),
        ] {
            assert!(result.err().is_none_or(|error| !error.one_line().contains('\n')));
        }
    });
}

#[test]
fn no_bytes_make_the_reader_of_json_panic() {
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let text = &*String::from_utf8_lossy(bytes);
        if let Ok(node) = json::parse(text) {
            let written = json::canonical(&node).unwrap();
            assert_eq!(json::parse(&written).unwrap(), node);
        }
    });
}

#[test]
fn no_bytes_make_the_readers_of_jobs_panic() {
    let now = "2018-03-31T09:05:07Z".parse().unwrap();
    let zoned = "2018-03-31T09:05:07[UTC]".parse().unwrap();
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let text = &*String::from_utf8_lossy(bytes);
        if let Some(seconds) = schedule::interval_seconds(text, Some(text), now) {
            assert!(!seconds.is_nan());
        }
        if let Ok(schedule) = schedule::Schedule::parse(text) {
            assert!(schedule.never_fires().is_none_or(|reason| !reason.is_empty()));
        }
        if let Ok(command) = time_variables::render(text, &zoned) {
            assert!(command.len() <= text.len() * 40 + 2000);
        }
    });
}
