//! A host of its own for each test: loopback addresses, a HAProxy, its keeper, and small servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use agent::synapse::{
    catalog::{Catalog, Pool, Reach, Server},
    haproxy::{self, Settings, Status, process, runtime::Runtime},
};
use parking_lot::Mutex;
use soa_configs::NamespaceConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time,
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) catalog: watch::Sender<Option<Arc<Catalog>>>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    stop_keeper: CancellationToken,
    keeper: JoinHandle<()>,
    stop_process: CancellationToken,
    process: JoinHandle<()>,
}

/// A loopback address that no other test uses.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x40, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `HAPROXY` names another version than the installed one.
fn haproxy() -> PathBuf {
    env::var_os("HAPROXY").map_or_else(|| "/usr/sbin/haproxy".into(), PathBuf::from)
}

/// A port that nobody listens on, and that nobody here was given before: who was may not listen yet.
pub(crate) async fn free_port(address: impl Into<IpAddr>) -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let address = address.into();
    loop {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        if GIVEN.lock().insert(port) {
            return port;
        }
    }
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = own_address();
        let mut settings = Settings {
            bind_address: address.into(),
            hacheck_port: free_port(address).await,
            stats_bind: (address, free_port(address).await).into(),
            config_file: dir.path().join("haproxy.cfg"),
            socket: dir.path().join("h.sock"),
            master_socket: dir.path().join("m.sock"),
            sockets_dir: Some(dir.path().join("s")),
            program: haproxy(),
            log: None,
            command_timeout: Duration::from_secs(2),
            reload_jitter: Duration::ZERO,
            compare_interval: Duration::from_millis(500),
            ..Settings::default()
        };
        change(&mut settings);
        let stop_process = CancellationToken::new();
        let process = tokio::spawn(process::run(settings.clone(), stop_process.clone()));
        let (catalog, _) = watch::channel(None);
        let (status, stop_keeper, keeper) = keep(&settings, &catalog);
        Self { dir, settings, catalog, status, stop_keeper, keeper, stop_process, process }
    }

    pub(crate) async fn stop(mut self) {
        self.stop_keeper().await;
        self.end_haproxy().await;
    }

    /// Ends HAProxy, for good.
    pub(crate) async fn end_haproxy(&mut self) {
        self.stop_process.cancel();
        if !self.process.is_finished() {
            (&mut self.process).await.unwrap();
        }
    }

    /// As an upgrade of the agent does.
    pub(crate) async fn restart_keeper(&mut self) {
        self.stop_keeper().await;
        self.start_keeper();
    }

    pub(crate) async fn stop_keeper(&mut self) {
        self.stop_keeper.cancel();
        (&mut self.keeper).await.unwrap();
    }

    pub(crate) fn start_keeper(&mut self) {
        (self.status, self.stop_keeper, self.keeper) = keep(&self.settings, &self.catalog);
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.settings.bind_address
    }

    pub(crate) fn set<'a>(
        &self,
        pools: impl IntoIterator<Item = (&'a str, NamespaceConfig, Vec<Server>)>,
    ) {
        let pool = |(name, config, servers)| (name, one_place(config, servers));
        self.set_pools(pools.into_iter().map(pool));
    }

    pub(crate) fn set_pools<'a>(&self, pools: impl IntoIterator<Item = (&'a str, Pool)>) {
        let pool = |(name, pool): (&str, Pool)| (name.parse().unwrap(), Arc::new(pool));
        let pools: BTreeMap<_, _> = pools.into_iter().map(pool).collect();
        self.catalog.send_replace(Some(Arc::new(Catalog { pools, ..Catalog::default() })));
    }

    /// Waits until the status is as `wanted`, and returns it.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&Status) -> bool,
    ) -> Arc<Status> {
        let last = self.status.clone();
        match time::timeout(PATIENCE, self.status.wait_for(|status| wanted(status))).await {
            Ok(status) => Arc::clone(&status.unwrap()),
            Err(_) => panic!("never: {what}; the status is {:#?}", last.borrow()),
        }
    }

    pub(crate) async fn until_up(&mut self, backend: &str, server: &Server) -> Arc<Status> {
        let up = |status: &Status| {
            status.server(backend, &server.name).is_some_and(|seen| seen.status.starts_with("UP"))
        };
        self.until(&format!("{} is up", server.name), up).await
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(self.settings.socket.clone(), Duration::from_secs(2))
    }

    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(&self.settings.config_file).unwrap_or_default()
    }
}

