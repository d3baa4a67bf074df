use std::{fs::File as Disk, os::unix::fs::MetadataExt as _, sync::mpsc, time::Duration};

use notify::{
    EventKind, RecursiveMode, Watcher,
    event::{ModifyKind, RenameMode},
};

use super::{
    super::tests::{World, names, put, record},
    *,
};

struct Place {
    dir: tempfile::TempDir,
    directory: Directory,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path().join("services"), Form::Services(Source::V2));
        fs::create_dir(dir.path().join("services")).unwrap();
        Self { dir, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("services").join(name)
    }

    fn names(&self) -> Vec<String> {
        names(&self.path(""))
    }

    /// Which file it is: a new one has another number.
    fn inode(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().ino()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

const ALL: [&str; 5] = [
    "pencil.main.__slow__report_timeouts.json",
    "pencil.main.habitat.__slow__report_timeouts.json",
    "pencil.main.habitat.json",
    "pencil.main.json",
    "pencil.only_files.json",
];

#[test]
fn only_what_changed_is_written_and_only_files_of_backends_that_are_gone_are_removed() {
    let (mut place, mut world) = (Place::new(), World::pencil());
    put(&place.path("gone.main.json"), "[]");
    let strangers = [".hidden.main.json", "notes.json", "other.main.yaml", "readme.txt"];
    for name in strangers {
        put(&place.path(name), "x");
    }
    fs::create_dir(place.path("dir.main.json")).unwrap();
    place.directory.follow(&world.catalog(), Turn::All);
    let mut expected = [&ALL[..], &strangers[..], &["dir.main.json"]].concat();
    expected.sort_unstable();
    assert_eq!(place.names(), expected);
    assert_eq!(fs::metadata(place.path(ALL[0])).unwrap().mode() & 0o777 & !0o644, 0);

    let before = ALL.map(|name| place.inode(name));
    place.directory.follow(&world.catalog(), Turn::All);
    assert_eq!(ALL.map(|name| place.inode(name)), before);

    world.records("pencil.main", &[("web1_0000000000", &record(31001))]);
    place.directory.follow(&world.catalog(), Turn::Changes);
    let changed = ALL.map(|name| place.inode(name));
    assert!(changed.iter().zip(&before).take(4).all(|(now, before)| now != before));
    assert_eq!(changed[4], before[4]);

    // Of the namespaces none has gone.
    world.soa("pencil", "main: {proxy_port: 20973}\nonly_files: {proxy_port: null}");
    place.directory.follow(&world.catalog(), Turn::Changes);
    let kept: Vec<_> = place.names().into_iter().filter(|name| ALL.contains(&&**name)).collect();
    assert_eq!(kept, ALL[3..]);
}

#[test]
fn what_says_the_same_in_another_way_stands_and_what_is_broken_is_replaced() {
    let (mut place, mut world) = (Place::new(), World::pencil());
    place.directory.follow(&world.catalog(), Turn::All);
    let text = place.text("pencil.main.json");
    let (first, rest) = text[1..text.len() - 1].split_once("},").unwrap();
    let turned = format!("[ {rest}, {first}}} ]\n");
    for (present, stands) in [(turned.as_str(), true), ("[{\"name\":", false), ("", false)] {
        put(&place.path("pencil.main.json"), present);
        let mut afresh = Directory::new(place.path(""), Form::Services(Source::V2));
        afresh.follow(&world.catalog(), Turn::All);
        let expected = if stands { present } else { &text };
        assert_eq!(place.text("pencil.main.json"), expected);
        assert_eq!(afresh.troubles(), []);
    }
    // Nobody may be kept waiting by what is no file.
    fs::remove_file(place.path("pencil.main.json")).unwrap();
    nix::unistd::mkfifo(&place.path("pencil.main.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.directory.follow(&world.catalog(), Turn::All);
    assert_eq!(place.text("pencil.main.json"), text);
    let _ = Disk::create(place.path("pencil.main.json")).unwrap();
    place.directory.follow(&world.catalog(), Turn::Changes);
    assert_eq!(
        place.text("pencil.main.json"),
        "",
        "what did not change is looked at once a minute"
    );
    place.directory.follow(&world.catalog(), Turn::All);
    assert_eq!(place.text("pencil.main.json"), text);
}

#[test]
fn files_of_namespaces_that_are_refused_or_unread_stay() {
    let (mut place, mut world) = (Place::new(), World::pencil());
    place.directory.follow(&world.catalog(), Turn::All);
    world.soa("unread", "main: {proxy_port: 2}");
    world.soa("pencil", "main: {proxy_port: 20973, discover: nowhere}");
    for name in ["unread.main.habitat.json", "unread.mainly.json"] {
        put(&place.path(name), "[]");
    }
    place.directory.follow(&world.catalog(), Turn::All);
    let mut expected = ALL[..4].to_vec();
    expected.push("unread.main.habitat.json");
    assert_eq!(place.names(), expected);
    // Now it is known that they are gone.
    world.soa("pencil", "{}");
    world.soa("unread", "{}");
    place.directory.follow(&world.catalog(), Turn::Changes);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_written_harms_no_other_and_is_tried_again() {
    let (mut place, mut world) = (Place::new(), World::pencil());
    fs::create_dir(place.path("pencil.main.json")).unwrap();
    place.directory.follow(&world.catalog(), Turn::All);
    let [trouble] = &place.directory.troubles()[..] else { panic!("{:?}", place.directory) };
    assert!(trouble.file.ends_with("services/pencil.main.json"), "{trouble:?}");
    assert!(trouble.message.starts_with("cannot be written: "), "{trouble:?}");
    assert_eq!(place.names(), ALL, "and nothing half written");
    fs::remove_dir(place.path("pencil.main.json")).unwrap();
    place.directory.follow(&world.catalog(), Turn::Changes);
    assert!(!place.path("pencil.main.json").exists(), "changes of others are no reason to try");
    place.directory.follow(&world.catalog(), Turn::Retry);
    assert!(place.text("pencil.main.json").starts_with("[{"));
    assert_eq!(place.directory.troubles(), []);
}

#[test]
fn a_directory_at_fault_is_told_in_few_words() {
    let mut world = World::new();
    let place = Place::new();
    let mut directory = Directory::new(place.path(""), Form::Envoy);
    for number in 0..NAMED + 5 {
        world.soa(&format!("s{number}"), "main: {proxy_port: null}");
        world.records(&format!("s{number}.main"), &[]);
        fs::create_dir(place.path(&format!("s{number}.main.yaml"))).unwrap();
    }
    directory.follow(&world.catalog(), Turn::All);
    let troubles = directory.troubles();
    assert_eq!(troubles.len(), NAMED + 1);
    assert!(troubles[NAMED].message.starts_with("5 more files"), "{troubles:?}");
    directory.leave();
    assert_eq!(directory.troubles(), []);
}

#[test]
fn a_reader_is_told_of_a_new_file_by_its_name() {
    let (mut place, mut world) = (Place::new(), World::pencil());
    place.directory.follow(&world.catalog(), Turn::All);
    let (sender, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let _ = sender.send(event.unwrap());
    })
    .unwrap();
    watcher.watch(&place.path(""), RecursiveMode::NonRecursive).unwrap();
    world.records("pencil.only_files", &[("web1_0000000000", &record(31001))]);
    place.directory.follow(&world.catalog(), Turn::Changes);
    let patience = Duration::from_secs(20);
    let moved_to = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    let moved = std::iter::from_fn(|| events.recv_timeout(patience).ok())
        .find(|event| event.kind == moved_to)
        .unwrap();
    assert_eq!(moved.paths, [place.path("pencil.only_files.json")]);
    // What is seen by its final name is whole.
    assert!(place.text("pencil.only_files.json").ends_with("}]"));
}
