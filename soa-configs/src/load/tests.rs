use std::{fs, io::Write, path::Path};

use super::*;
use crate::{documents::Documents, json};

fn soa(files: &[(&str, &str)]) -> (tempfile::TempDir, Documents) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file: &Path = &dir.path().join("web").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let mut documents = Documents::new(dir.path());
    documents.refresh().unwrap();
    (dir, documents)
}

fn loaded(files: &[(&str, &str)], name: &str) -> Result<Instance, LoadError> {
    let (_dir, documents) = soa(files);
    let cluster = "c1".parse().unwrap();
    instance(documents.service("web").unwrap(), Kind::Marathon, "web", name, &cluster)
}

#[test]
fn an_instance_is_merged_over_its_service() {
    let files = [
        (
            "service.yaml",
            "cpus: 1\nenv: {A: s, B: s}\ndeploy_group: '{service}.{instance}@{cluster}'\n",
        ),
        ("monitoring.yaml", "team: t\npage: true\n"),
        ("port", "80\n"),
        ("marathon-c1.yaml", "main: {env: {B: i, C: i}, monitoring: {page: false}}\n"),
    ];
    let instance = loaded(&files, "main").unwrap();
    let merged = json::canonical(&Node::made(instance.merged.clone())).unwrap();
    assert_eq!(
        merged,
        r#"{"cpus": 1, "data": {}, "dependencies": {}, "deploy": {}, "deploy_group": "{service}.{instance}@{cluster}", "env": {"A": "s", "B": "i", "C": "i"}, "lb_extras": {}, "monitoring": {"page": false, "team": "t"}, "port": 80, "smartstack": {}, "vip": null}"#
    );
    assert_eq!(instance.deploy_group, "web.main@c1");
    let env = instance.merged.get("env").unwrap().as_map().unwrap();
    assert_eq!(env.texts().map(|(key, _)| key).collect::<Vec<_>>(), ["A", "B", "C"]);
}

#[test]
fn what_is_wrong_is_told_apart() {
    let marathon = |text| [("marathon-c1.yaml", text)];
    let error = |text, name| loaded(&marathon(text), name).unwrap_err();
    assert!(
        matches!(error("main: {}", "other"), LoadError::NoConfiguration(m) if m.starts_with("other not found"))
    );
    assert!(matches!(error("_t: {}", "_t"), LoadError::InvalidJobName(_)));
    assert!(matches!(error("main: 5", "main"), LoadError::WrongType(_)));
    assert!(matches!(error("main:", "main"), LoadError::WrongType(_)));
    assert!(matches!(error("main: {a: 1", "main"), LoadError::Broken(_)));
    assert!(matches!(error("main: {deploy_group: '{zone}'}", "main"), LoadError::MissingKey(_)));
    assert!(matches!(error("", "main"), LoadError::NoConfiguration(_)));
    assert!(matches!(error("- a", "main"), LoadError::NoConfiguration(_)));
    assert!(matches!(error("- main", "main"), LoadError::WrongType(_)));
    assert!(matches!(error("5", "main"), LoadError::WrongType(_)));
    assert!(matches!(error("main: {deploy_group: '{cluster'}", "main"), LoadError::BadValue(_)));
    assert!(matches!(error("_t: [", "_t"), LoadError::Broken(_)), "files are read first");
}

#[test]
fn a_service_with_a_file_that_cannot_be_understood_has_no_instances() {
    for broken in ["service", "smartstack", "monitoring", "deploy", "data", "dependencies", "lb"] {
        let file = format!("{broken}.yaml");
        let error = loaded(&[("marathon-c1.yaml", "main: {}"), (&file, "a: [")], "main");
        assert!(matches!(error, Err(LoadError::Broken(_))), "{broken}: {error:?}");
    }
    let files = [("marathon-c1.yaml", "main: {}"), ("service.yaml", "[]"), ("other.yaml", "a: [")];
    assert!(loaded(&files, "main").is_ok(), "nothing is no fault, and not every file counts");
}

