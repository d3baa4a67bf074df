//! The interface from request to answer, on real marks and real sockets.

mod checks;
mod hostile;
mod marks;
mod metrics;
mod model;
mod wire;

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::{
    marks::Wish,
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
        Self::start_in(tempfile::tempdir().unwrap(), settings).await
    }

    /// With the spool that is in `root`.
    async fn start_in(root: TempDir, settings: Settings) -> Self {
        let (marks, keeper) = Marks::open(&root.path().join("spool")).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(keeper.run(stop.clone()));
        let addresses = LocalAddresses::new(["10.0.0.7".parse().unwrap()], None);
        let (_, local) = watch::channel(Arc::new(addresses));
        let checker = Checker::new(&settings.checks, tokio::runtime::Handle::current());
        let (_, containers) = watch::channel(Arc::new(["10.7.0.2".parse().unwrap()].into()));
        let hacheck = Hacheck::new(settings, marks.clone(), checker, local, containers);
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

/// Serves `host` on a free port.
fn serve(host: &Host) -> SocketAddr {
    serve_within(host, Limits::default())
}

fn serve_within(host: &Host, limits: Limits) -> SocketAddr {
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let hacheck = host.hacheck.clone();
    let handle = move |peer, request| hacheck.handle(peer, request);
    tokio::spawn(server::serve(listener, limits, handle, host.stop.clone()));
    address
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
