//! What is lost while servers come and go, and in reloads beside those of HAProxy alone.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use agent::synapse::{catalog::Server, haproxy::master};
use parking_lot::Mutex;
use soa_configs::NamespaceConfig;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{self, Instant},
};

use super::host::{Host, Web, eventually, free_port, get, namespace};

const BUILT_IN: &str = include_str!("../../../templates/haproxy.cfg.tera");
const NS: &str = "web.main";
/// Added in all.
const SERVERS: usize = 1000;
/// In one change.
const AT_ONCE: usize = 25;
/// Connections that stay open, and clients that open one for each request.
const CLIENTS: usize = 8;
const RELOADS: u16 = 5;

/// What became of requests that were not answered with 200.
type Lost = Arc<Mutex<Vec<String>>>;

/// Clients that never rest.
struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    /// Connections that were to be kept.
    closed_by_proxy: Arc<AtomicUsize>,
    /// By clients that keep their connection, and by those that close it.
    lost: [Lost; 2],
    clients: JoinSet<()>,
}

impl Load {
    fn on(proxy: SocketAddr) -> Self {
        let mut load = Self {
            over: Arc::default(),
            served: Arc::default(),
            closed_by_proxy: Arc::default(),
            lost: [Arc::default(), Arc::default()],
            clients: JoinSet::new(),
        };
        for _ in 0..CLIENTS {
            for (keeps, lost) in [true, false].into_iter().zip(&load.lost) {
                let client = Client {
                    proxy,
                    keeps,
                    over: Arc::clone(&load.over),
                    served: Arc::clone(&load.served),
                    closed_by_proxy: Arc::clone(&load.closed_by_proxy),
                    lost: Arc::clone(lost),
                };
                load.clients.spawn(client.run());
            }
        }
        load
    }

    /// How many have been lost since the last question, of each kind.
    fn lost(&self) -> [Vec<String>; 2] {
        [&self.lost[0], &self.lost[1]].map(|lost| std::mem::take(&mut *lost.lock()))
    }

    async fn end(mut self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        while self.clients.join_next().await.is_some() {}
        self.served.load(Ordering::SeqCst)
    }
}

struct Client {
    proxy: SocketAddr,
    keeps: bool,
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    closed_by_proxy: Arc<AtomicUsize>,
    lost: Lost,
}

impl Client {
    async fn run(self) {
        let mut kept = None;
        while !self.over.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let answered = if self.keeps {
                self.ask(&mut kept).await
            } else {
                get(self.proxy, "/").await.map(|(status, _)| status)
            };
            if answered == Some(200) {
                self.served.fetch_add(1, Ordering::SeqCst);
            } else {
                self.lost.lock().push(format!("{answered:?} after {:?}", begun.elapsed()));
                kept = None;
            }
            time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// One request over a connection that is kept; between two requests the server may close it.
    async fn ask(&self, kept: &mut Option<TcpStream>) -> Option<u16> {
        let mut stream = match kept.take() {
            Some(stream) if is_open(&stream) => stream,
            _ => TcpStream::connect(self.proxy).await.ok()?,
        };
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.ok()?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\nweb") {
            if stream.read_buf(&mut reply).await.ok()? == 0 {
                return None;
            }
        }
        let reply = String::from_utf8_lossy(&reply);
        if reply.contains("connection: close") {
            self.closed_by_proxy.fetch_add(1, Ordering::SeqCst);
        } else {
            *kept = Some(stream);
        }
        reply.split(' ').nth(1)?.parse().ok()
    }
}

