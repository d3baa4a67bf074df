//! The drain method against our own server, and against servers that mean no good.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::{
    checks::Checker,
    marks::Marks,
    names::LocalAddresses,
    routes::Hacheck,
    server::{self, Limits},
    settings::Settings,
};

/// A hacheck with an empty spool.
struct Host {
    address: SocketAddr,
    marks: Marks,
    _root: TempDir,
    _stop: DropGuard,
}

impl Host {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (marks, keeper) = Marks::open(root.path()).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(keeper.run(stop.clone()));
        let (_, local) = watch::channel(Arc::new(LocalAddresses::new([], None)));
        let settings = Settings::default();
        let checker = Checker::new(&settings.checks, tokio::runtime::Handle::current());
        let (_, containers) = watch::channel(Arc::default());
        let hacheck = Hacheck::new(settings, marks.clone(), checker, local, containers);
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let handle = move |peer, request| {
            let hacheck = hacheck.clone();
            async move { hacheck.handle(peer, request).await }
        };
        tokio::spawn(server::serve(listener, Limits::default(), handle, stop.clone()));
        Self { address, marks, _root: root, _stop: stop.drop_guard() }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.marks.table().iter().map(|m| m.key.to_string()).collect();
        names.sort();
        names
    }

    fn creation(&self, name: &str) -> f64 {
        let table = self.marks.table();
        table.get(&name.parse().unwrap()).unwrap().creation.unwrap().seconds()
    }
}

fn method(port: u16, delay: f64, change: impl FnOnce(&mut HttpSettings)) -> DrainMethod {
    let registrations = ["one.main", "one.ro"].map(|name| name.parse().unwrap());
    // Ten times no delay would be no mark at all.
    let expiration = if delay == 0.0 { 600.0 } else { 0.0 };
    let parameters = Parameters { delay, hacheck_port: port, expiration };
    let mut settings = HttpSettings::new("paasta-master 0.1.0");
    change(&mut settings);
    DrainMethod::new(registrations.into(), parameters, settings).unwrap()
}

fn task(host: &str) -> Task {
    Task { host: host.into(), port: Some(31000) }
}

const HERE: &str = "127.0.0.1";

#[tokio::test]
async fn a_task_is_drained_in_all_its_registrations_and_brought_back() {
    let host = Host::start().await;
    let method = method(host.address.port(), 0.0, |_| {});
    let task = task(HERE);
    assert!(!method.is_draining(&task).await.unwrap());
    assert!(!method.is_safe_to_kill(&task).await.unwrap());
    method.drain(&task).await.unwrap();
    assert_eq!(host.names(), ["one.main:31000", "one.ro:31000"]);
    assert!(method.is_draining(&task).await.unwrap());
    // A delay of 0 makes it safe as soon as the clock has moved on.
    while !method.is_safe_to_kill(&task).await.unwrap() {}
    let first = host.creation("one.main:31000");
    method.drain(&task).await.unwrap();
    assert_eq!(host.creation("one.main:31000"), first, "done again it begins no new drain");
    method.stop_draining(&task).await.unwrap();
    assert_eq!(host.names(), [""; 0]);
    assert!(!method.is_draining(&task).await.unwrap());
}

#[tokio::test]
async fn a_drain_lasts_for_the_configured_time_and_says_why() {
    let host = Host::start().await;
    let before = UnixTime::now().seconds();
    let method = method(host.address.port(), 60.0, |_| {});
    method.drain(&task(HERE)).await.unwrap();
    assert!(!method.is_safe_to_kill(&task(HERE)).await.unwrap(), "the delay has not passed");
    let table = host.marks.table();
    let mark = table.get(&"one.ro:31000".parse().unwrap()).unwrap();
    assert_eq!(mark.reason, "Drained by Paasta");
    let left = mark.expiration.unwrap().seconds() - before;
    assert!((600.0..660.0).contains(&left), "{left}");
}

#[tokio::test]
async fn the_mark_of_somebody_else_counts_too() {
    let host = Host::start().await;
    let wish = crate::marks::Wish { creation: UnixTime::new(7.0), ..Default::default() };
    host.marks.set("all".parse().unwrap(), wish).await.unwrap();
    let method = method(host.address.port(), 60.0, |_| {});
    assert!(method.is_draining(&task(HERE)).await.unwrap());
    assert!(method.is_safe_to_kill(&task(HERE)).await.unwrap());
}

#[tokio::test]
async fn a_task_without_ports_needs_no_drain_and_is_never_said_to_be_safe() {
    let method = method(1, 0.0, |_| {});
    let task = Task { host: HERE.into(), port: None };
    method.drain(&task).await.unwrap();
    method.stop_draining(&task).await.unwrap();
    assert!(matches!(method.is_draining(&task).await.unwrap_err().fault, Fault::NoPort));
    assert!(matches!(method.is_safe_to_kill(&task).await.unwrap_err().fault, Fault::NoPort));
}

/// A server that treats every connection so.
async fn hostile<F>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
    port
}

