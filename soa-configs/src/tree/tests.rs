use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
};

use super::*;

/// A soa-configs directory and the tree that looks at it, for cluster `devc`.
struct Soa {
    dir: tempfile::TempDir,
    tree: Tree,
}

impl Soa {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(dir.path().join("soa"));
        tree.set_cluster(Some("devc".parse().unwrap()));
        fs::create_dir(dir.path().join("soa")).unwrap();
        let soa = Self { dir, tree };
        for (file, text) in files {
            soa.write(file, text);
        }
        soa
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("soa").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_dir_all(self.path(name)).unwrap();
    }

    /// Looks again; namespaces with their ports, then instances.
    fn look(&mut self) -> Vec<String> {
        assert!(self.tree.refresh().unreadable.is_none());
        self.known()
    }

    /// Looks again; what is doubted.
    fn doubts(&mut self) -> Vec<String> {
        self.tree.refresh().doubts.into_iter().map(|doubt| doubt.one_line).collect()
    }

    fn known(&self) -> Vec<String> {
        let snapshot = self.tree.snapshot();
        let namespaces = snapshot.namespaces.iter().map(|(name, config)| {
            format!("{name}:{}", config.proxy_port.map_or(0, std::num::NonZeroU16::get))
        });
        let instances = snapshot.instances.keys().map(|(s, i)| format!("{s}/{i}"));
        namespaces.chain(instances).collect()
    }

    fn problems(&self) -> Vec<String> {
        self.tree.snapshot().problems.iter().map(|problem| problem.one_line.clone()).collect()
    }
}

const WEB: (&str, &str) = ("web/smartstack.yaml", "main: {proxy_port: 20001}\n");
const API: (&str, &str) = ("api/smartstack.yaml", "main: {proxy_port: 20002}\n");

#[test]
fn only_what_changed_is_read() {
    let mut soa = Soa::new(&[WEB, API, ("web/marathon-devc.yaml", "main: {}\n_t: {}\n")]);
    let first = soa.tree.refresh();
    assert_eq!((first.changed, first.files_read), (true, 3));
    assert_eq!(soa.known(), ["api.main:20002", "web.main:20001", "web/main"]);
    let before = soa.tree.snapshot();

    let second = soa.tree.refresh();
    assert_eq!((second.changed, second.files_read), (false, 0));
    assert!(Arc::ptr_eq(&before, &soa.tree.snapshot()));

    soa.write(WEB.0, "main: {proxy_port: 3}\n");
    let third = soa.tree.refresh();
    assert_eq!((third.changed, third.files_read), (true, 1));
    assert_eq!(soa.known()[1], "web.main:3");
    assert_eq!(before.namespaces.len(), 2, "who holds an old snapshot keeps it");

    soa.write(WEB.0, "# moved\nmain: {proxy_port: 3}\n");
    let fourth = soa.tree.refresh();
    assert_eq!((fourth.changed, fourth.files_read), (false, 1), "read, but it says the same");
}

#[test]
fn a_broken_file_keeps_its_last_good_state_until_it_is_mended_or_removed() {
    let mut soa = Soa::new(&[WEB, API]);
    soa.look();
    soa.write(WEB.0, "main: {proxy_port: none}\n");
    soa.write(API.0, "main: {proxy_port: 4}\n");
    assert_eq!(soa.look(), ["api.main:4", "web.main:20001"], "the others go on");
    let place = "web/smartstack.yaml: expected a port from 1 to 65535, or null, found \"none\"";
    assert!(soa.problems()[0].contains(place), "{:?}", soa.problems());
    let again = soa.tree.refresh();
    assert_eq!((again.changed, again.files_read), (false, 0), "the fault is remembered");

    soa.write(WEB.0, "main: {proxy_port: 5}\n");
    assert_eq!(soa.look(), ["api.main:4", "web.main:5"]);
    assert_eq!(soa.problems(), [""; 0]);

    soa.write(WEB.0, "main: [");
    soa.look();
    fs::remove_file(soa.path(WEB.0)).unwrap();
    soa.look();
    assert_eq!(soa.look(), ["api.main:4"]);
    assert_eq!(soa.problems(), [""; 0]);
}

