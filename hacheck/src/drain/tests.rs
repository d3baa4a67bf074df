//! The commands against a spool directory and a HAProxy that is made of lines.

use std::{fs, net::SocketAddr, path::Path};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    sync::watch,
};

use super::*;

const HEADER: &str = "# pxname,svname,status,scur,qcur,addr\n";

struct Scene {
    root: TempDir,
    /// What HAProxy says, after the header.
    rows: watch::Sender<String>,
}

impl Scene {
    fn new(rows: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (rows, seen) = watch::channel(rows.to_owned());
        let listener = UnixListener::bind(root.path().join("haproxy.sock")).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut command = [0; 100];
                let length = stream.read(&mut command).await.unwrap();
                assert_eq!(&command[..length], b"show stat -1 4 -1\n");
                let answer = format!("{HEADER}{}", *seen.borrow());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { root, rows }
    }

    fn socket(&self) -> Source {
        Source::Socket(self.root.path().join("haproxy.sock"))
    }

    fn place(&self, port: u16) -> Place {
        Place { port, spool_root: self.root.path().join("spool") }
    }

    fn drain(&self, target: &str) -> Drain {
        Drain {
            target: target.parse().unwrap(),
            wait: 30,
            reason: "why".into(),
            lasts: None,
            haproxy: vec![self.socket()],
            place: self.place(closed_port()),
            json: false,
        }
    }

    fn mark(&self, name: &str) -> Option<serde_json::Value> {
        let text = fs::read(self.root.path().join("spool").join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn run(drain: &Drain) -> (bool, String) {
    let caller = Caller { names: vec!["alice".into()], nonhumans: Path::new("/none").into() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output { out: &mut out, err: &mut err };
    let safe = drain.run(&caller, &mut output).await.unwrap();
    (safe, String::from_utf8(out).unwrap())
}

#[test]
fn a_target_is_a_service_or_one_instance_of_it() {
    for text in ["web.main", "web.main:31000", "all"] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    }
    for text in ["", "web.main:", "web.main:0", "web.main:65536", "a b", ":80", "a/b:80"] {
        assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text:?}");
    }
}

#[tokio::test]
async fn a_drain_returns_when_haproxy_sends_nothing_more() {
    let up =
        "web.main,a_127.0.0.1:80,UP,1,0,127.0.0.1:80\nweb.main,b_10.9.9.9:80,UP,7,0,10.9.9.9:80\n";
    let scene = Scene::new(up);
    let drain = scene.drain("web.main:80");
    let caller = Caller { names: vec!["alice".into()], nonhumans: Path::new("/none").into() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output { out: &mut out, err: &mut err };
    let mut running = Box::pin(drain.run(&caller, &mut output));
    let still = |text: &str| up.replacen("UP,1", text, 1);
    for rows in ["UP,1", "DRAIN,1"] {
        scene.rows.send_replace(still(rows));
        let look = time::timeout(3 * LOOK_AGAIN, &mut running).await;
        assert!(look.is_err(), "{rows} is not safe");
    }
    scene.rows.send_replace(still("DRAIN,0"));
    assert!(running.as_mut().await.unwrap());
    drop(running);
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "web.main:80 is marked down (in the spool directory)");
    let socket = scene.socket();
    assert_eq!(lines[1], format!("waiting: {socket}: web.main/a_127.0.0.1:80 is UP, 1 sessions"));
    assert_eq!(*lines.last().unwrap(), "web.main:80 is safe to stop");
    assert!(lines.len() <= 4, "each state is told once: {lines:?}");
    assert_eq!(scene.mark("web.main:80").unwrap()["reason"], "why");
}

#[tokio::test]
async fn what_does_not_get_safe_in_time_is_told_as_such() {
    let scene = Scene::new("web.main,a_127.0.0.1:80,UP,3,0,127.0.0.1:80\n");
    let drain = Drain { wait: 0, json: true, lasts: Some(600), ..scene.drain("web.main") };
    let (safe, out) = run(&drain).await;
    assert!(!safe);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["safe_to_stop"], &document["by"]), (&false.into(), &"spool".into()));
    let server = &document["haproxy"][0]["servers"][0];
    assert_eq!((&server["status"], &server["sessions"]), (&"UP".into(), &3.into()));
    let mark = scene.mark("web.main").unwrap();
    let lasts = mark["expiration"].as_f64().unwrap() - mark["creation"].as_f64().unwrap();
    assert!((599.0..601.0).contains(&lasts), "{lasts}");
    let undrain = Undrain { target: drain.target, place: drain.place, json: false };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    undrain.run(&mut Output { out: &mut out, err: &mut err }).await.unwrap();
    assert_eq!(out, b"web.main may serve again (in the spool directory)\n");
    assert_eq!(scene.mark("web.main"), None);
}

