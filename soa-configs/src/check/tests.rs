use std::{fs, io::Write};

use super::*;

fn report_of(files: &[(&str, &str)], only: Option<&str>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let mut documents = Documents::new(dir.path());
    documents.refresh().unwrap();
    let now = "2018-03-14T09:05:07[UTC]".parse().unwrap();
    let shown = |finding: &Finding| {
        assert!(
            finding.diagnostic.rule.is_some() && finding.diagnostic.remedy.is_some(),
            "{finding:?}"
        );
        let Diagnostic { file, line, column, message, .. } = &finding.diagnostic;
        let file = file.strip_prefix(dir.path()).unwrap().display();
        format!("{:?} {} {file}:{line}:{column} {message}", finding.severity, finding.check)
    };
    check(&documents, only, &now).findings.iter().map(shown).collect()
}

fn report(files: &[(&str, &str)]) -> Vec<String> {
    report_of(files, None)
}

const WEB: (&str, &str) = ("web/smartstack.yaml", "main: {proxy_port: 20001}\n");
const RUNS: (&str, &str) = ("web/marathon-c1.yaml", "main: {cpus: 1}\n");

#[test]
fn a_good_tree_has_no_findings() {
    let good = [
        WEB,
        RUNS,
        ("web/monitoring.yaml", "team: a\n"),
        ("web/service.yaml", "description: x\ncpus: 2\n"),
        ("web/chronos-c1.yaml", "a: {schedule: 0 3 * * *, cmd: x}\nb: {parents: web.a, cmd: x}\n"),
        ("cron/chronos-c1.yaml", "c: {parents: [web.a], cmd: '%(shortdate)s'}\n"),
    ];
    assert_eq!(report(&good), [""; 0]);
}

#[test]
fn a_port_that_is_used_twice_is_told_at_both_places() {
    let api = ("api/smartstack.yaml", "main: {proxy_port: '20001'}\n");
    let runs = ("api/marathon-c1.yaml", "main: {cpus: 1}\n");
    assert_eq!(
        report(&[WEB, RUNS, api, runs]),
        [
            "Error proxy-port api/smartstack.yaml:1:20 proxy_port 20001 is used by web.main as well",
            "Error proxy-port web/smartstack.yaml:1:20 proxy_port 20001 is used by api.main as well",
        ]
    );
    assert_eq!(
        report_of(&[WEB, RUNS, api, runs], Some("web")).len(),
        1,
        "only of the service asked for"
    );
}

#[test]
fn names_that_lead_nowhere_are_told() {
    let smartstack = "main: {proxy_port: 20001, proxied_through: web.mian}\n";
    let marathon = "main: {registrations: [web.main, web.other, gone.main, plain.main]}\n";
    let plain = ("plain/service.yaml", "description: x\n");
    let found =
        report(&[("web/smartstack.yaml", smartstack), ("web/marathon-c1.yaml", marathon), plain]);
    assert_eq!(
        found,
        [
            "Error registrations web/marathon-c1.yaml:1:34 there is no namespace web.other",
            "Error registrations web/marathon-c1.yaml:1:45 there is no service gone",
            "Warning registrations web/marathon-c1.yaml:1:56 plain has no smartstack.yaml",
            "Error proxied-through web/smartstack.yaml:1:44 there is no namespace web.mian",
        ]
    );
}

#[test]
fn what_works_but_is_hardly_meant_is_a_warning() {
    let smartstack =
        "main: {proxy_port: 1, discover: habitat, retrise: 1}\nidle: {proxy_port: 2}\n";
    let chronos = "a: {schedule: 0 0 31 2 *, cmd: x}\nb: {schedule: '@daily', schedule_time_zone: Mars/X, cmd: x}\n";
    let found = report(&[
        ("web/smartstack.yaml", smartstack),
        RUNS,
        ("web/chronos-c1.yaml", chronos),
        ("web/service.yaml", "moniturin: {}\ncpu: 1\n"),
    ]);
    assert_eq!(
        found,
        [
            "Warning never-fires web/chronos-c1.yaml:1:15 this schedule never fires: no month it names has such a day",
            "Warning not-for-chronos web/chronos-c1.yaml:2:15 Chronos refuses this schedule: Chronos takes five fields, no nicknames",
            "Warning time-zone web/chronos-c1.yaml:2:45 the time zone \"Mars/X\" is not known; Chronos refuses the job",
            "Warning unknown-key web/service.yaml:1:1 unknown key \"moniturin\" in service.yaml",
            "Warning unknown-key web/service.yaml:2:1 unknown key \"cpu\" in service.yaml",
            "Warning discover web/smartstack.yaml:1:33 discover is \"habitat\", which advertise does not list",
            "Warning unknown-key web/smartstack.yaml:1:42 unknown key \"retrise\" in a namespace",
            "Warning nobody-registers web/smartstack.yaml:2:1 no instance registers in web.idle",
        ]
    );
}

#[test]
fn a_default_of_service_yaml_is_told_where_it_stands() {
    let files = [
        ("web/service.yaml", "description: x\nepsilon: soon\n"),
        ("web/chronos-c1.yaml", "a: {schedule: '@daily', cmd: x}\n"),
    ];
    let found = report(&files);
    assert!(
        found
            .iter()
            .any(|f| f
                .contains("Error job web/service.yaml:2:10 The specified epsilon value \"soon\"")),
        "{found:?}"
    );
}

#[test]
fn broken_files_are_told_and_the_others_are_checked() {
    let found = report(&[
        ("web/smartstack.yaml", "main: [\n"),
        ("web/marathon-c1.yaml", "main: {cpu: 1}\n"),
        ("tmpx/service.yaml", "a: 1\n"),
    ]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("Error temporary-name tmpx:0:0"), "{found:?}");
    assert!(found[1].starts_with("Error schema web/marathon-c1.yaml:1:8"), "{found:?}");
    assert!(found[2].starts_with("Error syntax web/smartstack.yaml:1:7"), "{found:?}");
    assert!(report_of(&[WEB], Some("gone"))[0].ends_with("there is no such directory"));
    assert!(report_of(&[("web/README", "x")], Some("web"))[0].ends_with(".yaml files"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("web/marathon-c1.yaml")).unwrap();
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    let mut documents = Documents::new(dir.path());
    documents.refresh().unwrap();
    let now = "2018-03-14T09:05:07[UTC]".parse().unwrap();
    let findings = check(&documents, None, &now).findings;
    let told: Vec<&str> = findings.iter().map(|f| f.diagnostic.message.as_str()).collect();
    assert!(told[0].starts_with("cannot be listed: Too many levels"), "{told:?}");
    assert_eq!(told[1..], ["is not a regular file"]);
}

#[test]
fn thousands_of_faults_on_one_line_are_told() {
    let names: Vec<String> = (0..20_000).map(|number| format!("gone{number}.main")).collect();
    let text = format!("main: {{registrations: [{}]}}", names.join(", "));
    let found = report(&[WEB, RUNS, ("api/marathon-c1.yaml", &text)]);
    assert_eq!(found.len(), 20_000);
    assert!(found[19_999].ends_with("there is no service gone19999"));
}
