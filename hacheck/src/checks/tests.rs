//! Checks of real sockets.

mod kept;
mod protocols;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::*;
use crate::names::Host;

/// A service on a free port that lets `answer` deal with each connection once it has read the head of
/// a request.
struct Service {
    port: u16,
    connections: Arc<AtomicUsize>,
    _accepting: tokio_util::task::AbortOnDropHandle<()>,
}

impl Service {
    async fn start<F>(answer: impl Fn(TcpStream, String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let answer = Arc::new(answer);
        Self::silent(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let head = read_head(&mut stream).await;
                answer(stream, head).await;
            }
        })
        .await
    }

    /// One that waits for nothing before `talk` deals with a connection.
    async fn silent<F>(talk: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                running.spawn(talk(stream));
            }
        });
        let _accepting = tokio_util::task::AbortOnDropHandle::new(accepting);
        Self { port, connections, _accepting }
    }

    async fn saying(text: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            let _ = stream.write_all(text.as_bytes()).await;
        })
        .await
    }

    async fn hanging() -> Self {
        Self::start(|stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn request(&self, path: &str) -> CheckRequest {
        request(Kind::Http, self.port, path)
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

fn request(kind: Kind, port: u16, path: &str) -> CheckRequest {
    CheckRequest {
        kind,
        service: "svc.main".parse().unwrap(),
        host: Host::Local,
        port,
        path_and_query: path.parse().unwrap(),
        headers: Vec::new(),
        login: None,
    }
}

fn checker(timeout: Duration) -> Checker {
    let cache_time = Duration::from_secs(60);
    Checker::new(
        &CheckSettings { timeout, cache_time, ..CheckSettings::default() },
        Handle::current(),
    )
}

async fn check(request: &CheckRequest) -> Arc<Outcome> {
    checker(Duration::from_secs(5)).check(request, Freshness::Cached, None).await
}

/// A port on which nobody listens, as long as the listener beside it is not dropped: it is bound.
fn refusing_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn the_services_status_and_body_are_the_answer() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", 200, "fine"),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, "ab"),
        ("HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nfine", 200, "fine"),
        ("HTTP/1.1 200 OK\r\nOdd Name: x\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nfine", 204, ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", 304, ""),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, ""),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, "no"),
        ("HTTP/1.1 420 Calm\r\nContent-Length: 0\r\n\r\n", 420, ""),
    ];
    for (text, code, body) in cases {
        let service = Service::saying(text).await;
        let outcome = check(&service.request("/status")).await;
        assert_eq!((outcome.code, &*outcome.body), (code, body.as_bytes()), "{text:?}");
    }
}

#[tokio::test]
async fn the_service_sees_the_path_as_received_and_the_copied_headers() {
    let service = Service::start(|mut stream, head| async move {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let mut request = service.request("/a%20b/%2F?c=d%26");
    let seen = check(&request).await;
    let expected = format!(
        "GET /a%20b/%2F?c=d%26 HTTP/1.1\r\nuser-agent: hastate {}\r\nconnection: keep-alive\r\n\
         host: 127.0.0.1:{}\r\n\r\n",
        crate::VERSION,
        service.port
    );
    assert_eq!(String::from_utf8_lossy(&seen.body), expected);
    let header = |name: &'static str, value: &'static str| {
        (hyper::header::HeaderName::from_static(name), value.parse().unwrap())
    };
    request.headers = vec![header("host", "127.0.0.1:6666"), header("x-mode", "ro")];
    let seen = String::from_utf8_lossy(&check(&request).await.body).into_owned();
    assert!(seen.contains("\r\nhost: 127.0.0.1:6666\r\nx-mode: ro\r\n"), "{seen}");
}

#[tokio::test]
async fn a_service_without_an_http_answer_fails_at_once_and_says_why() {
    let cases = [
        ("", "no valid HTTP answer: "),
        ("SSH-2.0-OpenSSH_9.2\r\n", "no valid HTTP answer: "),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "no valid HTTP answer: "),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nlong",
            "the answer is longer than 1048576 bytes",
        ),
    ];
    for (text, body) in cases {
        let service = Service::saying(text).await;
        let outcome = check(&service.request("/")).await;
        let shown = String::from_utf8_lossy(&outcome.body);
        assert!(shown.starts_with(body), "{text:?}: {shown}");
        assert_eq!((outcome.code, outcome.status().as_u16()), (599, 503), "{text:?}");
        assert!(outcome.took < Duration::from_secs(2), "{text:?}: {:?}", outcome.took);
    }
}

#[tokio::test]
async fn a_refused_connection_fails_at_once_for_http_and_tcp() {
    let (_bound, port) = refusing_port();
    for (kind, code) in [(Kind::Http, 599), (Kind::Tcp, 503)] {
        let outcome = check(&request(kind, port, "/")).await;
        let shown = String::from_utf8_lossy(&outcome.body);
        let expected = format!("cannot connect to 127.0.0.1:{port}: Connection refused");
        assert!(shown.starts_with(&expected), "{shown}");
        assert_eq!((outcome.code, outcome.status().as_u16()), (code, 503));
        assert!(outcome.took < Duration::from_secs(2), "{:?}", outcome.took);
    }
}

#[tokio::test]
async fn a_service_that_hangs_fails_after_the_timeout_of_the_request() {
    let service = Service::hanging().await;
    let timeout = Some(Duration::from_millis(200));
    let checker = checker(Duration::from_secs(60));
    let outcome = checker.check(&service.request("/"), Freshness::Cached, timeout).await;
    assert_eq!((outcome.code, &*outcome.body), (599, &b"no answer after 0.20s"[..]));
    let tcp = checker.check(&request(Kind::Tcp, service.port, "/"), Freshness::Cached, None).await;
    assert_eq!(tcp.code, 200);
    assert!(tcp.body.starts_with(b"Connected in 0."), "{:?}", tcp.body);
}

#[tokio::test]
async fn an_endless_body_is_cut_by_its_length_and_by_the_timeout() {
    let flood = Service::start(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    let outcome = check(&flood.request("/")).await;
    assert_eq!(outcome.code, 599);
    assert_eq!(&*outcome.body, b"the answer is longer than 1048576 bytes");
    let trickle = Service::start(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let timeout = Some(Duration::from_millis(200));
    let checker = checker(Duration::from_secs(60));
    let outcome = checker.check(&trickle.request("/"), Freshness::Cached, timeout).await;
    assert_eq!((outcome.code, &*outcome.body), (599, &b"no answer after 0.20s"[..]));
}

#[tokio::test]
async fn two_hundred_concurrent_callers_cost_the_service_one_check() {
    let service = Service::start(|mut stream, _| async move {
        // Long enough for all callers to be there; not one of them depends on it.
        time::sleep(Duration::from_millis(100)).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let checker = checker(Duration::from_secs(10));
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let (checker, request) = (checker.clone(), service.request("/status"));
        callers.spawn(async move { checker.check(&request, Freshness::Cached, None).await });
    }
    let outcomes = callers.join_all().await;
    assert!(outcomes.iter().all(|outcome| outcome.code == 200 && &*outcome.body == b"ok"));
    assert_eq!(service.connections(), 1);
    checker.check(&service.request("/status?other"), Freshness::Cached, None).await;
    assert_eq!(service.connections(), 2);
}

#[tokio::test]
async fn a_service_that_hangs_gets_few_checks_at_once_and_delays_no_other() {
    let (hanging, healthy) =
        (Service::hanging().await, Service::saying("HTTP/1.1 200 OK\r\n\r\n").await);
    let checker = checker(Duration::from_secs(60));
    let mut stuck = JoinSet::new();
    for number in 0..30 {
        let (checker, request) = (checker.clone(), hanging.request(&format!("/{number}")));
        stuck.spawn(async move { checker.check(&request, Freshness::Cached, None).await });
    }
    while hanging.connections() < 4 || checker.waiting() < 26 {
        time::sleep(Duration::from_millis(5)).await;
    }
    let request = healthy.request("/");
    let answer = checker.check(&request, Freshness::Cached, None);
    assert_eq!(time::timeout(Duration::from_secs(5), answer).await.unwrap().code, 200);
    assert_eq!(hanging.connections(), 4);
}

#[tokio::test]
async fn a_mark_answers_for_the_registered_port_and_spares_the_service() {
    let service = Service::saying("HTTP/1.1 200 OK\r\n\r\n").await;
    let key = "svc.main:31000".parse().unwrap();
    let mark = Mark { key, reason: "drain".into(), expiration: None, creation: None };
    let marks: MarkTable = [Arc::new(mark)].into_iter().collect();
    let checker = checker(Duration::from_secs(5));
    let request = service.request("/");
    let answer = checker.answer(&marks, 31000, &request, Freshness::Cached, None).await;
    assert!(matches!(answer, Answer::Marked(mark) if mark.reason == "drain"));
    assert_eq!(service.connections(), 0);
    let answer = checker.answer(&marks, service.port, &request, Freshness::Cached, None).await;
    assert!(matches!(answer, Answer::Checked(outcome) if outcome.code == 200));
}

#[tokio::test]
async fn a_local_port_that_refuses_is_asked_behind_its_proxy_and_a_foreign_one_is_not() {
    let (_bound, port) = refusing_port();
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let behind = listener.local_addr().unwrap();
    for kind in [Kind::Tcp, Kind::Http] {
        let checker = Checker::new(&CheckSettings::default(), Handle::current());
        let asked = request(kind, port, "/status");
        let refused = checker.check_promptly(&asked, Freshness::Now, Duration::from_secs(5)).await;
        assert!(!refused.is_healthy(), "{refused:?}");
        checker.set_detours([(port, behind)].into());
        let foreign =
            CheckRequest { host: Host::Other("127.0.0.1".parse().unwrap()), ..asked.clone() };
        let refused =
            checker.check_promptly(&foreign, Freshness::Now, Duration::from_secs(5)).await;
        assert!(!refused.is_healthy(), "{refused:?}");
        let check = tokio::spawn(async move { checker.check(&asked, Freshness::Now, None).await });
        let (mut stream, _) = listener.accept().await.unwrap();
        if kind == Kind::Http {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
        let answered = check.await.unwrap();
        assert!(answered.is_healthy(), "{answered:?}");
    }
}
