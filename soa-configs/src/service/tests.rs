use std::{fs, io::Write};

use super::*;
use crate::documents::Documents;

fn soa(files: &[(&str, &str)]) -> (tempfile::TempDir, Documents) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("web")).unwrap();
    for (name, text) in files {
        let file = dir.path().join("web").join(name);
        fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let mut documents = Documents::new(dir.path());
    documents.refresh().unwrap();
    (dir, documents)
}

#[test]
fn what_a_service_says_of_itself_is_read() {
    let (_dir, documents) = soa(&[
        ("service.yaml", "description: x\ndocker_registry: r:5000\ncpus: 2\n"),
        (
            "deploy.yaml",
            "pipeline:\n- step: itest\n- {step: prod.main, trigger_next_step_manually: true}\n",
        ),
        ("dependencies.yaml", "main:\n- well-known: internet\n"),
        ("monitoring.yaml", "team: a\npage: yes\nirc_channels: '#a'\nalert_after: 5m\n"),
    ]);
    let files = documents.service("web").unwrap();
    let service = Service::read(files).unwrap();
    assert_eq!(service.docker_registry.as_deref(), Some("r:5000"));
    assert_eq!(service.git_url("web"), "git@git.yelpcorp.com:services/web.git");
    let steps = pipeline(files).unwrap();
    let deployed: Vec<&str> =
        steps.iter().filter(|step| step.is_deployment()).map(|step| step.name.as_str()).collect();
    assert_eq!((deployed, steps[1].waits), (vec!["prod.main"], true));
    assert!(dependencies(files).unwrap().get("main").is_some());
    let monitoring = Monitoring::read(files).unwrap();
    assert_eq!((monitoring.team.as_deref(), monitoring.page), (Some("a"), Some(true)));
    assert_eq!(monitoring.irc_channels.unwrap(), ["#a"]);
    assert_eq!(monitoring.check_oom_events, None);
}

#[test]
fn a_service_need_not_say_anything() {
    let (_dir, documents) = soa(&[("marathon-c1.yaml", "main: {cpus: 1}\n")]);
    let files = documents.service("web").unwrap();
    assert_eq!(Service::read(files).unwrap(), Service::default());
    assert!(pipeline(files).unwrap().is_empty());
    assert_eq!(Monitoring::read(files).unwrap().team, None);
}

#[test]
fn faults_have_their_place() {
    let (_dir, documents) = soa(&[
        ("service.yaml", "description: [x]\n"),
        ("deploy.yaml", "pipeline:\n- itest\n"),
        ("monitoring.yaml", "team: a\npage: perhaps\n"),
    ]);
    let files = documents.service("web").unwrap();
    let faults = [
        Service::read(files).unwrap_err().one_line(),
        pipeline(files).unwrap_err().one_line(),
        Monitoring::read(files).unwrap_err().one_line(),
    ];
    assert!(faults[0].contains("expected a text, found a list at line 1, column 14"), "{faults:?}");
    assert!(
        faults[1].contains("expected a map, found \"itest\" at line 2, column 3"),
        "{faults:?}"
    );
    assert!(
        faults[2].contains("expected true or false, found \"perhaps\" at line 2, column 7"),
        "{faults:?}"
    );
}

#[test]
fn updown_leaves_a_service_alone_only_when_it_says_so() {
    for (text, left_alone) in [
        (None, Some(false)),
        (Some("description: x\n"), Some(false)),
        (Some("no_updown_service: no\n"), Some(false)),
        (Some("no_updown_service: yes\n"), Some(true)),
        (Some("- no map\n"), None),
    ] {
        let files: Vec<_> = text.iter().map(|text| ("service.yaml", *text)).collect();
        let (dir, _) = soa(&files);
        assert_eq!(is_without_updown(dir.path(), "web").ok(), left_alone, "{text:?}");
    }
}