#[test]
fn what_an_instance_does_not_say_its_service_says() {
    let marathon = "main: {}\nown: {deploy_group: mine, registrations: [web.own]}\n";
    let service =
        ("web/service.yaml", "deploy_group: '{instance}.all'\ncontainer_port: 80\ncpus: 2\n");
    let mut soa = Soa::new(&[service, ("web/marathon-devc.yaml", marathon)]);
    soa.look();
    let shown = |soa: &Soa, instance: &str| {
        let snapshot = soa.tree.snapshot();
        let config = snapshot.instance("web", instance).unwrap();
        format!("{:?} {} {}", config.registrations, config.deploy_group, config.container_port)
    };
    assert_eq!(shown(&soa, "main"), "[web.main] main.all 80");
    assert_eq!(shown(&soa, "own"), "[web.own] mine 80");

    soa.write(service.0, "deploy_group: [");
    soa.look();
    assert_eq!(shown(&soa, "main"), "[web.main] main.all 80", "its last good state stands");
    assert_eq!(soa.problems().len(), 1);
    soa.write(service.0, "registrations: [web.all]\n");
    soa.look();
    assert_eq!(shown(&soa, "main"), "[web.all] devc.main 8888");
}

#[test]
fn a_vanished_file_is_believed_at_the_second_look() {
    let mut soa = Soa::new(&[WEB, API, ("web/marathon-devc.yaml", "main: {}")]);
    let all = soa.look();
    fs::remove_file(soa.path(WEB.0)).unwrap();
    let doubts = soa.doubts();
    assert!(doubts[0].ends_with("web/smartstack.yaml: is suddenly gone"), "{doubts:?}");
    assert_eq!((doubts.len(), soa.known()), (1, all));
    assert_eq!(soa.problems(), [""; 0], "a doubt is no fault");
    assert_eq!(soa.doubts(), [""; 0]);
    assert_eq!(soa.known(), ["api.main:20002", "web/main"], "it is meant");

    fs::remove_file(soa.path("web/marathon-devc.yaml")).unwrap();
    assert!(soa.doubts()[0].ends_with("web/marathon-devc.yaml: is suddenly gone"));
    assert_eq!(soa.known(), ["api.main:20002", "web/main"]);
    assert_eq!(soa.look(), ["api.main:20002"]);
}

#[test]
fn a_vanished_service_is_believed_at_the_second_look() {
    let mut soa = Soa::new(&[WEB, API, ("web/marathon-devc.yaml", "main: {}")]);
    let all = soa.look();
    soa.remove("web");
    assert_eq!((soa.doubts().len(), soa.known()), (2, all));
    assert_eq!((soa.doubts().len(), soa.known()), (0, vec!["api.main:20002".to_owned()]));
    assert_eq!(soa.tree.services.len(), 1, "nothing of it is kept");
}

#[test]
fn an_empty_directory_is_believed_at_the_second_look() {
    let mut soa = Soa::new(&[WEB, API]);
    let all = soa.look();
    soa.remove("web");
    soa.remove("api");
    assert_eq!((soa.doubts().len(), soa.known()), (2, all));
    assert!(soa.look().is_empty());
    assert_eq!(soa.problems(), [""; 0]);
}

#[test]
fn what_is_gone_for_one_look_only_changes_nothing() {
    let mut soa = Soa::new(&[WEB]);
    for _ in 0..2 {
        soa.write(WEB.0, WEB.1);
        assert_eq!(soa.look(), ["web.main:20001"]);
        assert_eq!(soa.doubts(), [""; 0]);
        soa.remove("web");
        assert_eq!(soa.doubts().len(), 1);
        assert_eq!(soa.known(), ["web.main:20001"]);
    }
    soa.write(WEB.0, "");
    assert!(soa.doubts()[0].ends_with("is suddenly empty"), "the second look shows something else");
    assert_eq!(soa.known(), ["web.main:20001"]);
}

#[test]
fn an_emptied_file_is_believed_at_the_second_look() {
    let mut soa = Soa::new(&[WEB, API]);
    soa.look();
    soa.write(WEB.0, "");
    assert!(soa.doubts()[0].ends_with("web/smartstack.yaml: is suddenly empty"));
    assert_eq!(soa.known(), ["api.main:20002", "web.main:20001"]);
    soa.write(WEB.0, "main: {proxy_port: 5}");
    assert_eq!(soa.look(), ["api.main:20002", "web.main:5"], "it was being written");
    soa.write(WEB.0, "{}");
    soa.look();
    assert_eq!(soa.look(), ["api.main:20002"], "it is meant");
    assert_eq!(soa.problems(), [""; 0]);
    assert_eq!(soa.tree.refresh().files_read, 0);
}

#[test]
fn a_missing_directory_is_never_taken_for_an_empty_one() {
    let mut soa = Soa::new(&[WEB]);
    soa.look();
    let away = soa.dir.path().join("away");
    fs::rename(soa.path(""), &away).unwrap();
    for _ in 0..3 {
        assert!(soa.tree.refresh().unreadable.is_some());
        assert_eq!(soa.known(), ["web.main:20001"]);
        assert_eq!(soa.problems().len(), 1);
    }
    fs::rename(&away, soa.path("")).unwrap();
    assert_eq!(soa.look(), ["web.main:20001"]);
    assert_eq!(soa.problems(), [""; 0]);
}

