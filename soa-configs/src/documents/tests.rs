use std::{fs::File, io::Write};

use super::*;

struct Soa {
    dir: tempfile::TempDir,
    documents: Documents,
}

impl Soa {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::new(dir.path());
        let soa = Self { dir, documents };
        for (name, text) in files {
            soa.write(name, text);
        }
        soa
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // Another inode: what is written twice within a tick of the clock differs all the same.
        let beside = file.with_extension("new");
        File::create(&beside).unwrap().write_all(text.as_bytes()).unwrap();
        fs::rename(beside, file).unwrap();
    }

    fn look(&mut self) -> usize {
        self.documents.refresh().unwrap().files_read
    }

    fn text(&self, service: &str, file: &str) -> Option<&str> {
        Some(&self.documents.service(service)?.get(file)?.text)
    }
}

#[test]
fn only_what_changed_is_parsed_again() {
    let mut soa = Soa::new(&[
        ("web/service.yaml", "a: 1"),
        ("web/secrets/x.json", "{}"),
        ("web/port", "80\n"),
        ("web/README", "{"),
        ("api/marathon-c1.yaml", "main: {}"),
    ]);
    assert_eq!(soa.look(), 4);
    assert_eq!(soa.look(), 0);
    soa.write("api/marathon-c1.yaml", "main: {cpus: 1}");
    assert_eq!(soa.look(), 1);
    assert_eq!(soa.text("api", "marathon-c1.yaml"), Some("main: {cpus: 1}"));
    soa.write("api/service.yaml", "b: 1");
    assert_eq!(soa.documents.refresh_service("web").files_read, 0);
    assert_eq!(soa.documents.refresh_service("api").files_read, 1);
}

#[test]
fn a_broken_file_keeps_its_last_good_state_and_leaves_the_rest_current() {
    let mut soa = Soa::new(&[("web/service.yaml", "a: 1"), ("web/monitoring.yaml", "team: a")]);
    soa.look();
    soa.write("web/service.yaml", "a: [");
    soa.write("web/monitoring.yaml", "team: b");
    soa.look();
    assert_eq!(soa.text("web", "service.yaml"), Some("a: 1"));
    assert_eq!(soa.text("web", "monitoring.yaml"), Some("team: b"));
    let problems: Vec<&str> = soa.documents.problems().map(|p| p.one_line.as_str()).collect();
    assert!(problems.len() == 1 && problems[0].contains("line 1, column 4"), "{problems:?}");
    soa.write("web/service.yaml", "a: 2");
    soa.look();
    assert_eq!(soa.documents.problems().count(), 0);
}

#[test]
fn what_is_suddenly_gone_is_believed_at_the_second_look() {
    let mut soa = Soa::new(&[("web/service.yaml", "a: 1"), ("api/service.yaml", "a: 1")]);
    soa.look();
    fs::remove_dir_all(soa.dir.path().join("web")).unwrap();
    assert_eq!(soa.documents.refresh().unwrap().doubts.len(), 1);
    assert!(soa.text("web", "service.yaml").is_some());
    assert_eq!(soa.documents.refresh().unwrap().doubts.len(), 0);
    assert!(soa.documents.service("web").is_none());
    fs::rename(soa.dir.path(), soa.dir.path().with_extension("away")).unwrap();
    assert!(soa.documents.refresh().is_err());
    assert!(soa.text("api", "service.yaml").is_some(), "blindness is not emptiness");
    fs::rename(soa.dir.path().with_extension("away"), soa.dir.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_listed_is_told_and_hides_nothing_else() {
    let mut soa = Soa::new(&[("web/service.yaml", "a: 1"), ("api/secrets", "no directory")]);
    soa.write("api/service.yaml", "a: 1");
    let web = soa.dir.path().join("web");
    let endless = soa.dir.path().join("endless");
    std::os::unix::fs::symlink("secrets", web.join("secrets")).unwrap();
    std::os::unix::fs::symlink("endless", &endless).unwrap();
    soa.look();
    assert!(soa.text("api", "service.yaml").is_some());
    assert!(soa.text("web", "service.yaml").is_some());
    let told: Vec<PathBuf> = soa.documents.problems().map(|p| p.file.clone()).collect();
    assert_eq!(told, [endless.clone(), web.join("secrets")]);
    fs::remove_file(endless).unwrap();
    fs::remove_file(web.join("secrets")).unwrap();
    soa.look();
    assert_eq!(soa.documents.problems().count(), 0);
    assert!(soa.documents.service("endless").is_none());
}

#[test]
fn clusters_have_lower_case_names() {
    let names = ["marathon-c1", "marathon-SHARED", "chronos-c2", "marathon-a_b-2", "marathon"];
    let files: Vec<(String, &str)> =
        names.iter().map(|name| (format!("web/{name}.yaml"), "x: {}")).collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let mut soa = Soa::new(&files);
    soa.look();
    let service = soa.documents.service("web").unwrap();
    let found: Vec<&str> = service.clusters("marathon").map(|(cluster, _)| cluster).collect();
    assert_eq!(found, ["a_b-2", "c1"]);
}
