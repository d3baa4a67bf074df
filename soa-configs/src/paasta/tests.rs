use std::{fs::File, io::Write, os::unix::fs::symlink};

use super::*;

fn write(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
}

fn loaded(files: &[(&str, &str)]) -> Result<SystemConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    load(dir.path()).map(Option::unwrap).map_err(|error| error.one_line())
}

fn cluster(files: &[(&str, &str)]) -> String {
    loaded(files).unwrap().cluster.unwrap().to_string()
}

#[test]
fn later_paths_win() {
    let (a, b) = (r#"{"cluster": "a"}"#, r#"{"cluster": "b"}"#);
    for files in [
        [("a-b.json", a), ("a/b.json", b)],
        [("a/b.json", a), ("a/b/c.json", b)],
        [("10.json", a), ("9.json", b)],
        [("B.json", a), ("a.json", b)],
        [(".hidden.json", a), ("cluster.json", b)],
    ] {
        assert_eq!(cluster(&files), "b", "{files:?}");
    }
}

#[test]
fn objects_merge_and_everything_else_replaces() {
    let first = r#"{"a": {"x": 1, "y": [1]}, "b": {"x": 1}, "c": 1, "d": {"x": 1}}"#;
    let second = r#"{"a": {"y": [2], "z": 3}, "b": 2, "c": {"x": 1}, "d": {}}"#;
    let merged = loaded(&[("a.json", first), ("b.json", second)]).unwrap().merged;
    let wanted = r#"{"a": {"x": 1, "y": [2], "z": 3}, "b": 2, "c": {"x": 1}, "d": {"x": 1}}"#;
    assert_eq!(json::canonical(&Node::made(merged)).unwrap(), wanted);
}

#[test]
fn only_json_files_count() {
    let files = [("a.json", r#"{"cluster": "a"}"#), ("b.json~", "{"), ("c.JSON", "{")];
    assert_eq!(cluster(&files), "a");
    let none = loaded(&[]).unwrap();
    assert_eq!((none.cluster, none.register_marathon_services), (None, true));
    let off = loaded(&[("a.json", r#"{"register_marathon_services": false}"#)]).unwrap();
    assert!(!off.register_marathon_services);
}

#[test]
fn links_to_files_are_followed_and_links_to_directories_are_not() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(other.path(), "a", r#"{"cluster": "linked"}"#);
    write(other.path(), "z.json", r#"{"cluster": "wrong"}"#);
    symlink(other.path().join("a"), dir.path().join("a.json")).unwrap();
    symlink(other.path(), dir.path().join("b")).unwrap();
    symlink(other.path().join("gone"), dir.path().join("c.json")).unwrap();
    let found = load(dir.path()).unwrap().unwrap();
    assert_eq!(found.cluster.unwrap().as_str(), "linked");
    assert_eq!(found.files, [dir.path().join("a.json")]);
    symlink(dir.path().join("d.json"), dir.path().join("d.json")).unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(error.one_line().contains("/d.json"), "a link to itself is not absent: {error}");
}

#[test]
fn a_missing_directory_is_no_paasta_host() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(&dir.path().join("none")).unwrap(), None);
}

#[test]
fn faults_name_the_file() {
    for (text, fault) in [
        ("{", "/a.json: expected a key in double quotes at line 1, column 2"),
        ("[]", "/a.json: expected a JSON object"),
        (r#"{"cluster": 5}"#, "cluster: expected a text"),
        (r#"{"cluster": "../x"}"#, "cluster: `../x` is not the name of a cluster"),
        (r#"{"register_marathon_services": "no"}"#, "expected true or false"),
    ] {
        let error = loaded(&[("a.json", text)]).unwrap_err();
        assert!(error.contains(fault), "{text}: {error}");
    }
}
