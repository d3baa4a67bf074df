use std::io::Write;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(20);

fn write(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Follows until something is so, and says how many files were read for it.
fn until(follower: &mut Follower, is_so: impl Fn(&Documents) -> bool) -> usize {
    let mut read = 0;
    while !is_so(follower.documents()) {
        let look = follower.next(DEADLINE).unwrap().expect("nothing changed");
        read += look.files_read;
    }
    read
}

/// The same of a tree that cannot always be listed.
fn eventually(follower: &mut Follower, is_so: impl Fn(&Documents) -> bool) {
    for _ in 0..20 {
        if is_so(follower.documents()) {
            return;
        }
        let _ = follower.next(DEADLINE);
    }
    panic!("it is not seen");
}

fn says(documents: &Documents, service: &str, text: &str) -> bool {
    let document = documents.service(service).and_then(|files| files.get("service.yaml"));
    document.is_some_and(|document| &*document.text == text)
}

#[test]
fn a_change_is_seen_without_a_look_at_everything() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..50 {
        write(dir.path(), &format!("s{number}/service.yaml"), "a: 1");
    }
    let mut follower = Follower::new(dir.path(), HOUR);
    assert_eq!(until(&mut follower, |known| says(known, "s7", "a: 1")), 50);
    write(dir.path(), "s7/service.yaml", "a: 22");
    assert!(until(&mut follower, |known| says(known, "s7", "a: 22")) < 5);
    write(dir.path(), "new/service.yaml", "b: 1");
    until(&mut follower, |known| says(known, "new", "b: 1"));
    write(dir.path(), "s8/service.yaml", "a: [");
    write(dir.path(), "s9/service.yaml", "a: 33");
    until(&mut follower, |known| says(known, "s9", "a: 33") && known.problems().count() == 1);
    assert!(says(follower.documents(), "s8", "a: 1"), "its last good state stands");
}

#[test]
fn a_service_that_is_gone_is_believed_after_the_second_look() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "web/service.yaml", "a: 1");
    let mut follower = Follower::new(dir.path(), HOUR);
    until(&mut follower, |known| says(known, "web", "a: 1"));
    fs::remove_dir_all(dir.path().join("web")).unwrap();
    let mut doubted = false;
    while follower.documents().service("web").is_some() {
        let look = follower.next(DEADLINE).unwrap().expect("nothing changed");
        doubted |= !look.doubts.is_empty();
    }
    assert!(doubted);
}

#[test]
fn a_tree_that_appears_late_or_is_replaced_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let mut follower = Follower::new(&tree, HOUR);
    assert!(follower.next(Duration::ZERO).is_err(), "it is not there yet");
    write(&tree, "web/service.yaml", "a: 1");
    eventually(&mut follower, |known| says(known, "web", "a: 1"));
    write(dir.path(), "other/web/service.yaml", "a: 2");
    fs::rename(&tree, dir.path().join("old")).unwrap();
    fs::rename(dir.path().join("other"), &tree).unwrap();
    eventually(&mut follower, |known| says(known, "web", "a: 2"));
}

#[test]
fn nothing_happens_while_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "web/service.yaml", "a: 1");
    let mut follower = Follower::new(dir.path(), HOUR);
    until(&mut follower, |known| says(known, "web", "a: 1"));
    assert!(follower.next(Duration::ZERO).unwrap().is_none());
}

#[test]
fn changes_for_which_there_was_no_room_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "web/service.yaml", "a: 1");
    write(dir.path(), "api/service.yaml", "a: 1");
    let mut follower = Follower::new(dir.path(), HOUR);
    until(&mut follower, |known| says(known, "api", "a: 1"));
    // Hints come from here only.
    follower.watch = None;
    write(dir.path(), "api/service.yaml", "a: 22");
    for _ in 0..MAX_HINTS {
        follower.sender.send(Hint::Service("web".to_owned()));
    }
    follower.sender.send(Hint::Service("api".to_owned()));
    until(&mut follower, |known| says(known, "api", "a: 22"));
}

#[test]
fn when_everything_may_have_changed_it_is_watched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    write(dir.path(), "web/service.yaml", "a: 1");
    let mut follower = Follower::new(dir.path(), HOUR);
    until(&mut follower, |known| says(known, "web", "a: 1"));
    // As when the directory was removed and a new one got its number.
    follower.watch = watch(other.path(), follower.sender.clone());
    follower.sender.send(Hint::Everything);
    assert!(follower.next(DEADLINE).unwrap().is_some());
    write(dir.path(), "web/service.yaml", "a: 333");
    until(&mut follower, |known| says(known, "web", "a: 333"));
}

#[test]
fn an_event_is_no_second_look() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "web/service.yaml", "a: 1");
    let mut follower = Follower::new(dir.path(), HOUR);
    until(&mut follower, |known| says(known, "web", "a: 1"));
    fs::remove_file(dir.path().join("web/service.yaml")).unwrap();
    let both = || BTreeSet::from(["web".to_owned()]);
    for _ in 0..3 {
        assert_eq!(follower.look_at(both(), Trust::FirstLook).doubts.len(), 1);
    }
    assert!(says(follower.documents(), "web", "a: 1"));
    assert_eq!(follower.look_at(both(), Trust::SecondLook).doubts.len(), 0);
    assert!(follower.documents().service("web").is_none());
}

#[test]
fn hidden_directories_are_no_services() {
    let root = Path::new("/soa");
    let event = |path: &str| {
        let kind = EventKind::Modify(notify::event::ModifyKind::Any);
        Ok(Event::new(kind).add_path(path.into()))
    };
    assert!(hints(root, event("/soa/.git/index")).is_empty());
    assert!(
        matches!(&hints(root, event("/soa/web/a"))[..], [Hint::Service(name)] if name == "web")
    );
    assert!(matches!(hints(root, event("/soa"))[..], [Hint::Everything]));
}
