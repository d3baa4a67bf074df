use std::path::Path;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    sync::watch,
    task::JoinHandle,
};

use super::*;

const SHORT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    /// How many requests have reached the handler.
    begun: watch::Receiver<usize>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// Says who asked for what; `/slow` takes a while.
async fn echo(peer: Peer, request: Request<Incoming>) -> Reply {
    if request.uri().path() == "/slow" {
        time::sleep(2 * SHORT).await;
    }
    Response::new(Full::from(format!("{peer} {}", request.uri())))
}

fn start(limits: Limits) -> Running {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (count, begun) = watch::channel(0);
    let handle = move |peer, request| {
        count.send_modify(|begun| *begun += 1);
        echo(peer, request)
    };
    let serving = tokio::spawn(serve(listener, limits, handle, stop.clone()));
    Running { address, begun, stop, serving }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text`, closes this side, and reads what comes.
    async fn say(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        // The server may hang up while a large request is being sent.
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
        read(&mut stream).await
    }
}

/// Reads until the other side closes.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let reading = stream.read_to_end(&mut text);
    // A reset after the answer is as good an end as any.
    let _ = time::timeout(PATIENCE, reading).await.expect("the connection is closed in time");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn haproxy_netcat_and_pipelining_clients_are_answered() {
    let server = start(Limits::default());
    let answer = server.say("GET /a//b%20?c HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n127.0.0.1 /a//b%20?c"), "{answer}");
    let answer = server.say("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    let answer = server.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("127.0.0.1 /slow"), "half closed: {answer}");
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let root = tempfile::tempdir().unwrap();
    let path: &Path = &root.path().join("socket");
    let stop = CancellationToken::new();
    let listener = UnixListener::bind(path).unwrap();
    let serving = tokio::spawn(serve(listener, Limits::default(), echo, stop.clone()));
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET /a HTTP/1.0\r\n\r\n").await.unwrap();
    let answer = read(&mut stream).await;
    assert!(answer.ends_with("\r\n\r\nunix /a"), "{answer}");
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn nonsense_large_heads_and_silence_end_the_connection() {
    let server = start(Limits { head_timeout: SHORT, ..Limits::default() });
    for nonsense in ["nonsense\r\n\r\n", "\0\r\n\r\n", "GET / HTTP/2.0\r\n\r\n"] {
        let answer = server.say(nonsense).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{nonsense:?}: {answer}");
    }
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let answer = server.say(&head).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let mut silent = server.connect().await;
    silent.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(read(&mut silent).await, "");
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(read(&mut idle).await.ends_with("127.0.0.1 /"), "kept, then closed");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_are_served_in_turn() {
    let server = start(Limits { connections: 2, ..Limits::default() });
    let (first, second) = (server.connect().await, server.connect().await);
    let third = server.say("GET / HTTP/1.0\r\n\r\n");
    tokio::pin!(third);
    assert!(time::timeout(SHORT, &mut third).await.is_err(), "both places are taken");
    drop(first);
    assert!(third.await.ends_with("127.0.0.1 /"));
    drop(second);
}

#[tokio::test]
async fn a_client_that_takes_all_its_places_is_turned_away_and_keeps_nobody_else_waiting() {
    let server = start(Limits { per_peer: 2, ..Limits::default() });
    let (first, _second) = (server.connect().await, server.connect().await);
    assert_eq!(read(&mut server.connect().await).await, "");
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(server.address).await.unwrap();
    other.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(read(&mut other).await.ends_with("127.0.0.2 /"));
    drop(first);
    let again = async { while server.say("GET / HTTP/1.0\r\n\r\n").await.is_empty() {} };
    time::timeout(PATIENCE, again).await.expect("a place is free again");
}

#[tokio::test]
async fn a_connection_ends_with_its_lifetime() {
    let limits = Limits { lifetime: 5 * SHORT, grace: SHORT, ..Limits::default() };
    let server = start(limits);
    let mut kept = server.connect().await;
    kept.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(read(&mut kept).await.ends_with("127.0.0.1 /"));
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_refuses_new_ones() {
    let mut server = start(Limits::default());
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    idle.read_u8().await.unwrap();
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
    server.begun.wait_for(|begun| *begun == 2).await.unwrap();
    server.stop.cancel();
    assert!(read(&mut busy).await.ends_with("127.0.0.1 /slow"));
    read(&mut idle).await;
    time::timeout(PATIENCE, server.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_was_taken_before_a_stop_is_answered_even_if_it_speaks_after() {
    let server = start(Limits::default());
    let mut fresh = server.connect().await;
    // Accepted in order: once this one is answered, the one before it has been taken too.
    assert!(server.say("GET / HTTP/1.0\r\n\r\n").await.ends_with("127.0.0.1 /"));
    server.stop.cancel();
    while TcpStream::connect(server.address).await.is_ok() {}
    fresh.write_all(b"GET /late HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = read(&mut fresh).await;
    assert!(answer.ends_with("127.0.0.1 /late"), "{answer:?}");
    time::timeout(PATIENCE, server.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_a_port_that_was_is_not() {
    let server = start(Limits::default());
    let error = listen(server.address).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", server.address));
    // The server closes first, so the kernel keeps the connection in TIME-WAIT on its port.
    server.say("GET / HTTP/1.0\r\n\r\n").await;
    server.stop.cancel();
    server.serving.await.unwrap();
    listen(server.address).unwrap();
}
