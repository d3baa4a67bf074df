//! `paasta-master render`, run as operators run it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, File},
    io::Write,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const SYSTEM: &str = r#"{"cluster": "c1", "docker_registry": "reg.example.net", "volumes": []}"#;
const DEPLOYED: &str = r#"{"v1": {"svc:paasta-c1.main": {
    "docker_image": "services-svc:paasta-0123456789abcdef0123456789abcdef01234567"}}}"#;

fn host(marathon: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("etc/all.json", SYSTEM),
        ("soa/svc/marathon-c1.yaml", marathon),
        ("soa/svc/deployments.json", DEPLOYED),
    ];
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }
    dir
}

/// Exit code, standard output, standard error.
fn render(host: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    render_of("marathon", host, arguments)
}

fn render_of(kind: &str, host: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paasta-master"));
    command.current_dir(host.path()).env("PAASTA_SYSTEM_CONFIG_DIR", host.path().join("etc"));
    command.args(["render", kind, "-d", "soa"]).args(arguments);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn an_app_is_printed_with_the_id_that_paasta_gives_it() {
    let host = host("main: {cpus: 0.25}\n");
    let (code, out, complaint) = render(&host, &["svc.main"]);
    assert_eq!((code, complaint.as_str()), (0, ""));
    let printed: Value = serde_json::from_str(&out).unwrap();
    // The example of marathon-sync.md §7.
    assert_eq!(printed["id"], "svc.main.git01234567.configf0bf796a");
    assert_eq!(printed["app"]["id"], printed["id"]);
    assert_eq!(printed["app"]["instances"], 1);
    assert_eq!(printed["app"]["env"]["PAASTA_CLUSTER"], "c1");
    let (code, hashed, _) = render(&host, &["svc.main", "--hash-input"]);
    assert_eq!(code, 0);
    assert!(hashed.starts_with(r#"{"args": [], "backoff_factor": 2, "cmd": null, "#), "{hashed}");
}

#[test]
fn an_autoscaled_instance_has_the_count_that_is_given_within_its_limits() {
    let host = host("main: {min_instances: 2, max_instances: 5}\n");
    for (given, count) in [(None, 5), (Some("3"), 3), (Some("1"), 2), (Some("9"), 5)] {
        let arguments = given.map_or(vec!["svc.main"], |n| vec!["svc.main", "--instances", n]);
        let (_, out, _) = render(&host, &arguments);
        let printed: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(printed["app"]["instances"], count, "{given:?}");
    }
}

#[test]
fn what_makes_no_app_is_told_in_one_line_that_says_which() {
    let broken = host("main: {cmd: x, args: [y]}\n");
    let (code, out, complaint) = render(&broken, &["svc.main"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        complaint,
        "error: svc.main in soa: Instance configuration can specify cmd or args, but not both.\n"
    );
    let (code, _, complaint) = render(&broken, &["svc.other"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("other not found in config file soa/svc/marathon-c1.yaml"));
    let unsent = host("main: {net: weave}\n");
    let (code, _, complaint) = render(&unsent, &["svc.main"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("Invalid choice \"weave\" for param \"network\""), "{complaint}");
}

#[test]
fn a_name_that_is_none_is_a_wrong_argument() {
    let host = host("main: {}\n");
    let (code, _, complaint) = render(&host, &["svc"]);
    assert_eq!((code, complaint.as_str()), (2, "error: `svc` is not SERVICE.INSTANCE\n"));
}

#[test]
fn a_chronos_job_is_printed_with_the_hash_that_paasta_gives_it() {
    let host = host("main: {}\n");
    let file = host.path().join("soa/svc/chronos-c1.yaml");
    let text = "main: {schedule: R/2015-01-01T00:00:00Z/PT1H, cmd: /bin/true}\nbad: {cmd: '%'}\n";
    File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    let (code, out, complaint) = render_of("chronos", &host, &["svc.main"]);
    assert_eq!((code, complaint.as_str()), (0, ""));
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed["name"], "svc main");
    let (code, hashed, _) = render_of("chronos", &host, &["svc.main", "--hash-input"]);
    assert_eq!(code, 0);
    assert!(hashed.starts_with(r#"{"arguments": null, "async": false, "command": "/bin/true", "#));
    let hash = soa_configs::hash::config_hash(&soa_configs::json::parse(&hashed).unwrap(), None);
    assert_eq!(printed["description"], hash.unwrap());
    let (code, out, complaint) = render_of("chronos", &host, &["svc.bad"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let reason = "Docker url not available because there is no docker_image";
    assert_eq!(complaint, format!("error: svc.bad in soa: {reason}\n"));
    let (code, _, complaint) = render_of("chronos", &host, &["svc.other"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("No job named \"other\" in config file chronos-c1.yaml"));
}

#[test]
fn time_variables_stand_for_the_clock_of_this_host() {
    let host = host("main: {}\n");
    let file = host.path().join("soa/svc/chronos-c1.yaml");
    let text = "main: {schedule: 0 3 * * *, cmd: '%(hour)s %(unixtime)s'}\n";
    File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    let mut hours = Vec::new();
    for zone in ["UTC", "Asia/Tokyo"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paasta-master"));
        command.current_dir(host.path()).env("PAASTA_SYSTEM_CONFIG_DIR", "etc").env("TZ", zone);
        let output = command.args(["render", "chronos", "-d", "soa", "svc.main"]).output().unwrap();
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let (hour, seconds) = printed["command"].as_str().unwrap().split_once(' ').unwrap();
        let (hour, seconds): (i64, i64) = (hour.parse().unwrap(), seconds.parse().unwrap());
        hours.push((hour - seconds.div_euclid(3600)).rem_euclid(24));
    }
    assert_eq!(hours, [0, 9]);
}
