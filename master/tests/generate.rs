//! `paasta-master generate-deployments`, with real git repositories.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(dir).args(["-c", "user.name=t", "-c", "user.email=t@example.net"]);
    let output = git.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A directory with `soa`, and a repository for each service in `git`.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A service with one instance, deployed once. Returns the commit.
    fn service(&self, name: &str) -> String {
        let repository = self.0.path().join("git").join(name);
        fs::create_dir_all(&repository).unwrap();
        git(&repository, &["init", "-q"]);
        git(&repository, &["commit", "-q", "--allow-empty", "-m", name]);
        git(&repository, &["tag", "paasta-c1.main-20180101T000000-deploy"]);
        self.file(name, "service.yaml", &format!("git_url: {}\n", repository.display()));
        self.file(name, "marathon-c1.yaml", "main: {cpus: 1}\n");
        git(&repository, &["rev-parse", "HEAD"])
    }

    fn file(&self, service: &str, name: &str, text: &str) {
        write(&self.0.path().join("soa").join(service).join(name), text);
    }

    fn deployments(&self, service: &str) -> Value {
        let file = self.0.path().join("soa").join(service).join("deployments.json");
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    fn run_as(&self, program: &Path, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(program);
        let Output { status, stdout, stderr } =
            command.current_dir(self.0.path()).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn generate(&self, arguments: &[&str]) -> (i32, String, String) {
        let all: Vec<&str> =
            ["generate-deployments", "-d", "soa"].iter().chain(arguments).copied().collect();
        self.run_as(Path::new(env!("CARGO_BIN_EXE_paasta-master")), &all)
    }
}

#[test]
fn the_file_follows_the_tags_and_is_left_alone_when_they_say_nothing_new() {
    let scene = Scene::new();
    let sha = scene.service("web");
    let (code, out, complaint) = scene.generate(&["-s", "web"]);
    assert_eq!((code, out.as_str(), complaint.as_str()), (0, "web: changed, 1 instances\n", ""));
    let entry = &scene.deployments("web")["v1"]["web:paasta-c1.main"];
    assert_eq!(entry["docker_image"], format!("services-web:paasta-{sha}"));
    assert_eq!(entry["desired_state"], "start");
    let file = scene.0.path().join("soa/web/deployments.json");
    let before = fs::metadata(&file).unwrap();
    assert_eq!(before.mode() & 0o777, 0o666 & !umask());
    assert_eq!(scene.generate(&["-s", "web"]).1, "web: unchanged, 1 instances\n");
    assert_eq!(fs::metadata(&file).unwrap().ino(), before.ino());
    let repository = scene.0.path().join("git/web");
    git(&repository, &["tag", "paasta-c1.main-20180102T000000-stop"]);
    let (_, out, _) = scene.generate(&["-s", "web", "--dry-run", "--json"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    let planned = &said["services"][0]["deployments"]["v1"]["web:paasta-c1.main"];
    assert_eq!(planned["desired_state"], "stop");
    assert_eq!(scene.deployments("web")["v1"]["web:paasta-c1.main"]["desired_state"], "start");
    scene.generate(&["-s", "web"]);
    let entry = &scene.deployments("web")["v1"]["web:paasta-c1.main"];
    assert_eq!(entry["force_bounce"], "20180102T000000");
    let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

fn umask() -> u32 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

#[test]
fn what_cannot_be_read_leaves_the_file_and_stops_no_other_service() {
    let scene = Scene::new();
    for service in ["broken", "gone", "good", "sly"] {
        scene.service(service);
    }
    assert_eq!(scene.generate(&["--all"]).0, 0);
    let before = scene.deployments("broken");
    scene.file("broken", "marathon-c1.yaml", "main: {cpus: 1\n");
    scene.file("gone", "service.yaml", "git_url: /nonexistent/repository\n");
    let trap = scene.0.path().join("trap");
    let url = format!("git_url: '--upload-pack=touch {}'\n", trap.display());
    scene.file("sly", "service.yaml", &url);
    scene.file("good", "marathon-c2.yaml", "main: {deploy_group: c1.main}\n");
    let (code, out, complaint) = scene.generate(&["--all"]);
    assert_eq!((code, out.as_str()), (1, "good: changed, 2 instances\n"));
    let lines: Vec<_> = complaint.lines().collect();
    assert_eq!(lines.len(), 3, "{complaint}");
    assert!(lines[0].starts_with("error: broken: ") && lines[0].contains("marathon-c1.yaml"));
    assert!(lines[1].contains("git ls-remote /nonexistent/repository: fatal: "), "{complaint}");
    assert!(lines[2].starts_with("error: sly: git ls-remote --upload-pack"), "{complaint}");
    assert!(!trap.exists());
    assert_eq!(scene.deployments("broken"), before);
}

#[test]
fn the_old_commands_are_links_and_say_nothing() {
    let scene = Scene::new();
    scene.service("web");
    scene.service("api");
    let link = |name: &str| {
        let link = scene.0.path().join(name);
        symlink(env!("CARGO_BIN_EXE_paasta-master"), &link).unwrap();
        link
    };
    let one = link("generate_deployments_for_service");
    assert_eq!(scene.run_as(&one, &["-s", "web", "-d", "soa"]), (0, String::new(), String::new()));
    assert!(scene.deployments("web")["v2"]["deployments"]["c1.main"].is_object());
    let all = link("generate_all_deployments");
    assert_eq!(scene.run_as(&all, &["-d", "soa"]), (0, String::new(), String::new()));
    assert!(scene.deployments("api")["v1"].is_object());
    let (code, _, complaint) = scene.run_as(&one, &["-s", "nosuch", "-d", "soa"]);
    assert_eq!(code, 1);
    assert_eq!(complaint, "error: nosuch: there is no service of this name in soa\n");
}

#[test]
fn a_file_that_is_broken_is_written_anew_and_a_path_is_no_service() {
    let scene = Scene::new();
    let sha = scene.service("web");
    scene.file("web", "deployments.json", "{\"v1\":");
    assert_eq!(scene.generate(&["-s", "web"]).0, 0);
    let entry = &scene.deployments("web")["v1"]["web:paasta-c1.main"];
    assert_eq!(entry["docker_image"], format!("services-web:paasta-{sha}"));
    let (code, out, complaint) = scene.generate(&["-s", "../soa/web"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(complaint.contains("expected the name of a service"), "{complaint}");
}