#[tokio::test]
async fn a_haproxy_that_does_not_answer_is_never_taken_for_one_that_sends_nothing() {
    let scene = Scene::new("");
    let missing = Source::Socket(scene.root.path().join("none.sock"));
    let page: Source = format!("http://127.0.0.1:{}/", closed_port()).parse().unwrap();
    for other in [missing, page] {
        let haproxy = vec![scene.socket(), other.clone()];
        let drain = Drain { wait: 0, haproxy, ..scene.drain("web.main:80") };
        let (safe, out) = run(&drain).await;
        assert!(!safe && out.contains(&format!("{other}: ")), "{out}");
    }
    let (safe, _) = run(&Drain { wait: 0, ..scene.drain("web.main:80") }).await;
    assert!(safe, "the one that answers has no such server");
    scene.rows.send_replace("web.main,a\n".into());
    let (safe, out) = run(&Drain { wait: 0, ..scene.drain("web.main:80") }).await;
    assert!(!safe && out.contains("no statistics in CSV"), "{out}");
}

/// Answers every request so, and tells what was asked.
async fn web(answer: &'static str) -> (SocketAddr, watch::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, seen) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            request.truncate(length);
            requests.send_modify(|seen| seen.push(String::from_utf8(request).unwrap()));
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_running_hacheck_that_refuses_is_passed_by() {
    let scene = Scene::new("");
    let (address, seen) = web("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n").await;
    let place = scene.place(address.port());
    let drain = Drain { wait: 0, reason: "a b&c".into(), place, ..scene.drain("web.main") };
    let (safe, out) = run(&drain).await;
    assert!(out.starts_with("web.main is marked down (in the spool directory)"), "{out}");
    assert!(!safe && out.contains("hacheck does not say yet"), "it must say so: {out}");
    assert_eq!(scene.mark("web.main").unwrap()["reason"], "a b&c");
    let asked = seen.borrow().join("");
    assert!(asked.starts_with("POST /spool/web.main/0/drain "), "{asked}");
    assert!(asked.contains("status=down&reason=a%20b%26c"), "{asked}");
}

#[tokio::test]
async fn a_statistics_page_is_as_good_as_a_socket() {
    let scene = Scene::new("");
    let (address, seen) = web(concat!(
        "HTTP/1.0 200 OK\r\n\r\n# pxname,svname,status,scur,qcur\n",
        "web.main,a_127.0.0.1:80,MAINT,0,0\nweb.main,b_127.0.0.1:81,UP,0,0\n"
    ))
    .await;
    let haproxy = vec![format!("http://{address}/stats").parse().unwrap()];
    let drain = Drain { wait: 0, haproxy: haproxy.clone(), ..scene.drain("web.main:80") };
    assert!(run(&drain).await.0);
    assert!(seen.borrow()[0].starts_with("GET /stats;csv "), "{:?}", seen.borrow());
    let drain = Drain { wait: 0, haproxy, ..scene.drain("web.main:81") };
    assert!(!run(&drain).await.0);
}
