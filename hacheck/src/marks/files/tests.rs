use std::sync::mpsc;

use tempfile::TempDir;

use super::*;

fn files() -> (TempDir, Files) {
    let root = tempfile::tempdir().unwrap();
    let files = Files::open(&root.path().join("spool")).unwrap();
    (root, files)
}

fn at(seconds: f64) -> UnixTime {
    UnixTime::new(seconds).unwrap()
}

fn wish(reason: &str) -> Wish {
    Wish { reason: reason.into(), ..Wish::default() }
}

fn creation(files: &mut Files, name: &str) -> Option<f64> {
    Some(files.get(name, at(100.0)).unwrap()?.creation?.seconds())
}

#[test]
fn down_again_for_the_same_reason_keeps_its_beginning() {
    let (_root, mut files) = files();
    files.down("svc", wish("why"), at(10.0)).unwrap();
    files.down("svc", wish("why"), at(20.0)).unwrap();
    assert_eq!(creation(&mut files, "svc"), Some(10.0));
    files.down("svc", wish("other"), at(30.0)).unwrap();
    assert_eq!(creation(&mut files, "svc"), Some(30.0));
    files.remove("svc").unwrap();
    assert_eq!(creation(&mut files, "svc"), None);
    files.down("svc", wish("other"), at(40.0)).unwrap();
    assert_eq!(creation(&mut files, "svc"), Some(40.0));
}

#[test]
fn a_write_takes_over_the_beginning_of_what_another_program_has_just_written() {
    let (_root, mut files) = files();
    let content = |creation| Content { reason: "why".into(), expiration: None, creation };
    files.down("svc", wish("why"), at(10.0)).unwrap();
    let mut write = |creation, renew| {
        files
            .write("svc", content(creation), renew, at(50.0))
            .unwrap()
            .creation
            .map(|t| t.seconds())
    };
    assert_eq!(write(Some(at(20.0)), true), Some(10.0));
    assert_eq!(write(Some(at(20.0)), false), Some(20.0), "a given beginning stands");
    assert_eq!(write(Some(at(15.0)), true), Some(15.0), "an older one too");
    files.down("svc", Wish { expiration: Some(at(30.0)), ..wish("why") }, at(12.0)).unwrap();
    let written = files.write("svc", content(Some(at(50.0))), true, at(50.0)).unwrap();
    assert_eq!(written.creation, Some(at(50.0)), "a void mark has no beginning to keep");
}

#[test]
fn a_void_mark_is_deleted_but_not_one_that_was_written_since() {
    let (_root, mut files) = files();
    let short = Wish { expiration: Some(at(30.0)), ..wish("why") };
    files.down("svc", short, at(10.0)).unwrap();
    files.expire("svc", at(20.0)).unwrap();
    assert!(files.path("svc").exists(), "it still holds");
    assert_eq!(files.get("svc", at(31.0)).unwrap(), None);
    assert!(!files.path("svc").exists());
}

#[test]
fn a_change_waits_for_another_program_that_holds_the_lock() {
    let (root, mut files) = files();
    let (mut other, spool) = (Files::open(files.directory()).unwrap(), root.path().join("spool"));
    let held = other.lock().unwrap();
    let (began, begins) = mpsc::channel();
    let writing = std::thread::spawn(move || {
        began.send(()).unwrap();
        files.down("svc", wish("why"), at(20.0)).unwrap();
        creation(&mut files, "svc")
    });
    begins.recv().unwrap();
    // What is written under the lock is what the other program finds.
    let earlier = Content { reason: "why".into(), expiration: None, creation: Some(at(10.0)) };
    other.replace("svc", &earlier).unwrap();
    drop(held);
    assert_eq!(writing.join().unwrap(), Some(10.0));
    assert!(spool.join("svc").exists());
}

#[test]
fn a_program_that_never_lets_go_of_the_lock_stops_nobody() {
    let (_root, mut files) = files();
    let mut other = Files::open(files.directory()).unwrap();
    let held = other.lock().unwrap();
    for number in 0..50 {
        files.down(&format!("svc:{number}"), wish("why"), at(20.0)).unwrap();
    }
    assert!(files.lock_is_stuck, "it was waited for once");
    drop(held);
    files.remove("svc:1").unwrap();
    assert!(!files.lock_is_stuck);
}

#[test]
fn who_may_write_marks_may_write_unfinished_ones() {
    let (_root, mut files) = files();
    let group = fs::Permissions::from_mode(0o2770);
    fs::set_permissions(files.directory(), group).unwrap();
    files.down("svc", wish("why"), at(20.0)).unwrap();
    let mode = fs::metadata(files.path(UNFINISHED)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o2770);
}

#[test]
fn names_are_listed_without_directories() {
    let (_root, mut files) = files();
    files.down("svc", wish("why"), at(20.0)).unwrap();
    fs::create_dir(files.path("directory")).unwrap();
    std::os::unix::fs::symlink("nowhere", files.path("dangling")).unwrap();
    let mut names = files.names().unwrap();
    names.sort();
    assert_eq!(names, ["dangling", "svc"]);
    assert_eq!(files.get("dangling", at(1.0)).unwrap(), None);
    assert!(matches!(files.get("directory", at(1.0)), Err(Fault::Kind)));
}
