//! Where the cases are, and how many must be.

use std::{
    env, fs,
    io::Write,
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

/// The directories of one kind of cases, of which there is at least one.
pub(crate) fn dirs(name: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(kind(name)).unwrap().map(|entry| entry.unwrap().path());
    let dirs: Vec<PathBuf> = all.filter(|dir| dir.join("case.json").is_file()).collect();
    assert!(!dirs.is_empty(), "there are no cases");
    dirs
}

/// Fails with all differences at once.
pub(crate) fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Writes a file, and the directories above it.
pub(crate) fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Writes the system configuration and the service of a case of `marathon/errors`.
pub(crate) fn lay_out(file: &Value, case: &Value, dir: &Path) {
    let mut system = file["base_etc_paasta"].as_object().unwrap().clone();
    system.extend(case["etc"].as_object().cloned().unwrap_or_default());
    for key in case["etc_without"].as_array().into_iter().flatten() {
        system.remove(key.as_str().unwrap());
    }
    write(&dir.join("etc/all.json"), &Value::Object(system).to_string());
    let service = dir.join("soa").join(case["service"].as_str().unwrap());
    let files = case["files"].as_object().unwrap();
    for (name, content) in files {
        let plain = content.as_str().map(str::to_owned);
        write(&service.join(name), &plain.unwrap_or_else(|| content.to_string()));
    }
    let without = case["no_deployments"].as_bool() == Some(true);
    if !without && !files.contains_key("deployments.json") {
        let default = file["default_deployments_for_svc_main"].to_string();
        let of = format!("\"{}:", case["service"].as_str().unwrap());
        write(&service.join("deployments.json"), &default.replace("\"svc:", &of));
    }
}
