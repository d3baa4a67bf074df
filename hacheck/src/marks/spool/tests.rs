use std::{io::Write, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::{
    files::{ABANDONED, UNFINISHED},
    *,
};

fn spool() -> (TempDir, Spool) {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(&root.path().join("spool")).unwrap();
    (root, spool)
}

/// As an operator or an older program does it.
fn put(spool: &Spool, name: &str, content: &str) {
    fs::File::create(spool.files.directory().join(name))
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
}

fn reasons(reading: &Reading) -> BTreeMap<String, String> {
    let marks = reading.marks.values();
    marks.map(|mark| (mark.key.to_string(), mark.reason.clone())).collect()
}

fn mark(name: &str, reason: &str) -> Mark {
    let key = name.parse().unwrap();
    Mark { key, reason: reason.into(), expiration: None, creation: UnixTime::new(7.0) }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_written_mark_is_a_readable_file_and_leaves_nothing_beside_it() {
    let (_root, mut spool) = spool();
    spool.write(&mark("svc:80", "drain"), false).unwrap();
    let content = fs::read_to_string(spool.files.directory().join("svc:80")).unwrap();
    assert_eq!(content, r#"{"reason": "drain", "expiration": null, "creation": 7.0}"#);
    assert_eq!(mode(&spool.files.directory().join("svc:80")), 0o644);
    assert_eq!(mode(spool.files.directory()), 0o750);
    assert_eq!(fs::read_dir(spool.files.directory().join(UNFINISHED)).unwrap().count(), 0);
    let reading = spool.read(UnixTime::now()).unwrap();
    assert_eq!(reading.marks.len(), 1);
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
}

#[test]
fn only_regular_files_of_sane_name_and_size_are_marks() {
    let (_root, mut spool) = spool();
    put(&spool, "svc", "why");
    put(&spool, "empty", "");
    put(&spool, "array", "[]");
    put(&spool, "svc:1.tmp", "x");
    put(&spool, "large", &"x".repeat(65 * 1024));
    fs::create_dir(spool.files.directory().join("directory")).unwrap();
    std::os::unix::fs::symlink("nowhere", spool.files.directory().join("dangling")).unwrap();
    nix::unistd::mkfifo(&spool.files.directory().join("pipe"), nix::sys::stat::Mode::S_IRWXU)
        .unwrap();
    let reading = spool.read(UnixTime::now()).unwrap();
    let expected = [("array", "[]"), ("empty", ""), ("svc", "why")];
    assert_eq!(reasons(&reading), expected.map(|(k, v)| (k.into(), v.into())).into());
    let faults: Vec<_> = reading.faults.keys().map(String::as_str).collect();
    assert_eq!(faults, ["array", "large", "pipe", "svc:1.tmp"]);
}

#[test]
fn an_expired_mark_is_deleted_and_one_that_expires_now_is_not() {
    let (_root, mut spool) = spool();
    put(&spool, "old", r#"{"expiration": 99.5}"#);
    put(&spool, "new", r#"{"expiration": 100}"#);
    let reading = spool.read(UnixTime::new(100.0).unwrap()).unwrap();
    assert_eq!(reasons(&reading).into_keys().collect::<Vec<_>>(), ["new"]);
    assert!(!spool.files.directory().join("old").exists());
    assert!(spool.files.directory().join("new").exists());
}

#[test]
fn a_file_that_is_being_rewritten_keeps_its_mark() {
    let (_root, mut spool) = spool();
    put(&spool, "svc", r#"{"reason": "drain", "creation": 7}"#);
    spool.read(UnixTime::now()).unwrap();
    put(&spool, "svc", "");
    let reading = spool.read(UnixTime::now()).unwrap();
    assert_eq!(reasons(&reading)["svc"], "drain");
    let later = UnixTime::new(UnixTime::now().seconds() + 10.0).unwrap();
    let reading = spool.read(later).unwrap();
    assert_eq!(reasons(&reading)["svc"], "", "left empty on purpose");
}

#[test]
fn a_settled_file_is_not_read_twice_but_a_changed_one_is() {
    let (_root, mut spool) = spool();
    put(&spool, "svc", "one");
    let later = |seconds| UnixTime::new(UnixTime::now().seconds() + seconds).unwrap();
    let first = spool.read(later(10.0)).unwrap();
    let second = spool.read(later(20.0)).unwrap();
    let key = "svc".parse().unwrap();
    assert!(Arc::ptr_eq(&first.marks[&key], &second.marks[&key]));
    put(&spool, "svc", "two more");
    assert_eq!(reasons(&spool.read(later(30.0)).unwrap())["svc"], "two more");
}

#[test]
fn removing_what_is_not_there_is_no_error() {
    let (root, mut spool) = spool();
    spool.write(&mark("svc", ""), false).unwrap();
    spool.remove(&"svc".parse().unwrap()).unwrap();
    spool.remove(&"svc".parse().unwrap()).unwrap();
    fs::remove_dir_all(root.path().join("spool")).unwrap();
    spool.remove(&"svc".parse().unwrap()).unwrap();
}

#[test]
fn what_a_crash_left_half_written_is_cleared() {
    let (root, mut spool) = spool();
    spool.write(&mark("svc", ""), false).unwrap();
    put(&spool, ".unfinished~/1-1", "{");
    put(&spool, ".unfinished~/1-2", "{");
    let old = fs::File::open(spool.files.directory().join(".unfinished~/1-1")).unwrap();
    old.set_modified(std::time::SystemTime::now() - 2 * ABANDONED).unwrap();
    let spool = Spool::open(&root.path().join("spool")).unwrap();
    let left = fs::read_dir(spool.files.directory().join(UNFINISHED)).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["1-2"], "another program is writing this one");
}
