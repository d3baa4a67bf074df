use std::{fs, os::unix::net::UnixDatagram, path::Path};

use soa_configs::yaml::Node;

use super::*;

const LINE: &str = r#"{"cluster": "c1", "component": "deploy", "instance": "main", "level": "event", "message": "gone", "service": "web", "timestamp": "2018-01-23T19:24:26.104242"}"#;

fn line(message: &str) -> LogLine<'_> {
    let now = "2018-01-23T19:24:26.104242Z".parse().unwrap();
    LogLine::of_deploy("c1", "web", "main", message, now)
}

fn writer(driver: &str, options: &[(&str, &str)]) -> LogWriter {
    let options: Map = options.iter().map(|(key, value)| (*key, Node::made(*value))).collect();
    LogWriter { driver: driver.to_owned(), options: Node::made(options) }
}

#[test]
fn a_line_is_as_paasta_writes_it() {
    assert_eq!(line("gone").json(), LINE);
    let whole =
        LogLine { timestamp: timestamp("2018-01-23T19:24:26Z".parse().unwrap()), ..line("") };
    assert_eq!(whole.timestamp, "2018-01-23T19:24:26");
    let odd = line("\u{1b}[31mré\u{1b}[0md\u{1b}[38;5;242m\u{1b}[\u{1b}x").json();
    assert!(odd.contains(r#""message": "r\u00e9d\u001b[\u001bx""#), "{odd}");
    let nowhere = LogLine::of_oom("", "web", "", "m", "2018-01-23T19:24:26Z".parse().unwrap());
    let head = r#"{"cluster": "N/A", "component": "oom", "instance": "N/A", "level": "event""#;
    assert!(nowhere.json().starts_with(head));
}

#[test]
fn lines_go_into_the_file_that_their_parts_name() {
    let dir = tempfile::tempdir().unwrap();
    let format = format!("{}/{{{{{{service:s}}.{{instance}}.{{level}}}}}}", dir.path().display());
    let file = dir.path().join("{web.main.event}");
    let appended = writer("file", &[("path_format", &format), ("flock", "yes")]);
    line("gone").write(&appended).unwrap();
    line("gone").write(&appended).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{LINE}\n{LINE}\n"));
    let options = [("path_format", format.as_str()), ("mode", "wb"), ("line_delimeter", ";")];
    line("gone").write(&writer("file", &options)).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{LINE};"));
}

#[test]
fn a_file_that_does_not_take_a_line_says_what_is_lost() {
    let why = line("gone").write(&writer("file", &[("path_format", "/dev/full")])).unwrap_err();
    let expected = format!(
        "Could not log to /dev/full: No space left on device (os error 28) -- would have logged: {LINE}"
    );
    assert_eq!(why.to_string(), expected);
    let dir = tempfile::tempdir().unwrap();
    let format = format!("{}/{{service}}/{{instance}}", dir.path().display());
    fs::create_dir(dir.path().join("web")).unwrap();
    let outside = LogLine { instance: "../../outside", ..line("gone") };
    let why = outside.write(&writer("file", &[("path_format", &format)])).unwrap_err().to_string();
    assert!(why.contains("`../../outside` is no part of a file's name"), "{why}");
}

#[test]
fn a_file_that_somebody_keeps_locked_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let held = fs::File::create(&path).unwrap();
    held.lock().unwrap();
    let options = [("path_format", path.to_str().unwrap()), ("flock", "yes")];
    let why = line("gone").write(&writer("file", &options)).unwrap_err().to_string();
    assert!(why.contains("somebody else keeps it locked -- would have logged: {"), "{why}");
    held.unlock().unwrap();
    line("gone").write(&writer("file", &options)).unwrap();
}

#[test]
fn options_that_cannot_be_are_told_with_what_can() {
    for (options, part) in [
        (&[][..], "file: path_format: expected a path"),
        (&[("path_format", "/l/{host}")], "path_format: expected no other names"),
        (&[("path_format", "/l/{service")], "path_format: expected a } for every {"),
        (&[("path_format", "/l"), ("mode", "r")], "mode: expected one of a,"),
    ] {
        let why = line("").write(&writer("file", options)).unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    }
    let why = line("").write(&writer("scribe", &[])).unwrap_err().to_string();
    assert!(
        why.contains("`scribe` is not known; known are file, null, stdout and syslog"),
        "{why}"
    );
}

/// A log of the host that reads what it likes.
fn host_log(dir: &Path) -> (UnixDatagram, LogWriter) {
    let path = dir.join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    (socket, writer("syslog", &[("socket", path.to_str().unwrap())]))
}

#[test]
fn syslog_gets_a_datagram_for_each_line() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, writer) = host_log(dir.path());
    line("gone").write(&writer).unwrap();
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    let heard = std::str::from_utf8(&buffer[..length]).unwrap();
    assert!(heard.starts_with("<14>"), "{heard}");
    assert!(heard.ends_with(&format!(" paasta[{}]: {LINE}", std::process::id())), "{heard}");
}

#[test]
fn a_host_log_that_is_away_or_full_takes_no_time_and_loses_nothing_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, writer) = host_log(dir.path());
    // Nobody reads: its queue holds a few datagrams, or a few hundred.
    let full = (0..100_000).find_map(|_| line("gone").write(&writer).err()).unwrap().to_string();
    assert!(full.contains("Resource temporarily unavailable"), "{full}");
    assert!(full.ends_with(LINE), "{full}");
    let mut buffer = [0; 1024];
    socket.recv(&mut buffer).unwrap();
    line("gone").write(&writer).unwrap();
    drop(socket);
    let away = line("gone").write(&writer).unwrap_err().to_string();
    assert!(away.contains("Connection refused"), "{away}");
}

#[test]
fn what_is_wrong_with_the_configuration_is_told_once() {
    let told = Mutex::new(None);
    let fault = |what: &str| Err(what.to_owned());
    assert_eq!(once(&told, fault("a")), fault("a"));
    assert_eq!(once(&told, fault("a")), Ok(()));
    assert_eq!(once(&told, fault("b")), fault("b"));
    assert_eq!(once(&told, Ok(())), Ok(()));
    assert_eq!(once(&told, fault("b")), fault("b"), "it was mended in between");
}
