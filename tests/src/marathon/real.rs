//! Tasks that are more than an entry: something starts when they run and stops when they are killed.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time,
};

use super::{
    ids::{AppId, TaskId},
    pattern::is_like,
};

/// A task with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub task: TaskId,
    pub app: AppId,
    pub address: Ipv4Addr,
    pub ports: Vec<u16>,
}

/// Why something stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to die, and may finish.
    Killed,
    /// It is dead.
    Died,
}

/// The end of a task, to wait for.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes tasks real. It is called while the state is locked: it must neither block nor ask the
/// simulator.
pub trait Runner: fmt::Debug + Send + Sync {
    /// The task runs from now on.
    ///
    /// # Errors
    /// When it cannot: the task fails.
    fn start(&self, task: Placed) -> io::Result<()>;

    /// The task stops; it is gone when what is returned is over.
    fn stop(&self, task: &TaskId, ending: Ending) -> End;
}

/// A tiny HTTP server for each task, on all its ports: any path is answered with the task's id, 200 or
/// as [`answer_with`](Self::answer_with) says; `/wait/MILLISECONDS` takes that long.
#[derive(Debug)]
pub struct HttpTasks {
    /// Whether a killed task finishes the requests at hand.
    finishes: bool,
    running: Mutex<BTreeMap<TaskId, Running>>,
    answers: Arc<Answers>,
}

/// What all of them answer.
#[derive(Debug, Default)]
struct Answers {
    /// By patterns of task ids; the first that fits counts.
    statuses: Mutex<Vec<(String, u16)>>,
    at_hand: AtomicUsize,
}

#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    /// Closed when the server is gone.
    alive: watch::Receiver<()>,
    server: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl HttpTasks {
    /// Killed tasks finish the requests at hand and take no new ones.
    #[must_use]
    pub fn finishing() -> Self {
        Self { finishes: true, running: Mutex::default(), answers: Arc::default() }
    }

    /// Killed tasks drop their connections.
    #[must_use]
    pub fn dropping() -> Self {
        Self { finishes: false, ..Self::finishing() }
    }

    /// From now on tasks whose id is like `pattern` answer with this status.
    pub fn answer_with(&self, pattern: &str, status: u16) {
        self.answers.statuses.lock().insert(0, (pattern.to_owned(), status));
    }

    /// How many requests are being answered now.
    #[must_use]
    pub fn at_hand(&self) -> usize {
        self.answers.at_hand.load(Ordering::Relaxed)
    }

    /// Those that run now, or finish their last requests.
    #[must_use]
    pub fn running(&self) -> Vec<TaskId> {
        self.running.lock().keys().cloned().collect()
    }
}

impl Runner for HttpTasks {
    fn start(&self, task: Placed) -> io::Result<()> {
        let listen = |port: &u16| {
            let listener = TcpListener::bind((task.address, *port))?;
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        };
        let listeners = task.ports.iter().map(listen).collect::<io::Result<Vec<_>>>()?;
        let (stop, stopped) = watch::channel(false);
        let (living, alive) = watch::channel(());
        let serving = serve(task.task.clone(), listeners, Arc::clone(&self.answers), stopped);
        let server = tokio::spawn(async move {
            serving.await;
            drop(living);
        });
        let running = Running { stop, alive, server: server.abort_handle() };
        self.running.lock().insert(task.task, running);
        Ok(())
    }

    fn stop(&self, task: &TaskId, ending: Ending) -> End {
        let mut tasks = self.running.lock();
        let Some(running) = tasks.get(task) else { return Box::pin(async {}) };
        let mut alive = running.alive.clone();
        running.stop.send_replace(true);
        if ending == Ending::Died || !self.finishes {
            tasks.remove(task);
        }
        Box::pin(async move {
            // Nothing is ever sent: it ends when the server does.
            let _ = alive.changed().await;
        })
    }
}

async fn serve(
    task: TaskId,
    listeners: Vec<tokio::net::TcpListener>,
    answers: Arc<Answers>,
    stopped: watch::Receiver<bool>,
) {
    let mut each = JoinSet::new();
    for listener in listeners {
        each.spawn(serve_one(task.clone(), listener, answers.clone(), stopped.clone()));
    }
    while each.join_next().await.is_some() {}
}

async fn serve_one(
    task: TaskId,
    listener: tokio::net::TcpListener,
    answers: Arc<Answers>,
    mut stopped: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => break,
            },
            // An error is the end of who could say so.
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        while connections.try_join_next().is_some() {}
        let (task, answers) = (task.clone(), answers.clone());
        let respond = service::service_fn(move |request: Request<Incoming>| {
            answer(task.clone(), answers.clone(), request.uri().path().to_owned())
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), respond);
        connections.spawn(graceful.watch(connection));
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn answer(
    task: TaskId,
    answers: Arc<Answers>,
    path: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let at_hand = AtHand::new(&answers.at_hand);
    if let Some(millis) = path.strip_prefix("/wait/").and_then(|millis| millis.parse().ok()) {
        time::sleep(Duration::from_millis(millis)).await;
    }
    let status = {
        let statuses = answers.statuses.lock();
        statuses.iter().find(|(pattern, _)| is_like(pattern, task.as_str())).map(|(_, s)| *s)
    };
    drop(at_hand);
    let mut reply = Response::new(Full::new(task.to_string().into()));
    *reply.status_mut() = StatusCode::from_u16(status.unwrap_or(200)).unwrap_or_default();
    Ok(reply)
}

/// One request, however it ends.
struct AtHand<'a>(&'a AtomicUsize);

impl<'a> AtHand<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for AtHand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a task's port is.
pub(super) fn socket(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}
