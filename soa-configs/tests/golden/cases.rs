//! Where the cases are, and how many must be.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The directory of one kind of cases. A relative `GOLDEN_DIR` counts from the repository.
pub(crate) fn kind(name: &str) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let golden = env::var_os("GOLDEN_DIR").unwrap_or_else(|| "tests/golden".into());
    repository.join(golden).join(name)
}

/// A JSON file.
pub(crate) fn json(file: &Path) -> Value {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The items of a list of cases, of which there is at least one.
pub(crate) fn list(value: &Value) -> &[Value] {
    match value.as_array() {
        Some(cases) if !cases.is_empty() => cases,
        _ => panic!("there are no cases"),
    }
}

/// Fails with all differences at once.
pub(crate) fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