#[test]
fn a_new_cluster_is_not_mixed_with_the_old_one() {
    let mut soa = Soa::new(&[
        ("web/marathon-devc.yaml", "main: {}\nold: {}\n"),
        ("web/marathon-prod.yaml", "main: {}\n"),
    ]);
    assert_eq!(soa.look(), ["web/main", "web/old"]);
    soa.tree.set_cluster(Some("prod".parse().unwrap()));
    let away = soa.dir.path().join("away");
    fs::rename(soa.path(""), &away).unwrap();
    soa.tree.refresh();
    assert_eq!(soa.tree.snapshot().cluster.as_ref().unwrap().as_str(), "devc");
    assert_eq!(soa.known(), ["web/main", "web/old"], "not dropped by a blind look");
    fs::rename(&away, soa.path("")).unwrap();
    assert_eq!(soa.look(), ["web/main"]);
    let snapshot = soa.tree.snapshot();
    assert_eq!(snapshot.instance("web", "main").unwrap().deploy_group, "prod.main");
    soa.tree.set_cluster(None);
    assert!(soa.look().is_empty());
}

#[test]
fn only_visible_directories_are_services() {
    let mut soa = Soa::new(&[WEB, (".git/smartstack.yaml", WEB.1), ("README", "main: {}")]);
    let linked = soa.dir.path().join("elsewhere");
    fs::create_dir(&linked).unwrap();
    File::create(linked.join("smartstack.yaml")).unwrap().write_all(WEB.1.as_bytes()).unwrap();
    symlink(&linked, soa.path("linked")).unwrap();
    symlink(soa.path("gone"), soa.path("broken")).unwrap();
    fs::create_dir(soa.path("lost+found")).unwrap();
    assert_eq!(soa.look(), ["linked.main:20001", "web.main:20001"]);
    assert_eq!(soa.problems(), [""; 0]);
}

#[test]
fn a_service_with_an_impossible_name_is_reported() {
    let mut soa = Soa::new(&[WEB, ("a b/smartstack.yaml", WEB.1), ("a.b/smartstack.yaml", WEB.1)]);
    assert_eq!(soa.look(), ["web.main:20001"]);
    assert_eq!(soa.problems().len(), 2);
    assert!(soa.problems()[0].contains("\"a b\" is not the name of a service"));
}

#[test]
fn what_cannot_be_read_keeps_its_last_good_state_and_is_tried_again() {
    let mut soa = Soa::new(&[WEB, API]);
    soa.look();
    // A directory in the place of a file, and a link that leads to itself: root can read all else.
    fs::remove_file(soa.path(WEB.0)).unwrap();
    fs::create_dir(soa.path(WEB.0)).unwrap();
    fs::remove_file(soa.path(API.0)).unwrap();
    symlink(soa.path(API.0), soa.path(API.0)).unwrap();
    assert_eq!(soa.look(), ["api.main:20002", "web.main:20001"]);
    let problems = soa.problems();
    assert!(problems[0].starts_with("cannot read ") && problems[0].contains("symbolic links"));
    assert!(problems[1].ends_with("is not a regular file"), "{problems:?}");
    fs::remove_file(soa.path(API.0)).unwrap();
    soa.write(API.0, "main: {proxy_port: 7}");
    assert_eq!(soa.look()[0], "api.main:7");
}

#[test]
fn a_file_that_fails_while_it_is_read_is_tried_at_every_look() {
    let mut soa = Soa::new(&[WEB]);
    soa.look();
    fs::remove_file(soa.path(WEB.0)).unwrap();
    // Linux shows it as a regular file and refuses to read its first page.
    symlink("/proc/self/mem", soa.path(WEB.0)).unwrap();
    for _ in 0..2 {
        assert_eq!(soa.tree.refresh().files_read, 1);
        assert_eq!(soa.known(), ["web.main:20001"]);
        assert!(soa.problems()[0].starts_with("cannot read "));
    }
}

#[test]
fn two_thousand_services_are_looked_at_without_reading_one() {
    let mut soa = Soa::new(&[]);
    for number in 0..2000 {
        soa.write(&format!("s{number}/smartstack.yaml"), WEB.1);
    }
    assert_eq!(soa.tree.refresh().files_read, 2000);
    let again = soa.tree.refresh();
    assert_eq!((again.changed, again.files_read), (false, 0));
}
