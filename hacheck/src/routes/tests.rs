//! The interface from request to answer, on real marks and real sockets.

use std::{fs, net::SocketAddr};

use http_body_util::{BodyExt, Full};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::{
    marks::{MarkKey, Wish},
    server::{self, Limits},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
const HERE: &str = "127.0.0.1";
const THERE: &str = "10.5.0.1";

struct Host {
    hacheck: Hacheck,
    marks: Marks,
    root: TempDir,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl Host {
    async fn start(settings: Settings) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (marks, keeper) = Marks::open(&root.path().join("spool")).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(keeper.run(stop.clone()));
        let addresses = LocalAddresses::new(["10.0.0.7".parse().unwrap()], None);
        let (_, local) = watch::channel(Arc::new(addresses));
        let checker = Checker::new(&settings.checks);
        let hacheck = Hacheck::new(settings, marks.clone(), checker, local);
        Self { hacheck, marks, root, _stop: stop.clone().drop_guard(), stop }
    }

    async fn ask(&self, request: Ask<'_>) -> Answered {
        let mut builder = Request::builder().method(request.method).uri(request.path);
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        let request_body = Full::from(request.body.to_owned());
        let peer = Peer::Ip(request.peer.parse().unwrap());
        let reply = self.hacheck.handle(peer, builder.body(request_body).unwrap()).await;
        let (head, body) = reply.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name| head.headers[name].to_str().unwrap().to_owned();
        Answered {
            status: head.status.as_u16(),
            content_type: header("content-type"),
            server: header("server"),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Status and body of a GET.
    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Ask { path, ..Ask::default() }).await.short()
    }

    /// Status and body of a POST with a form.
    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let headers = &[("content-type", "application/x-www-form-urlencoded")];
        self.ask(Ask { method: "POST", path, headers, body, ..Ask::default() }).await.short()
    }

    async fn mark(&self, name: &str, reason: &str) {
        let wish = Wish { reason: reason.into(), creation: UnixTime::new(7.0), expiration: None };
        self.marks.set(name.parse().unwrap(), wish).await.unwrap();
    }
}

#[derive(Clone, Copy)]
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    peer: &'a str,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self { method: "GET", path: "/", headers: &[], body: "", peer: HERE }
    }
}

#[derive(Debug)]
struct Answered {
    status: u16,
    content_type: String,
    server: String,
    body: String,
}

impl Answered {
    fn short(self) -> (u16, String) {
        (self.status, self.body)
    }
}

