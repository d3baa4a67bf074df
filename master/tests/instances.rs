//! `paasta-master instances`, run as operators run it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

const WEB: (&str, &str) =
    ("soa/web/marathon-devc.yaml", "_base: &base {cpus: 1}\nmain: {<<: *base}\ncanary: {}\n");
const API: (&str, &str) = ("soa/api/marathon-devc.yaml", "main: {registrations: [web.main]}\n");
const BROKEN: (&str, &str) = ("soa/bad/marathon-devc.yaml", "main:\n  registrations: web.main\n");
const CLUSTER: (&str, &str) = ("etc/cluster.json", r#"{"cluster": "devc"}"#);

fn host(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }
    dir
}

fn command(host: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paasta-master"));
    command.current_dir(host).env("PAASTA_SYSTEM_CONFIG_DIR", host.join("etc")).args(arguments);
    command
}

/// Exit code, standard output, standard error.
fn run(host: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(host.path(), arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn instances_are_listed_one_a_line_and_sorted() {
    let host = host(&[WEB, API, CLUSTER, ("soa/api/marathon-prod.yaml", "other: {}")]);
    let listed = |text: &str| (0, text.to_owned(), String::new());
    let wanted = listed("api.main\nweb.canary\nweb.main\n");
    assert_eq!(run(&host, &["instances", "--soa-dir", "soa"]), wanted);
    assert_eq!(run(&host, &["instances", "-d", "soa", "-c", "prod"]), listed("api.other\n"));
    assert_eq!(run(&host, &["instances", "-d", "soa", "--cluster", "none"]), listed(""));
}

#[test]
fn a_broken_file_is_shown_and_the_rest_is_listed() {
    let host = host(&[WEB, BROKEN, CLUSTER]);
    let (code, stdout, stderr) = run(&host, &["instances", "-d", "soa"]);
    assert_eq!((code, stdout.as_str()), (1, "web.canary\nweb.main\n"));
    let wanted = "\
error: soa/bad/marathon-devc.yaml:2:18: expected a list, found \"web.main\"
  |
2 |   registrations: web.main
  |                  ^^^^^^^^
";
    assert_eq!(stderr, wanted);
}

#[test]
fn json_says_the_same_and_more() {
    let host = host(&[API, BROKEN, CLUSTER]);
    let (code, stdout, _) = run(&host, &["instances", "-d", "soa", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let wanted = serde_json::json!({
        "cluster": "devc",
        "instances": [{
            "service": "api",
            "instance": "main",
            "registrations": ["web.main"],
            "deploy_group": "devc.main",
        }],
        "problems": [{
            "file": "soa/bad/marathon-devc.yaml",
            "problem": "soa/bad/marathon-devc.yaml: expected a list, found \"web.main\" at line 2, column 18",
        }],
    });
    assert_eq!((code, found), (1, wanted));
}

#[test]
fn an_unknown_cluster_is_asked_for() {
    for files in [&[WEB][..], &[WEB, ("etc/a.json", "{}")]] {
        let (code, stdout, stderr) = run(&host(files), &["instances", "-d", "soa"]);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert!(stderr.contains("Name it with --cluster NAME."), "{stderr}");
    }
}

#[test]
fn broken_system_configuration_and_missing_soa_configs_are_faults() {
    let broken = host(&[WEB, ("etc/a.json", "{")]);
    let (code, _, stderr) = run(&broken, &["instances", "-d", "soa"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("etc/a.json:1:2: expected a key in double quotes"), "{stderr}");
    let (code, _, stderr) = run(&host(&[CLUSTER]), &["instances", "-d", "soa"]);
    assert_eq!(code, 1);
    assert_eq!(stderr, "error: cannot list soa: No such file or directory (os error 2)\n");
}

#[test]
fn wrong_arguments_are_a_matter_of_usage() {
    let host = host(&[WEB]);
    for arguments in [&[][..], &["instance"], &["instances", "--cluster", "../x"]] {
        assert_eq!(run(&host, arguments).0, 2, "{arguments:?}");
    }
    let (code, help, _) = run(&host, &["instances", "--help"]);
    assert_eq!(code, 0);
    for word in ["/nail/etc/services", "PAASTA_SYSTEM_CONFIG_DIR", "Exit status", "Examples"] {
        assert!(help.contains(word), "{word} is not in the help:\n{help}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let host = host(&[WEB, CLUSTER]);
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = command(host.path(), &["instances", "-d", "soa"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