/// A server that reads a request and says `answer`.
async fn answering(answer: &'static str) -> u16 {
    hostile(move |mut stream| async move {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

fn quick(settings: &mut HttpSettings) {
    settings.timeout = Duration::from_millis(300);
}

#[tokio::test]
async fn whatever_a_server_says_is_never_taken_for_safe() {
    let silent = hostile(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let endless = hostile(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 503 Down\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let endless_head = hostile(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 503 Down\r\n").await;
        while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    });
    let drips = hostile(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 503 Down\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let page = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 13\r\n\r\n<html></html>";
    let inf = "HTTP/1.1 503 Down\r\n\r\nService one.main in down state since inf";
    let cut = "HTTP/1.1 503 Down\r\ncontent-length: 99\r\n\r\nService one.main in down state";
    let cases = [
        ("silent", silent.await),
        ("endless body", endless.await),
        ("endless head", endless_head.await),
        ("a byte at a time", drips.await),
        ("no http", answering("SSH-2.0-OpenSSH_9.2\r\n").await),
        ("nothing", answering("").await),
        ("html page", answering(page).await),
        ("since inf", answering(inf).await),
        ("cut short", answering(cut).await),
    ];
    for (what, port) in cases {
        let method = method(port, 0.0, quick);
        let error = method.is_safe_to_kill(&task(HERE)).await.expect_err(what);
        assert!(error.fault.may_have_worked() && !error.fault.is_host_gone(), "{what}: {error:?}");
        assert!(method.is_draining(&task(HERE)).await.is_err(), "{what}");
        assert!(method.drain(&task(HERE)).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn an_error_says_which_registration_of_which_host_and_why() {
    let port =
        answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!");
    let error = method(port.await, 0.0, |_| {}).drain(&task(HERE)).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot ask 127.0.0.1 about one.main");
    assert_eq!(error.fault.to_string(), "hacheck answers 403: \"no!\"");
    assert!(!error.fault.may_have_worked());
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let error = method(port, 0.0, |_| {}).drain(&task(HERE)).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Unreachable(_)), "{error:?}");
    let error = method(port, 0.0, |_| {}).drain(&task("no.such.host.invalid")).await.unwrap_err();
    assert!(error.fault.is_host_gone(), "{error:?}");
    assert!(method(port, 0.0, |_| {}).drain(&task("evil\r\nhost: x")).await.is_err());
}

/// A server that takes no more connections: the queue of its listener is full.
async fn full() -> (u16, Vec<TcpStream>, socket2::Socket) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    loop {
        let connect = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(300), connect).await {
            Ok(stream) => waiting.push(stream.unwrap()),
            Err(_) => return (address.port(), waiting, socket),
        }
    }
}

#[tokio::test]
async fn a_host_that_is_gone_is_asked_once_and_does_not_keep_the_others_waiting() {
    let (port, _waiting, _socket) = full().await;
    let method = method(port, 0.0, |settings| {
        settings.connect_timeout = Duration::from_millis(200);
        settings.at_once = 2.try_into().unwrap();
    });
    // One after the other these would take half a minute and more than the test has patience for.
    let tasks = vec![task(HERE); 150];
    let asked = method.drain_all(&tasks);
    let results = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    assert_eq!(results.len(), 150);
    for result in results {
        assert!(matches!(result.unwrap_err().fault, Fault::Gone(_)));
    }
}

#[tokio::test]
async fn many_tasks_are_asked_at_once_within_the_bound_and_answered_in_order() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let gate = Arc::new(tokio::sync::Barrier::new(4));
    let port = hostile(move |mut stream| {
        let gate = Arc::clone(&gate);
        async move {
            MOST.fetch_max(OPEN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            // Opens only for four at once.
            gate.wait().await;
            let status = if request.contains("31001") { 404 } else { 200 };
            OPEN.fetch_sub(1, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let method = method(port, 0.0, |settings| settings.at_once = 4.try_into().unwrap());
    let ports = [31000, 31001, 31002, 31001, 31000, 31002];
    let tasks = ports.map(|port| Task { host: HERE.into(), port: Some(port) });
    let results = method.stop_draining_all(&tasks).await;
    let worked: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(worked, ports.map(|port| port != 31001));
    assert_eq!(MOST.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn requests_carry_the_name_of_the_program_and_the_token() {
    let (heads, mut seen) = watch::channel(String::new());
    let port = hostile(move |mut stream| {
        let heads = heads.clone();
        async move {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            heads.send_replace(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    let method = method(port, 0.0, |settings| settings.token = Some("s3cret".into()));
    assert!(!method.is_draining(&task(HERE)).await.unwrap());
    let head = seen.wait_for(|head| !head.is_empty()).await.unwrap().to_lowercase();
    assert!(head.starts_with("get /spool/one."), "{head}");
    for line in
        ["user-agent: paasta-master 0.1.0", "authorization: bearer s3cret", "connection: close"]
    {
        assert!(head.lines().any(|found| found == line), "{line} in {head}");
    }
    assert!(!format!("{method:?}").contains("s3cret"), "secrets stay out of logs");
    let odd = HttpSettings { token: Some("a\nb".into()), ..HttpSettings::new("x 1") };
    assert!(DrainMethod::new(Vec::new(), Parameters::with_delay(1.0), odd).is_err());
}
