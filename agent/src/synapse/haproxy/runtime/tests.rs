use std::path::Path;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::UnixListener,
    task::JoinHandle,
};

use super::*;

const INFO: &str = "Version: 2.6.12\nPid: 7\nStopping: 0\n";

/// A HAProxy that speaks prompt mode and answers with `reply`; `None`: it hangs up.
fn play(path: &Path, reply: fn(&str) -> Option<String>) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.split();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let text = if line == "prompt" { Some(String::new()) } else { reply(&line) };
                let Some(text) = text else { break };
                let _ = writer.write_all(format!("{text}\n> ").as_bytes()).await;
            }
        }
    })
}

fn client(path: &Path) -> Runtime {
    Runtime::new(path.to_owned(), Duration::from_millis(300))
}

fn commands(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("echo {n}")).collect()
}

#[tokio::test]
async fn replies_come_in_order_over_many_batches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let _haproxy = play(&path, |line| Some(format!("{line}\n")));
    let commands = commands(3 * BATCH + 1);
    assert_eq!(client(&path).run(&commands).await.unwrap(), commands);
}

#[tokio::test]
async fn a_wedged_haproxy_is_an_error_in_time_and_its_late_reply_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    // Takes the connection and the commands, and never answers.
    let silent = UnixListener::bind(&path).unwrap();
    let mut client = client(&path);
    let error = client.run(&commands(1)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error}");
    drop(silent);
    std::fs::remove_file(&path).unwrap();
    let _haproxy = play(&path, |line| Some(line.to_owned()));
    assert_eq!(client.run(&commands(1)).await.unwrap(), ["echo 0"]);
}

#[tokio::test]
async fn a_connection_that_broke_is_an_error_for_changes_and_a_second_try_for_questions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let haproxy = play(&path, |line| (line != "quit").then(|| INFO.to_owned()));
    let mut client = client(&path);
    let quit = client.run(&["quit".to_owned()]).await.unwrap_err();
    assert!(matches!(quit, Error::Broken(_)), "{quit}");
    assert_eq!(client.info().await.unwrap().pid, 7);
    // The same socket, served by another process.
    haproxy.abort();
    let _ = haproxy.await;
    std::fs::remove_file(&path).unwrap();
    let _haproxy = play(&path, |_| Some(INFO.to_owned()));
    assert_eq!(client.info().await.unwrap().pid, 7);
}

#[tokio::test]
async fn an_old_worker_is_not_taken_for_the_one_that_serves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let _haproxy = play(&path, |_| Some(INFO.replace("Stopping: 0", "Stopping: 1")));
    let mut client = client(&path);
    assert!(matches!(client.info().await.unwrap_err(), Error::Stopping));
    let scope = Scope::Only(BTreeSet::new());
    assert!(matches!(client.observe(&scope).await.unwrap_err(), Error::Stopping));
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_what_is_not_there_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let _haproxy = play(&path, |line| {
        Some(match line {
            "show info" => INFO.to_owned(),
            "show servers state empty" => "1\n# be_id be_name srv_id\n".to_owned(),
            "show servers state gone" => format!("{NO_BACKEND}\n"),
            _ => "Permission denied\n".to_owned(),
        })
    });
    let mut client = client(&path);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let seen = client.observe(&Scope::Only(names(&["empty", "gone"]))).await.unwrap();
    assert_eq!(seen.backends.keys().collect::<Vec<_>>(), ["empty"]);
    let refused = client.observe(&Scope::All(names(&["empty"]))).await.unwrap_err();
    assert!(matches!(refused, Error::Unreadable(_)), "{refused}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_names_itself() {
    let error = client(Path::new("/nowhere/h.sock")).info().await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/h.sock"), "{error}");
}
