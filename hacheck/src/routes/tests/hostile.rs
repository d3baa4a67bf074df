//! What hostile clients, services and files get, and that the next request is served.

use std::{
    fs::{self, File},
    io::Write as _,
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::*;
use crate::marks::Wish;

const PATIENCE: Duration = Duration::from_secs(60);

/// The next request, by somebody else.
async fn is_served(address: SocketAddr) {
    let request = "GET /spool/next/80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = timeout(PATIENCE, exchange(address, request)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// Sends `head` and then `piece` again and again, until the server has had enough; what it said.
async fn flood(address: SocketAddr, head: &str, piece: &[u8], pieces: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let sending = async {
        writing.write_all(head.as_bytes()).await?;
        for _ in 0..pieces {
            writing.write_all(piece).await?;
        }
        std::io::Result::Ok(())
    };
    let mut answer = Vec::new();
    let hearing = async {
        let mut bytes = [0; 4096];
        // A connection that is reset after the answer has said what it had to say.
        while let Ok(length @ 1..) = reading.read(&mut bytes).await {
            answer.extend_from_slice(&bytes[..length]);
        }
    };
    tokio::select! {
        () = hearing => {}
        // It may not hang up as long as it has not been told that this was all.
        _ = async { let _ = sending.await; std::future::pending::<()>().await } => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it listens for ever"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_of_a_gigabyte_and_one_without_an_end_are_refused_unread() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let post = "POST /spool/svc/80/x HTTP/1.1\r\nHost: x\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let megabyte = vec![b'x'; 1 << 20];
    let head = format!("{post}Content-Length: 1073741824\r\n\r\n");
    let answer = flood(address, &head, &megabyte, 1024).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let head = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"100000\r\n", &megabyte[..], b"\r\n"].concat();
    let answer = flood(address, &head, &chunk, 1024).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(host.marks.table().is_empty());
    is_served(address).await;
}

#[tokio::test]
async fn a_head_without_an_end_is_refused() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let head = "GET /spool/svc/80 HTTP/1.1\r\nHost: x\r\n";
    let answer = flood(address, head, b"X-More: 0123456789\r\n", 100_000).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let path = format!("GET /spool/{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    let answer = flood(address, &path, b"", 0).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    is_served(address).await;
}

#[tokio::test]
async fn clients_that_send_a_letter_now_and_then_lose_their_places_and_delay_nobody() {
    let host = Host::start(Settings::default()).await;
    let head_timeout = Duration::from_millis(300);
    let limits = Limits { connections: 64, head_timeout, ..Limits::default() };
    let address = serve_within(&host, limits);
    let mut slow = JoinSet::new();
    // More than there are places.
    for _ in 0..100 {
        slow.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let letters =
                "GET /spool/svc/80 HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x'));
            for letter in letters {
                if stream.write_all(&[letter]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    is_served(address).await;
    let ended = timeout(PATIENCE, slow.join_all()).await;
    assert!(ended.is_ok(), "they are still connected");
    is_served(address).await;
}

#[tokio::test]
async fn a_service_that_sends_a_gigabyte_is_down_and_no_other() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let (port, _) = service("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\nxxxx").await;
    let expected = owned(503, "the answer is longer than 1048576 bytes");
    assert_eq!(host.get(&format!("/http/svc/{port}/")).await, expected);
    is_served(address).await;
}

#[tokio::test]
async fn a_service_that_redirects_to_itself_is_asked_once() {
    let host = Host::start(Settings::default()).await;
    let answer = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
    let (port, asked) = service(answer).await;
    let path = format!("/http/svc/{port}/again");
    let answer = host.ask(Ask { path: &path, ..Ask::default() }).await;
    assert_eq!(answer.short(), owned(302, ""));
    assert_eq!(asked.borrow().len(), 1);
    is_served(serve(&host)).await;
}

#[tokio::test]
async fn nothing_a_client_says_becomes_a_line_of_an_answer() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let form = "status=down&reason=x%0d%0aX-Evil:%20yes%0d%0a%0d%0a<script>%00";
    assert_eq!(host.post("/spool/svc/80/x", form).await.0, 200);
    let get = "GET /spool/svc/80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(address, get).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_ascii_lowercase().contains("x-evil"), "{answer}");
    assert_eq!(body.lines().count(), 1, "{answer}");
    for header in ["address=1.2.3.4\u{b}X-Evil: yes", "port=1%0d%0aX-Evil: yes"] {
        let get = format!(
            "GET /tcp/svc/80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             X-Haproxy-Server-State: {header}\r\n\r\n"
        );
        let answer = exchange(address, &get).await;
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert!(!head.to_ascii_lowercase().contains("x-evil"), "{answer}");
    }
    is_served(address).await;
}

#[tokio::test]
async fn names_that_lead_out_of_the_spool_are_refused_and_touch_no_file() {
    let host = Host::start(Settings::default()).await;
    let outside = host.root.path().join("outside");
    File::create(&outside).unwrap().write_all(b"untouched").unwrap();
    let names = ["..", ".", "..%2foutside", "%2e%2e", "../outside", "a:1", "a%00b", "a\\b"];
    for name in names {
        let path = format!("/spool/{name}/0/x");
        let request = format!(
            "POST {path}?status=down&reason=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = exchange(serve(&host), &request).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    let spool = fs::read_dir(host.root.path().join("spool")).unwrap();
    let files = spool.flatten().filter(|entry| entry.path().is_file());
    assert_eq!(files.count(), 0);
    is_served(serve(&host)).await;
}

#[tokio::test]
async fn files_that_are_no_text_are_marks_with_a_text_that_can_be_read() {
    let host = Host::start(Settings::default()).await;
    let spool = host.root.path().join("spool");
    for (name, content) in [("svc:80", &b"caf\xe9 \xff\n\0"[..]), ("svc:81", b"\xfe{\"reason\":")] {
        File::create(spool.join(name)).unwrap().write_all(content).unwrap();
    }
    let mut tables = host.marks.subscribe();
    let both = tables.wait_for(|table| table.iter().filter(|m| !m.reason.is_empty()).count() == 2);
    timeout(PATIENCE, both).await.unwrap().unwrap();
    let answer = host.get("/spool/svc/80").await;
    assert_eq!(answer, owned(503, "Service svc in down state: caf\u{fffd} \u{fffd}"));
    assert_eq!(host.get("/spool/svc/81").await.0, 503);
    is_served(serve(&host)).await;
}

#[tokio::test]
async fn a_spool_of_a_hundred_thousand_files_is_read_and_still_changed() {
    let root = tempfile::tempdir().unwrap();
    let spool = root.path().join("spool");
    fs::create_dir(&spool).unwrap();
    // Room for one more, and one that is too many.
    for number in 0..99_999 {
        File::create(spool.join(format!("svc{number}"))).unwrap();
    }
    let host = Host::start_in(root, Settings::default()).await;
    assert_eq!(host.marks.table().len(), 99_999);
    assert_eq!(host.get("/spool/svc77777/80").await.0, 503);
    assert_eq!(host.post("/spool/more/80", "status=down&reason=x").await, owned(200, ""));
    assert_eq!(host.get("/spool/more/80").await.0, 503);
    let (status, text) = host.post("/spool/too-many/80", "status=down&reason=x").await;
    assert_eq!((status, &*text), (503, "there are too many marks already"));
    assert_eq!(host.post("/spool/more/80", "status=up").await, owned(200, ""));
    assert_eq!(host.get("/spool/more/80").await, owned(200, ""));
    is_served(serve(&host)).await;
}

#[tokio::test]
async fn a_drain_of_a_whole_host_at_once_is_done_and_every_mark_counts() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let mut drains = JoinSet::new();
    for port in 1..=300 {
        drains.spawn(async move {
            let form = "status=down&reason=Drained+by+Paasta&expiration=4102444800";
            let post = format!(
                "POST /spool/svc/{port}/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                form.len()
            );
            exchange(address, &post).await
        });
    }
    for answer in drains.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(host.marks.table().len(), 300);
    host.marks.set("svc:301".parse().unwrap(), Wish::default()).await.unwrap();
    assert_eq!(fs::read_dir(host.root.path().join("spool")).unwrap().flatten().count(), 302);
}
