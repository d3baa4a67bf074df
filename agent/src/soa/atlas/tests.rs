use std::fs;

use super::*;

struct Files {
    dir: tempfile::TempDir,
    reader: Reader,
}

const TYPES: (&str, &str) = ("types.json", r#"["superregion", "region"]"#);
const MAPPING: (&str, &str) = ("mapping.json", r#"{"a_superregion": {"b_region": {}}}"#);
const TOPOLOGY: (&str, &str) = ("topology/a.yaml", "- [zk2, 2181]\n- [zk1, 2181]\n");
const LABELS: (&str, &str) = ("labels/web.main31001", "canary: 'yes'\n");

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let settings = Settings {
            types_file: path("types.json"),
            mapping_file: path("mapping.json"),
            topology_dir: Some(path("topology")),
            labels_dir: path("labels"),
            local: Some((path("topology/local.yaml"), "zk9".parse().unwrap())),
        };
        let reader = Reader::new(settings);
        let host = Self { dir, reader };
        files.iter().for_each(|file| host.write(*file));
        host
    }

    fn write(&self, (file, text): (&str, &str)) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::atomic_file::write(&path, text.as_bytes()).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::rename(self.dir.path().join(file), self.dir.path().join("away")).unwrap();
    }

    fn look(&mut self) -> Look {
        self.reader.look(&[])
    }
}

#[test]
fn what_was_read_once_stands_while_its_file_is_gone_or_broken() {
    let all = [TYPES, MAPPING, TOPOLOGY];
    for (file, broken) in [
        (MAPPING.0, Some("{")),
        (MAPPING.0, None),
        (TOPOLOGY.0, Some("[]")),
        (TOPOLOGY.0, None),
        ("topology", None),
    ] {
        let mut host = Files::new(&all);
        let before = host.look();
        assert_eq!(before.problems, []);
        let ensembles = before.atlas.ensembles.clone().unwrap();
        assert_eq!(ensembles["a"].as_str(), "zk1:2181,zk2:2181");
        match broken {
            Some(text) => host.write((file, text)),
            None => host.remove(file),
        }
        for _ in 0..3 {
            let now = host.look();
            assert_eq!(now.atlas, before.atlas, "{file}");
            assert_eq!(now.problems.len(), 1, "{file}: {:?}", now.problems);
            assert!(now.problems[0].file.ends_with(file), "{:?}", now.problems);
        }
    }
}

#[test]
fn a_changed_list_of_servers_counts_at_once_and_a_broken_one_harms_no_other_location() {
    let mut host =
        Files::new(&[TOPOLOGY, ("topology/b.yaml", "nonsense"), ("topology/README", "")]);
    let now = host.look();
    assert_eq!(now.atlas.ensembles.as_ref().unwrap().keys().collect::<Vec<_>>(), ["a"]);
    assert!(now.problems[0].file.ends_with("b.yaml"), "{:?}", now.problems);
    host.write(("topology/b.yaml", "- [zk3, 2181]"));
    host.write((TOPOLOGY.0, "- [zk4, 2181]"));
    let now = host.look();
    assert_eq!(now.problems, []);
    let ensembles = now.atlas.ensembles.clone().unwrap();
    assert_eq!((ensembles["a"].as_str(), ensembles["b"].as_str()), ("zk4:2181", "zk3:2181"));
}

#[test]
fn a_file_that_was_broken_from_the_start_leaves_doubt_and_one_that_never_was_does_not() {
    assert!(!Files::new(&[]).look().atlas.in_doubt);
    assert!(Files::new(&[]).look().atlas.ensembles.is_none());
    for broken in [(MAPPING.0, "{"), (TOPOLOGY.0, "[")] {
        let mut host = Files::new(&[broken]);
        assert!(host.look().atlas.in_doubt, "{broken:?}");
        host.write(if broken.0 == MAPPING.0 { MAPPING } else { TOPOLOGY });
        assert!(!host.look().atlas.in_doubt, "{broken:?}");
    }
}

#[test]
fn the_registry_of_this_host_moving_away_is_told() {
    let mut host = Files::new(&[("topology/local.yaml", "- [zk9, 2181]")]);
    assert_eq!(host.look().problems, []);
    host.write(("topology/local.yaml", "- [zk8, 2181]"));
    let problems = host.look().problems;
    assert!(
        problems[0].one_line.contains("names zk8:2181, and zk9:2181 is in use"),
        "{problems:?}"
    );
}

#[test]
fn labels_that_are_gone_or_empty_are_believed_at_the_second_look() {
    for emptied in [true, false] {
        let mut host = Files::new(&[LABELS]);
        let before = host.look();
        if emptied {
            host.write((LABELS.0, ""));
        } else {
            host.remove(LABELS.0);
        }
        let first = host.look();
        assert_eq!((first.atlas, first.doubts.len()), (before.atlas, 1));
        let second = host.look();
        assert!(second.atlas.labels.is_empty() && second.doubts.is_empty());
    }
}

#[test]
fn a_broken_file_of_labels_keeps_its_last_good_ones_and_harms_no_other() {
    let mut host = Files::new(&[LABELS, ("labels/web.main31001.b", "a: 1")]);
    let namespace = "web.main".parse().unwrap();
    let labels = host.look().atlas.labels_of(&namespace, 31001);
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["canary"]);
    host.write(("labels/web.main31001.b", "a: '1'"));
    assert_eq!(host.look().atlas.labels_of(&namespace, 31001).len(), 2);
    host.write(("labels/web.main31001.b", "a: 1"));
    let now = host.look();
    assert_eq!(now.atlas.labels_of(&namespace, 31001).len(), 2);
    assert!(now.problems[0].file.ends_with("web.main31001.b"), "{:?}", now.problems);
}

#[test]
fn a_port_is_not_the_beginning_of_another_and_a_later_file_wins() {
    let file = |label: &str, value: &str| [(label.to_owned(), value.to_owned())].into();
    let labels = [
        ("web.main3100", file("a", "plain")),
        ("web.main3100.z", file("a", "later")),
        ("web.main31001", file("b", "another port")),
        ("web.main3100_x", file("c", "")),
        ("web.mainly3100", file("d", "")),
    ];
    let labels = labels.map(|(name, labels)| (name.to_owned(), labels)).into();
    let atlas = Atlas { labels, ..Atlas::default() };
    let found = atlas.labels_of(&"web.main".parse().unwrap(), 3100);
    let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, [("a", "later"), ("c", "")]);
}