/// Nothing is to be read, not even the end.
fn is_open(stream: &TcpStream) -> bool {
    let nothing = stream.try_read(&mut [0; 1]);
    nothing.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// A thousand addresses of one service.
fn server(service: &Web, number: usize) -> Server {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    let address = SocketAddr::from(([127, 51, high, low], service.server.address.port()));
    Server { name: format!("web_{address}"), address, ..service.server.clone() }
}

/// HAProxy keeps connections open on both sides, where the template as it comes closes them.
fn keeping() -> TempDir {
    let closing = "\toption httpclose\n";
    assert!(BUILT_IN.contains(closing));
    let templates = tempfile::tempdir().unwrap();
    let text = BUILT_IN.replace(closing, "\toption http-keep-alive\n");
    agent::atomic_file::write(&templates.path().join("haproxy.cfg.tera"), text.as_bytes()).unwrap();
    templates
}

async fn scene(templates: &TempDir) -> (Host, Web, Web, SocketAddr) {
    let host = Host::start_with(|settings| {
        settings.templates = Some(templates.path().to_owned());
        settings.reload_burst = NonZeroU32::MIN.saturating_add(99);
    })
    .await;
    // On every address, as each server has its own hacheck.
    let everywhere: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let hacheck = Web::at((everywhere, host.settings.hacheck_port).into(), "well").await;
    let service = Web::start(everywhere, "web").await;
    let proxy = SocketAddr::new(host.address(), free_port(host.address()).await);
    (host, hacheck, service, proxy)
}

fn config(proxy: SocketAddr, retries: u16) -> NamespaceConfig {
    NamespaceConfig { keepalive: true, retries: Some(retries), ..namespace(proxy.port()) }
}

/// A small generator: the test must be the same each time.
fn next(random: &mut u64) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    usize::try_from(*random % 1_000_003).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_servers_come_and_go_over_one_worker_and_no_request_fails() {
    let templates = keeping();
    let (mut host, _hacheck, service, proxy) = scene(&templates).await;
    let mut living: Vec<Server> = (0..3).map(|number| server(&service, number)).collect();
    host.set([(NS, config(proxy, 1), living.clone())]);
    let before = host.until_up(NS, &living[0]).await;
    let load = Load::on(proxy);
    let (mut random, mut added) = (0x5eed_u64, living.len());
    while added < SERVERS {
        // Those who are leaving go, some of the others begin to leave, and new ones come.
        living.retain(|server| !server.leaving);
        for _ in 0..AT_ONCE.min(living.len() - 1) {
            let at = next(&mut random) % living.len();
            living[at].leaving = true;
        }
        living.extend((added..added + AT_ONCE).map(|number| server(&service, number)));
        added += AT_ONCE;
        host.set([(NS, config(proxy, 1), living.clone())]);
        let newest = living.last().unwrap().clone();
        host.until_up(NS, &newest).await;
    }
    let [kept, closed] = load.lost();
    assert!(kept.is_empty() && closed.is_empty(), "{kept:?} {closed:?}");
    assert_eq!(load.closed_by_proxy.load(Ordering::SeqCst), 0);
    let after = host.until("all that left are gone", |s| s.pending_deletes.is_empty()).await;
    assert_eq!(
        (after.worker_pid, after.counters.reloads),
        (before.worker_pid, before.counters.reloads)
    );
    let served = load.end().await;
    assert!(served > SERVERS, "{served}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_lose_at_most_what_haproxys_own_do() {
    let templates = keeping();
    let (mut host, _hacheck, service, proxy) = scene(&templates).await;
    let others: Vec<String> = (0..20).map(|number| format!("other{number}.main")).collect();
    let servers = || vec![server(&service, 1), server(&service, 2)];
    let set = |host: &Host, retries: u16| {
        let other =
            |name| (name, NamespaceConfig { retries: Some(retries), ..namespace(0) }, vec![]);
        let others = others.iter().map(|name| other(name.as_str()));
        host.set(others.chain([(NS, config(proxy, 1), servers())]));
    };
    set(&host, 0);
    let before = host.until_up(NS, &server(&service, 1)).await.counters.reloads;
    let load = Load::on(proxy);
    for round in 1..=RELOADS {
        set(&host, round);
        let reloads = before + u64::from(round);
        host.until("it is reloaded", |status| status.counters.reloads == reloads).await;
        host.until_up(NS, &server(&service, 1)).await;
    }
    let ours = load.lost();
    for _ in 0..RELOADS {
        let worker = host.status.borrow().worker_pid;
        // It is away for a moment while it starts itself over.
        let (socket, timeout) = (&host.settings.master_socket, Duration::from_secs(2));
        eventually("the master takes it", async || master::reload(socket, timeout).await.is_ok())
            .await;
        host.until("another worker", |s| s.worker_pid.is_some() && s.worker_pid != worker).await;
        host.until_up(NS, &server(&service, 1)).await;
    }
    let plain = load.lost();
    let served = load.end().await;
    let [ours, plain] = [ours, plain].map(|[kept, closed]| [kept.len(), closed.len()]);
    println!(
        "lost in {RELOADS} reloads of ours {ours:?}, of haproxy alone {plain:?}; served {served}"
    );
    // A kept connection may be closed under a request, once in each reload; a new one never.
    for [kept, closed] in [ours, plain] {
        assert!(kept <= CLIENTS * usize::from(RELOADS) && closed == 0, "{kept} {closed}");
    }
    host.stop().await;
}
