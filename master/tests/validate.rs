//! `paasta-master validate` as it is called.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn soa(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }
    dir
}

fn validate(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paasta-master"));
    let Output { status, stdout, .. } =
        command.args(["validate", "-d"]).arg(dir).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

const GOOD: (&str, &str) = ("web/marathon-c1.yaml", "main: {cpus: 1}\n");

#[test]
fn a_good_tree_passes_and_says_what_was_looked_at() {
    let dir = soa(&[GOOD]);
    let (status, text) = validate(dir.path(), &[]);
    assert_eq!((status, text.as_str()), (Some(0), "1 services, 1 files: 0 errors, 0 warnings\n"));
}

#[test]
fn a_fault_is_shown_with_its_text_underlined_and_how_to_mend_it() {
    let dir = soa(&[("web/marathon-c1.yaml", "main:\n  cpu: 1\n")]);
    let (status, text) = validate(dir.path(), &["-s", "web"]);
    assert_eq!(status, Some(1));
    let file = dir.path().join("web/marathon-c1.yaml");
    let wanted = format!(
        "error: {}:2:3: unknown key \"cpu\"\n  |\n2 |   cpu: 1\n  |   ^^^\n  \
         rule: only keys that PaaSTA knows are allowed here\n  mend: did you mean `cpus`?\n\n\
         1 services, 1 files: 1 errors, 0 warnings\n",
        file.display()
    );
    assert_eq!(text, wanted);
}

#[test]
fn json_has_every_finding_and_warnings_fail_only_when_asked() {
    let dir =
        soa(&[GOOD, ("web/smartstack.yaml", "main: {proxy_port: 1}\nidle: {proxy_port: 2}\n")]);
    let (status, text) = validate(dir.path(), &["--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &report["valid"]), (Some(0), &Value::Bool(true)));
    let finding = &report["findings"][0];
    assert_eq!(
        (finding["check"].as_str(), finding["line"].as_u64()),
        (Some("nobody-registers"), Some(2))
    );
    assert_eq!(finding["underline"]["length"].as_u64(), Some(4));
    assert_eq!(validate(dir.path(), &["--strict"]).0, Some(1));
}

#[test]
fn what_cannot_be_checked_fails() {
    let dir = soa(&[]);
    assert_eq!(validate(dir.path(), &["-s", "gone"]).0, Some(1));
    assert_eq!(validate(&dir.path().join("gone"), &[]).0, Some(1));
    assert_eq!(validate(dir.path(), &["--no-such-option"]).0, Some(2));
}
