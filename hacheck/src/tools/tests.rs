//! Every tool against a spool directory, byte for byte.

use std::{fs, os::unix::ffi::OsStringExt, path::PathBuf};

use tempfile::TempDir;

use super::*;

/// A spool directory with nothing in it yet, and somebody who uses it.
struct Scene {
    root: TempDir,
    caller: Caller,
}

/// Exit code, standard output, standard error.
type Ran = (u8, String, String);

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let caller =
            Caller { names: vec!["alice".into()], nonhumans: root.path().join("nonhumans") };
        Self { root, caller }
    }

    fn spool(&self) -> PathBuf {
        self.root.path().join("spool")
    }

    fn put(&self, name: &str, content: &str) {
        fs::create_dir_all(self.spool()).unwrap();
        fs::File::create(self.spool().join(name)).unwrap().write_all(content.as_bytes()).unwrap();
    }

    fn content(&self, name: &str) -> Option<serde_json::Value> {
        let text = fs::read(self.spool().join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    fn run(&self, tool: Tool, words: &str) -> Ran {
        let words = words.split(' ').filter(|word| !word.is_empty()).map(OsString::from);
        self.run_with(tool, words)
    }

    fn run_with(&self, tool: Tool, words: impl IntoIterator<Item = OsString>) -> Ran {
        let spool = ["--spool-root".into(), self.spool().into_os_string()];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let output = Output { out: &mut out, err: &mut err };
        let code = tool.run(spool.into_iter().chain(words), &self.caller, output);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }
}

fn quiet(code: u8, out: &str) -> Ran {
    (code, out.to_owned(), String::new())
}

#[test]
fn a_tool_is_the_name_it_is_called_by() {
    let cases = [
        ("haup", Some(Tool::Up)),
        ("/usr/bin/hadown", Some(Tool::Down)),
        ("./hastatus", Some(Tool::Status)),
        ("hashowdowned", Some(Tool::ShowDowned)),
        ("/x/halist", Some(Tool::List)),
        ("hacheck", None),
        ("hadown.old", None),
        ("", None),
    ];
    for (program, tool) in cases {
        assert_eq!(Tool::of(OsStr::new(program)), tool, "{program}");
    }
}

#[test]
fn a_reason_that_is_no_utf_8_holds_a_service_down_all_the_same() {
    let scene = Scene::new();
    let words = ["-r".into(), OsString::from_vec(b"caf\xe9".to_vec()), "svc".into()];
    assert_eq!(scene.run_with(Tool::Down, words), quiet(0, ""));
    assert_eq!(scene.content("svc").unwrap()["reason"], "caf\u{fffd}");
}

#[test]
fn down_and_up_leave_the_files_that_the_old_ones_leave() {
    let scene = Scene::new();
    let down = "-r why -e 1571234567.25 svc.main other";
    assert_eq!(scene.run(Tool::Down, down), quiet(0, ""));
    for name in ["svc.main", "other"] {
        let content = scene.content(name).unwrap();
        assert_eq!(content["reason"], "why");
        assert_eq!(content["expiration"], 1_571_234_567.25);
        assert!(content["creation"].as_f64().unwrap() > 1_571_234_567.25);
    }
    let cases = [
        ("-P 31000 svc.main", "svc.main:31000"),
        ("--service-port=080 svc", "svc:80"),
        ("-P 8888 -H 10.1.2.3 svc", "svc:10.1.2.3:8888"),
        ("all", "all"),
    ];
    for (words, name) in cases {
        assert_eq!(scene.run(Tool::Down, words), quiet(0, ""), "{words}");
        let content = scene.content(name).expect(name);
        assert_eq!((&content["reason"], &content["expiration"]), (&"alice".into(), &().into()));
        assert_eq!(scene.run(Tool::Up, words), quiet(0, ""), "{words}");
        assert_eq!(scene.content(name), None);
        assert_eq!(scene.run(Tool::Up, words), quiet(0, ""), "up again is no mistake");
    }
}

#[test]
fn a_mark_that_is_set_again_for_the_same_reason_keeps_its_beginning() {
    let scene = Scene::new();
    scene.put("svc", r#"{"reason": "why", "expiration": null, "creation": 7.5}"#);
    assert_eq!(scene.run(Tool::Down, "-r why -e 4102444800 svc"), quiet(0, ""));
    let content = scene.content("svc").unwrap();
    assert_eq!(
        (&content["creation"], &content["expiration"]),
        (&7.5.into(), &4_102_444_800.0.into())
    );
    scene.run(Tool::Down, "-r other svc");
    assert!(scene.content("svc").unwrap()["creation"].as_f64() > Some(7.5));
}

#[test]
fn status_looks_at_exactly_the_file_that_is_named() {
    let scene = Scene::new();
    let until = "4102444800.5";
    scene.put("all", "");
    scene.put("svc", &format!(r#"{{"reason": "two words", "expiration": {until}}}"#));
    scene.put("svc:80", "plain text\n");
    scene.put("svc:10.1.2.3:80", "{}");
    scene.put("old", r#"{"expiration": 7}"#);
    let svc = "DOWN\t4102444800.500000\tsvc\ttwo words\n";
    let cases = [
        ("web", 0, "UP\tweb\n".to_owned()),
        ("svc", 1, svc.to_owned()),
        ("web svc web2", 1, format!("UP\tweb\n{svc}UP\tweb2\n")),
        ("-P 80 svc", 1, "DOWN\tinf\tsvc::80\tplain text\n".to_owned()),
        ("-P 81 svc", 0, "UP\tsvc\n".to_owned()),
        ("-P 80 -H 10.1.2.3 svc", 1, "DOWN\tinf\tsvc:10.1.2.3:80\t\n".to_owned()),
        ("all", 1, "DOWN\tinf\tall\t\n".to_owned()),
        ("old", 0, "UP\told\n".to_owned()),
    ];
    for (words, code, out) in cases {
        assert_eq!(scene.run(Tool::Status, words), quiet(code, &out), "{words}");
    }
    assert_eq!(scene.content("old"), None, "what is void is deleted");
}

#[test]
fn everything_that_is_down_is_shown_and_strange_files_are_told_apart() {
    let scene = Scene::new();
    assert_eq!(scene.run(Tool::ShowDowned, ""), quiet(0, ""), "the directory is made");
    scene.put("svc.main:31000", r#"{"reason": "a\nb\u001b[31m", "expiration": 4102444800}"#);
    scene.put("svc:10.1.2.3:8888", "{}");
    scene.put("svc:fd00::7:80", "{}");
    scene.put("odd name!", "x");
    scene.put("old", r#"{"expiration": 7}"#);
    fs::create_dir(scene.spool().join("directory")).unwrap();
    let (code, out, err) = scene.run(Tool::ShowDowned, "");
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    let expected = [
        "DOWN\t4102444800.000000\tsvc.main::31000\ta b [31m",
        "DOWN\tinf\todd name!\tx",
        "DOWN\tinf\tsvc:10.1.2.3:8888\t",
        "DOWN\tinf\tsvc:fd00::7:80\t",
    ];
    assert_eq!((code, lines, err.as_str()), (0, expected.into(), ""));
    assert_eq!(scene.content("old"), None);
    scene.put("svc:1.tmp", "x");
    let (code, out, err) = scene.run(Tool::ShowDowned, "");
    assert_eq!((code, out.lines().count()), (1, 4), "the old one shows nothing more");
    assert!(err.starts_with("hashowdowned: \"svc:1.tmp\" is no mark"), "{err}");
}

#[test]
fn the_action_can_be_another_than_the_name_says() {
    let scene = Scene::new();
    assert_eq!(scene.run(Tool::Up, "-a down -r x svc"), quiet(0, ""));
    assert_eq!(scene.run(Tool::Down, "--action status svc"), quiet(1, "DOWN\tinf\tsvc\tx\n"));
    assert_eq!(scene.run(Tool::Up, "-a status_downed"), quiet(0, "DOWN\tinf\tsvc\tx\n"));
    assert_eq!(scene.run(Tool::ShowDowned, "-a up svc"), quiet(0, ""));
    assert_eq!(scene.content("svc"), None);
}

#[test]
fn who_gives_no_reason_is_named_unless_nobody_stands_behind_the_name() {
    let mut scene = Scene::new();
    let listed = "# accounts of programs\nroot\n deploy # jenkins\n";
    fs::File::create(&scene.caller.nonhumans).unwrap().write_all(listed.as_bytes()).unwrap();
    let refused = "please use --reason option to tell us who you REALLY are\n";
    for (names, expected) in [
        (["alice", "root"], Ok("alice")),
        (["root", "alice"], Err(())),
        (["deploy", "alice"], Err(())),
        (["# accounts of programs", "alice"], Ok("# accounts of programs")),
    ] {
        scene.caller.names = names.map(str::to_owned).into();
        let ran = scene.run(Tool::Down, "svc");
        match expected {
            Ok(reason) => {
                assert_eq!(ran, quiet(0, ""), "{names:?}");
                assert_eq!(scene.content("svc").unwrap()["reason"], reason);
            }
            Err(()) => assert_eq!(ran, quiet(1, refused), "{names:?}"),
        }
        scene.run(Tool::Up, "svc");
        assert_eq!(scene.content("svc"), None);
    }
    scene.caller.names = vec!["root".into()];
    assert_eq!(scene.run(Tool::Down, "-r - svc"), quiet(0, ""), "a reason is enough");
    assert_eq!(scene.content("svc").unwrap()["reason"], "-");
}

#[test]
fn arguments_without_sense_end_with_2_and_one_that_cannot_be_done_with_1() {
    let scene = Scene::new();
    let cases = [
        (Tool::Down, ""),
        (Tool::Up, ""),
        (Tool::Status, ""),
        (Tool::ShowDowned, "svc"),
        (Tool::List, "svc"),
        (Tool::Down, "-H 10.0.0.1 svc"),
        (Tool::Down, "-P x svc"),
        (Tool::Down, "-P 65536 svc"),
        (Tool::Down, "-e soon svc"),
        (Tool::Down, "-e inf svc"),
        (Tool::Down, "-a sideways svc"),
        (Tool::Down, "--no-such-flag svc"),
    ];
    for (tool, words) in cases {
        let (code, out, err) = scene.run(tool, words);
        assert_eq!((code, out.as_str()), (2, ""), "{words}");
        assert!(err.starts_with(&format!("{}: ", tool.name())), "{err}");
    }
    for name in ["a/b", "..", ".", "/etc/passwd"] {
        let (code, _, err) = scene.run(Tool::Down, &format!("good {name}"));
        assert_eq!(code, 1, "{name}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert_eq!(scene.content("good"), None, "nothing is done by halves");
    }
    scene.put("directory", "");
    fs::remove_file(scene.spool().join("directory")).unwrap();
    fs::create_dir(scene.spool().join("directory")).unwrap();
    let (code, _, err) = scene.run(Tool::Down, "directory good");
    assert_eq!((code, err.lines().count()), (1, 1), "{err}");
    assert!(scene.content("good").is_some(), "one that fails does not stop the others");
    let (code, _, err) = scene.run(Tool::Down, "--spool-root /proc/none svc");
    assert_eq!((code, err.lines().count()), (1, 1), "{err}");
}

#[test]
fn a_name_that_nobody_asks_about_is_marked_with_a_word_of_warning() {
    let scene = Scene::new();
    let words = ["-r", "x", "odd name!"].map(OsString::from);
    let spool = ["--spool-root".into(), scene.spool().into_os_string()];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let output = Output { out: &mut out, err: &mut err };
    let code = Tool::Down.run(spool.into_iter().chain(words), &scene.caller, output);
    assert_eq!((code, out.len()), (0, 0));
    assert!(String::from_utf8(err).unwrap().contains("nothing asks about"));
    assert!(scene.content("odd name!").is_some());
}

#[test]
fn help_is_no_mistake() {
    let (code, out, err) = Scene::new().run(Tool::Down, "--help");
    assert_eq!((code, err.as_str()), (0, ""));
    for word in ["hadown", "--spool-root", "--service-port", "status_downed"] {
        assert!(out.contains(word), "{word} in {out}");
    }
}

/// Answers one request so.
fn answering(answer: &'static str) -> u16 {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answer.as_bytes());
    });
    port
}

#[test]
fn what_hacheck_was_asked_about_is_listed_by_name() {
    let scene = Scene::new();
    let port = answering(concat!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        r#"{"seen_services":[["b.main",null],["a.main",{"ts":1571234000.5,"code":200,"remote_ip":"127.0.0.1"}]],"#,
        r#""threshold_seconds":600}"#
    ));
    let expected = concat!(
        r#"a.main last_response={"code": 200, "remote_ip": "127.0.0.1", "ts": 1571234000.5}"#,
        "\nb.main last_response=null\n"
    );
    assert_eq!(scene.run(Tool::List, &format!("-p {port}")), quiet(0, expected));
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "HTTP/1.1 404 x\r\n\r\n", "x"]
    {
        let (code, out, err) = scene.run(Tool::List, &format!("-p {}", answering(answer)));
        assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
        assert!(err.starts_with("halist: cannot get http://127.0.0.1:"), "{err}");
    }
}