#[test]
fn what_deployments_json_leaves_out_and_what_it_says_is_null_are_told_apart() {
    let of = |deployments: &str, section: &str| {
        let marathon = format!("main: {section}");
        let (_dir, documents) =
            soa(&[("marathon-c1.yaml", &marathon), ("deployments.json", deployments)]);
        let files = documents.service("web").unwrap();
        let cluster = "c1".parse().unwrap();
        let main = instance(files, Kind::Marathon, "web", "main", &cluster).unwrap();
        Deployment::v1(files, &main)
    };
    let state = |entry: &str| {
        let text = format!(r#"{{"v1": {{"web:paasta-c1.main": {entry}}}}}"#);
        of(&text, "{}").unwrap().control.desired_state
    };
    assert_eq!(state("{}"), DesiredState::Start);
    assert_eq!(state(r#"{"desired_state": null}"#), DesiredState::Other("None".to_owned()));
    let branch = r#"{"v1": {"web:paasta-5": {"docker_image": "i"}}}"#;
    assert_eq!(of(branch, "{branch: 5}").unwrap().docker_image, "i");
    assert_eq!(of(branch, "{}").unwrap().docker_image, "");
    assert!(matches!(of("null", "{}"), Err(LoadError::WrongType(_))));
    assert!(matches!(of("[]", "{}"), Err(LoadError::WrongType(_))));
    assert!(matches!(of(r#"{"v1": []}"#, "{}"), Err(LoadError::WrongType(_))));
    assert!(matches!(of("{}", "{}"), Err(LoadError::MissingKey(_))));
    assert!(matches!(of("", "{}"), Err(LoadError::Broken(_))));
}

#[test]
fn a_deployment_is_read_from_either_version() {
    let deployments = r#"{"v1": {"web:paasta-c1.main": {"docker_image": "i:1", "desired_state": "stop", "force_bounce": "t"}},
        "v2": {"deployments": {"prod": {"docker_image": "i:2", "git_sha": "2"}}, "controls": {"web:c1.main": {"desired_state": "start", "force_bounce": null}}}}"#;
    let marathon = ("marathon-c1.yaml", "main: {deploy_group: prod}\nother: {}\n");
    let (_dir, documents) = soa(&[marathon, ("deployments.json", deployments)]);
    let files = documents.service("web").unwrap();
    let cluster = "c1".parse().unwrap();
    let load = |name| instance(files, Kind::Marathon, "web", name, &cluster).unwrap();
    let first = Deployment::v1(files, &load("main")).unwrap();
    assert_eq!(
        (first.docker_image.as_str(), first.control.desired_state),
        ("i:1", DesiredState::Stop)
    );
    assert_eq!(first.control.force_bounce.as_deref(), Some("t"));
    let second = Deployment::v2(files, &load("main")).unwrap();
    assert_eq!((second.docker_image.as_str(), second.git_sha.as_deref()), ("i:2", Some("2")));
    assert_eq!(Deployment::v1(files, &load("other")).unwrap().docker_image, "");
    assert!(matches!(Deployment::v2(files, &load("other")), Err(LoadError::NoDeployments(_))));
    let (_dir, without) = soa(&[marathon]);
    let files = without.service("web").unwrap();
    assert!(matches!(Deployment::v1(files, &load("main")), Err(LoadError::NoDeployments(_))));
}

#[test]
fn the_strongest_file_that_says_something_is_named_with_the_line() {
    let (_dir, documents) = soa(&[
        ("marathon-c1.yaml", "_t: &t\n  cpus: 1\nmain:\n  <<: *t\n  env:\n    A: b\n"),
        ("service.yaml", "mem: 5\ncpus: 2\nenv: {C: d}\n"),
        ("smartstack.yaml", "main:\n  mode: tcp\n"),
        ("deployments.json", "{\"v1\": {\"web:paasta-c1.main\":\n {\"docker_image\": \"x\"}}}"),
    ]);
    let files = documents.service("web").unwrap();
    let cluster = "c1".parse().unwrap();
    let instance = instance(files, Kind::Marathon, "web", "main", &cluster).unwrap();
    let told = |key: &[&str]| {
        let origin = Origin::of(files, &instance, key);
        origin.map(|origin| format!("{} {origin}", origin.layer.as_str()))
    };
    assert_eq!(told(&["cpus"]).unwrap(), "instance web/marathon-c1.yaml:2");
    assert_eq!(told(&["env", "A"]).unwrap(), "instance web/marathon-c1.yaml:6");
    assert_eq!(told(&["env", "C"]).unwrap(), "service web/service.yaml:3");
    assert_eq!(told(&["mem"]).unwrap(), "service web/service.yaml:1");
    assert_eq!(told(&["smartstack", "main", "mode"]).unwrap(), "general web/smartstack.yaml:2");
    assert_eq!(told(&["smartstack", "other", "mode"]), None);
    assert_eq!(told(&["disk"]), None);
    let image = Origin::of_deployment(files, &instance, "docker_image").unwrap();
    assert_eq!(image.to_string(), "web/deployments.json:2");
    assert_eq!(Origin::of_deployment(files, &instance, "force_bounce"), None);
}