type Keeper = (watch::Receiver<Arc<Status>>, CancellationToken, JoinHandle<()>);

fn keep(settings: &Settings, catalog: &watch::Sender<Option<Arc<Catalog>>>) -> Keeper {
    let (publish, status) = watch::channel(Arc::new(Status::default()));
    let stop = CancellationToken::new();
    let task = haproxy::run(settings.clone(), catalog.subscribe(), publish, stop.clone());
    (status, stop, tokio::spawn(task))
}

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

pub(crate) fn namespace(port: u16) -> NamespaceConfig {
    NamespaceConfig {
        proxy_port: NonZeroU16::new(port),
        timeout_server: Some(Duration::from_secs(20)),
        ..NamespaceConfig::default()
    }
}

/// Answers every request with its name and keeps the last one; `/hold` only once it is released.
pub(crate) struct Web {
    pub(crate) server: Server,
    pub(crate) held: Arc<AtomicUsize>,
    pub(crate) release: CancellationToken,
    last: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    pub(crate) async fn start(address: IpAddr, name: &str) -> Self {
        Self::at((address, 0).into(), name).await
    }

    pub(crate) async fn at(address: SocketAddr, name: &str) -> Self {
        Self::on(TcpListener::bind(address).await.unwrap(), name)
    }

    fn on(listener: TcpListener, name: &str) -> Self {
        let address = listener.local_addr().unwrap();
        let held = Arc::new(AtomicUsize::new(0));
        let release = CancellationToken::new();
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        let last = Arc::new(Mutex::new(String::new()));
        let answer = Answer {
            reply,
            held: Arc::clone(&held),
            release: release.clone(),
            last: Arc::clone(&last),
        };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer.clone().run(stream));
            }
        });
        let server = Server {
            name: format!("{name}_{address}"),
            address,
            weight: None,
            backup: false,
            leaving: false,
        };
        Self { server, held, release, last, task }
    }

    pub(crate) fn last_request(&self) -> String {
        self.last.lock().clone()
    }

    /// Plays hacheck: says that all is well.
    pub(crate) async fn hacheck(host: &Host) -> Self {
        let address = SocketAddr::new(host.address(), host.settings.hacheck_port);
        Self::on(TcpListener::bind(address).await.unwrap(), "well")
    }
}

#[derive(Clone)]
struct Answer {
    reply: String,
    held: Arc<AtomicUsize>,
    release: CancellationToken,
    last: Arc<Mutex<String>>,
}

impl Answer {
    async fn run(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        loop {
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read_buf(&mut request).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
            if request.starts_with(b"GET /hold") {
                self.held.fetch_add(1, Ordering::SeqCst);
                self.release.cancelled().await;
            }
            *self.last.lock() = String::from_utf8_lossy(&request).into_owned();
            request.clear();
            if stream.write_all(self.reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Status and body of one request; `None` if there was no answer.
pub(crate) async fn get(address: impl Into<SocketAddr>, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address.into()).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A pool that is seen in one place only.
pub(crate) fn one_place(config: NamespaceConfig, servers: Vec<Server>) -> Pool {
    Pool {
        config: Arc::new(config),
        records: Arc::default(),
        reaches: vec![reach("region:here", true, servers)],
        fault: None,
        leaving: BTreeSet::new(),
        spilled: false,
    }
}

pub(crate) fn reach(place: &str, is_discovered: bool, servers: Vec<Server>) -> Reach {
    Reach { place: place.parse().unwrap(), is_discovered, servers }
}