/// A service that gives the same answer to everyone, and tells how it was asked.
async fn service(answer: &'static str) -> (u16, watch::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, asked) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            head.truncate(length);
            heads.send_modify(|heads| heads.push(String::from_utf8(head).unwrap()));
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

fn owned(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_as_before() {
    let host = Host::start(Settings::default()).await;
    let not_found = "<html><title>404: Not Found</title><body>404: Not Found</body></html>";
    let not_allowed = "<html><title>405: Method Not Allowed</title>\
                       <body>405: Method Not Allowed</body></html>";
    for path in ["/", "/http/svc/80", "/https/svc/80/x", "/recent/", "/http/a%20b/80/x"] {
        assert_eq!(host.get(path).await, owned(404, not_found), "{path}");
    }
    let cases = [
        ("HEAD", "/http/svc/80/x"),
        ("OPTIONS", "/http/svc/80/x"),
        ("POST", "/tcp/svc/80"),
        ("DELETE", "/spool/svc/80"),
        ("POST", "/status"),
    ];
    for (method, path) in cases {
        let answer = host.ask(Ask { method, path, ..Ask::default() }).await;
        assert_eq!(answer.content_type, "text/html; charset=UTF-8");
        assert!(answer.server.starts_with("hacheck/"), "{}", answer.server);
        assert_eq!(answer.short(), owned(405, not_allowed), "{method} {path}");
    }
    for path in ["/http/../80/x", "/spool/./80", "/spool/svc/65536", "/tcp/svc/99999999999"] {
        assert_eq!(host.get(path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn a_check_passes_on_what_the_service_says() {
    let host = Host::start(Settings::default()).await;
    let (healthy, _) = service(OK).await;
    let answer =
        host.ask(Ask { path: &format!("/http/svc/{healthy}/status"), ..Ask::default() }).await;
    assert_eq!(answer.content_type, "text/html; charset=UTF-8");
    assert_eq!(answer.short(), owned(200, "fine"));
    assert_eq!(host.get(&format!("/tcp/svc/{healthy}")).await, owned(200, "Connected in 0.00s"));
    let (odd, _) = service("HTTP/1.1 420 Calm\r\nContent-Length: 2\r\n\r\nno").await;
    assert_eq!(host.get(&format!("/http/svc/{odd}/")).await, owned(503, "no"));
    let recent = host.get("/recent").await.1;
    assert!(recent.contains(r#"["svc",{"code":420,"remote_ip":"127.0.0.1","ts":"#), "{recent}");
}

#[tokio::test]
async fn the_service_is_asked_for_the_path_as_received_with_the_copied_headers() {
    let mode = HeaderName::from_static("x-mode");
    let settings = Settings {
        http_headers_to_copy: vec![header::HOST, mode],
        service_name_header: Some(HeaderName::from_static("x-service")),
        ..Settings::default()
    };
    let host = Host::start(settings).await;
    let (port, asked) = service(OK).await;
    let path = format!("/http/svc.main/{port}/a%20b//%2F?c=%26");
    let headers = &[("host", "h:6666"), ("x-mode", "ro"), ("x-mode", "rw"), ("x-other", "1")];
    assert_eq!(host.ask(Ask { path: &path, headers, ..Ask::default() }).await.status, 200);
    let expected = format!(
        "GET /a%20b//%2F?c=%26 HTTP/1.1\r\nuser-agent: hastate {}\r\nhost: h:6666\r\n\
         x-mode: ro,rw\r\nx-service: svc.main\r\nconnection: close\r\n\r\n",
        crate::VERSION
    );
    assert_eq!(*asked.borrow(), [expected]);
    for (rest, seen) in [("/status", "/status"), ("", "/"), ("x?", "/x"), ("//x", "//x")] {
        host.get(&format!("/http/svc.main/{port}/{rest}")).await;
        let last = asked.borrow().last().unwrap().clone();
        assert!(last.starts_with(&format!("GET {seen} HTTP/1.1\r\n")), "{rest}: {last}");
    }
}

#[tokio::test]
async fn nerve_and_haproxy_share_one_check_and_no_cache_makes_another() {
    let host = Host::start(Settings::default()).await;
    let (port, asked) = service(OK).await;
    let nerve = format!("/http/svc.main/{port}/status");
    let nerve_headers = &[("host", "127.0.0.1:6666"), ("x-nerve-check-ip", "10.0.0.7")];
    let state = format!("UP 1/3; address=10.0.0.7; port={port}; name=svc.main/x; qcur=0");
    let haproxy_headers = &[("x-haproxy-server-state", &*state)];
    let nerve = Ask { path: &nerve, headers: nerve_headers, ..Ask::default() };
    let haproxy =
        Ask { path: "/http/svc.main/0/status", headers: haproxy_headers, ..Ask::default() };
    assert_eq!(host.ask(nerve).await.status, 200);
    assert_eq!(host.ask(haproxy).await.status, 200);
    assert_eq!(asked.borrow().len(), 1);
    for (pragma, checks) in [("No-Cache", 1), ("no-cache", 2)] {
        let headers = &[("pragma", pragma)];
        assert_eq!(host.ask(Ask { headers, ..nerve }).await.status, 200);
        assert_eq!(asked.borrow().len(), checks, "{pragma}");
    }
    let status = host.get("/status").await.1;
    assert!(status.contains(r#""cache":{"expirations":1,"sets":2,"gets":4,"hits":2,"misses":2}"#));
    assert!(status.contains(r#""outbound_request_queue_size":0"#), "{status}");
}

#[tokio::test]
async fn a_marked_instance_is_down_by_whatever_address_of_this_host_and_is_not_asked() {
    let host = Host::start(Settings::default()).await;
    let (port, asked) = service(OK).await;
    host.mark(&format!("svc:{port}"), "Drained by Paasta").await;
    let text = "Service svc in down state since 7.000000: Drained by Paasta";
    for address in ["", "127.0.0.1", "::1", "10.0.0.7"] {
        let headers = &[("x-nerve-check-ip", address)];
        for path in ["http/svc", "tcp/svc", "spool/svc"] {
            let path = format!("/{path}/{port}/status");
            let answer = host.ask(Ask { path: &path, headers, ..Ask::default() }).await;
            assert_eq!(answer.short(), owned(503, text), "{path} {address}");
        }
    }
    assert_eq!(host.get(&format!("/spool/other/{port}")).await, owned(200, ""));
    host.mark("all", "kernel").await;
    let expected = owned(503, "Service all in down state since 7.000000: kernel");
    assert_eq!(host.get(&format!("/spool/other/{port}")).await, expected);
    assert!(asked.borrow().is_empty());
}

#[tokio::test]
async fn a_drained_instance_answers_503_until_the_mark_expires() {
    let host = Host::start(Settings::default()).await;
    let until = UnixTime::now().seconds() + 0.5;
    let form = format!("status=down&expiration={until}&reason=x");
    assert_eq!(host.post("/spool/svc/80/status", &form).await, owned(200, ""));
    assert_eq!(host.get("/spool/svc/80").await.0, 503);
    let mut tables = host.marks.subscribe();
    tables.wait_for(|table| table.is_empty()).await.unwrap();
    assert_eq!(host.get("/spool/svc/80").await, owned(200, ""));
    assert!(UnixTime::now().seconds() > until);
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_refused_and_the_answer_says_why() {
    let settings =
        Settings { target_networks: vec!["127.0.0.2".parse().unwrap()], ..Settings::default() };
    let host = Host::start(settings).await;
    let (port, asked) = service(OK).await;
    let cases = [
        ("x-nerve-check-ip", "169.254.169.254".to_owned(), 403),
        ("x-nerve-check-ip", "example.com".to_owned(), 403),
        ("x-haproxy-server-state", format!("UP; address=203.0.113.9; port={port}"), 403),
        ("x-haproxy-server-state", "UP; port=x".to_owned(), 500),
        // Nobody listens there, but we may try.
        ("x-nerve-check-ip", "127.0.0.2".to_owned(), 503),
    ];
    for (name, value, status) in cases {
        let path = format!("/tcp/svc/{port}");
        let headers = &[(name, &*value)];
        let answer = host.ask(Ask { path: &path, headers, ..Ask::default() }).await;
        assert_eq!(answer.status, status, "{value}: {}", answer.body);
        assert!(!answer.body.is_empty());
    }
    assert!(asked.borrow().is_empty());
}

#[tokio::test]
async fn marks_are_set_and_removed_by_post() {
    let host = Host::start(Settings::default()).await;
    let down = "status=down&expiration=4102444800.5&creation=7&reason=Drained+by+Paasta";
    let cases = [
        ("/spool/svc.main/31000/status", "svc.main:31000"),
        ("/spool/svc.main/0", "svc.main"),
        ("/spool/all/0/x", "all"),
    ];
    for (path, file) in cases {
        assert_eq!(host.post(path, down).await, owned(200, ""), "{path}");
        let text = fs::read_to_string(host.root.path().join("spool").join(file)).unwrap();
        let expected =
            r#"{"reason": "Drained by Paasta", "expiration": 4102444800.5, "creation": 7.0}"#;
        assert_eq!(text, expected, "{file}");
        let name: MarkKey = file.parse().unwrap();
        let shown = format!(
            "Service {} in down state since 7.000000 until 4102444800.500000: Drained by Paasta",
            name.shown()
        );
        assert_eq!(host.get("/spool/svc.main/31000").await, owned(503, &shown));
        assert_eq!(host.post(path, "status=up").await, owned(200, ""), "{path}");
        assert_eq!(host.post(path, "status=up").await, owned(200, ""), "{path} again");
        assert_eq!(host.get("/spool/svc.main/31000").await, owned(200, ""));
    }
    let query = "/spool/svc.main/31000?status=down&reason=by+query";
    assert_eq!(host.post(query, "").await, owned(200, ""));
    assert_eq!(host.get("/spool/svc.main/31000").await.0, 503);
    let counted = host.get("/status/count").await.1;
    let gets = r#"{"service_access_counts":{"svc.main":{"127.0.0.1":7}}}"#;
    assert_eq!(counted, gets, "posts are not counted");
}

#[tokio::test]
async fn posts_that_say_too_little_or_nonsense_change_nothing() {
    let host = Host::start(Settings::default()).await;
    let cases = [
        ("", 400, "argument `status` is missing"),
        ("status=down", 400, "argument `reason` is missing"),
        ("status=Down&reason=x", 400, "status must be up or down"),
        ("status=down&reason=x&expiration=soon", 500, "argument `expiration` is not a number"),
        ("status=down&reason=x&creation=nan", 500, "argument `creation` is not a number"),
        ("status=down&reason=%ff", 400, "the form cannot be read"),
    ];
    for (body, status, text) in cases {
        assert_eq!(host.post("/spool/svc/80/x", body).await, owned(status, text), "{body}");
    }
    let large = format!("status=down&reason={}", "x".repeat(65 * 1024));
    assert_eq!(host.post("/spool/svc/80/x", &large).await.0, 413);
    assert_eq!(host.post("/spool/../0/x", "status=up").await.0, 400);
    assert!(host.marks.table().is_empty());
}

#[tokio::test]
async fn only_this_host_may_set_marks_unless_others_are_listed() {
    let closed = Host::start(Settings::default()).await;
    let mut settings = Settings::default();
    settings.remote_marks.allow = vec!["10.5.0.0/16".parse().unwrap()];
    let open = Host::start(settings).await;
    let path = "/spool/svc/80/x?status=down&reason=x";
    let post = Ask { method: "POST", path, peer: THERE, ..Ask::default() };
    let refused = owned(403, "remote spool changes are not enabled");
    assert_eq!(closed.ask(post).await.short(), refused);
    assert_eq!(closed.ask(Ask { path: "/spool/svc/80/x", ..post }).await.short(), refused);
    assert!(closed.marks.table().is_empty());
    assert_eq!(open.ask(post).await.short(), owned(200, ""));
    assert_eq!(open.ask(Ask { peer: "10.6.0.1", ..post }).await.short(), refused);
}

#[tokio::test]
async fn a_client_that_is_too_fast_gets_429() {
    let mut settings = Settings::default();
    settings.remote_marks.burst = std::num::NonZeroU32::MIN;
    settings.remote_marks.per_second = std::num::NonZeroU32::MIN;
    let host = Host::start(settings).await;
    assert_eq!(host.post("/spool/svc/80", "status=up").await.0, 200);
    let refused = owned(429, "too many changes of marks from this client");
    assert_eq!(host.post("/spool/svc/80", "status=up").await, refused);
}

#[tokio::test]
async fn a_mark_that_the_disk_refuses_answers_500_says_why_and_holds() {
    let host = Host::start(Settings::default()).await;
    let spool = host.root.path().join("spool");
    fs::rename(&spool, host.root.path().join("aside")).unwrap();
    fs::File::create(&spool).unwrap();
    let (status, text) = host.post("/spool/svc/80", "status=down&reason=x").await;
    assert_eq!(status, 500);
    let expected = format!(
        "cannot write {}/svc:80; the mark is in force but would not survive a restart: \
         Not a directory (os error 20)",
        spool.display()
    );
    assert_eq!(text, expected);
    assert_eq!(host.get("/spool/svc/80").await.0, 503);
}

#[tokio::test]
async fn recent_takes_a_threshold() {
    let host = Host::start(Settings::default()).await;
    host.get("/spool/svc/80").await;
    let nobody = r#"{"seen_services":[],"threshold_seconds":-5}"#;
    assert_eq!(host.get("/recent?threshold=-5").await, owned(200, nobody));
    assert_eq!(host.get("/recent?threshold=x").await.0, 500);
    let answer = host.ask(Ask { path: "/recent?threshold=9", ..Ask::default() }).await;
    assert_eq!(answer.content_type, "application/json; charset=UTF-8");
    assert!(answer.body.ends_with(r#"}]],"threshold_seconds":9}"#), "{}", answer.body);
}

/// Serves `host` on a free port.
fn serve(host: &Host) -> SocketAddr {
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let hacheck = host.hacheck.clone();
    let handle = move |peer, request| {
        let hacheck = hacheck.clone();
        async move { hacheck.handle(peer, request).await }
    };
    tokio::spawn(server::serve(listener, Limits::default(), handle, host.stop.clone()));
    address
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn haproxys_own_request_is_answered_on_the_wire() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let (port, _) = service(OK).await;
    let answer = exchange(
        address,
        &format!(
            "GET /http/svc.main/0/status HTTP/1.0\r\nx-haproxy-server-state: UP 1/3; \
             address=10.0.0.7; port={port}; name=svc.main/srv1; node=host1; weight=1/11; \
             scur=0/0; qcur=0\r\n\r\n"
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nfine"), "{answer}");
    for status in ["204 No Content", "304 Not Modified"] {
        let text: &'static str = match status {
            "204 No Content" => "HTTP/1.1 204 No Content\r\n\r\n",
            _ => "HTTP/1.1 304 Not Modified\r\n\r\n",
        };
        let (port, _) = service(text).await;
        let request =
            format!("GET /http/svc/{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(!answer.contains("content-length"), "{answer}");
    }
}

#[tokio::test]
async fn paastas_drain_works_on_the_wire() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let form = "status=down&expiration=4102444800.25&reason=Drained+by+Paasta";
    let post = format!(
        "POST /spool/svc.main/31000/status HTTP/1.1\r\nHost: 10.0.0.7:6666\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = exchange(address, &post).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let first = host.get("/spool/svc.main/31000/status").await.1;
    assert!(first.starts_with("Service svc.main in down state since "), "{first}");
    assert!(first.ends_with(" until 4102444800.250000: Drained by Paasta"), "{first}");
    exchange(address, &post).await;
    assert_eq!(host.get("/spool/svc.main/31000/status").await, (503, first), "kept its creation");
}
