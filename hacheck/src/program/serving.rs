//! The threads that answer requests: a runtime each, one cache and one set of ports for all.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    routes::Hacheck,
    server::{Limits, serve},
};

/// How often a thread shows that it is alive.
const BEAT: Duration = Duration::from_millis(500);
/// Beyond the time that requests under way are given.
const STOP_WITHIN: Duration = Duration::from_secs(7);

/// All threads that answer requests.
#[derive(Debug)]
pub(super) struct Threads {
    stop: CancellationToken,
    /// Closed when all threads have ended; a message says that one has.
    ended: mpsc::Receiver<()>,
    beats: Beats,
}

/// When each thread was last alive; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Beats {
    started: Instant,
    /// In milliseconds since the start.
    last: Arc<[AtomicU64]>,
}

impl Beats {
    fn new(number: usize) -> Self {
        Self { started: Instant::now(), last: (0..number).map(|_| AtomicU64::new(0)).collect() }
    }

    /// One thread is alive.
    fn beat(&self, index: usize) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(last) = self.last.get(index) {
            last.store(now, Ordering::Relaxed);
        }
    }

    /// How long ago the thread that has been silent for the longest time was alive.
    pub(super) fn oldest(&self) -> Duration {
        let oldest = self.last.iter().map(|last| last.load(Ordering::Relaxed)).min();
        let oldest = Duration::from_millis(oldest.unwrap_or_default());
        self.started.elapsed().saturating_sub(oldest)
    }
}

impl Threads {
    /// Starts `number` threads that all serve all `listeners`.
    pub(super) fn start(
        number: NonZeroUsize,
        listeners: &[(SocketAddr, TcpListener)],
        hacheck: &Hacheck,
    ) -> io::Result<Self> {
        let (stop, beats) = (CancellationToken::new(), Beats::new(number.get()));
        let (end, ended) = mpsc::channel(number.get());
        for index in 0..number.get() {
            let listeners = listeners.iter().map(|(_, listener)| listener.try_clone());
            let thread = Thread {
                runtime: Builder::new_current_thread().enable_all().build()?,
                listeners: listeners.collect::<io::Result<_>>()?,
                hacheck: hacheck.clone(),
                stop: stop.clone(),
                beats: beats.clone(),
                index,
            };
            let end = end.clone();
            thread::Builder::new().name(format!("hacheck-{index}")).spawn(move || {
                // Sent however the thread ends.
                let _end = Farewell(end);
                thread.run();
            })?;
        }
        Ok(Self { stop, ended, beats })
    }

    /// Waits for the first thread to end.
    pub(super) async fn ended(&mut self) {
        self.ended.recv().await;
    }

    /// When each of them was last alive.
    pub(super) fn beats(&self) -> Beats {
        self.beats.clone()
    }

    /// Lets requests under way finish, and takes no more.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.ended.recv().await.is_some() {} };
        if time::timeout(STOP_WITHIN, all).await.is_err() {
            warn!("a thread that answers requests does not stop");
        }
    }
}

struct Farewell(mpsc::Sender<()>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // There is room for one from each thread.
        let _ = self.0.try_send(());
    }
}

struct Thread {
    runtime: Runtime,
    listeners: Vec<TcpListener>,
    hacheck: Hacheck,
    stop: CancellationToken,
    beats: Beats,
    index: usize,
}

impl Thread {
    fn run(self) {
        let Self { runtime, listeners, hacheck, stop, beats, index } = self;
        runtime.block_on(async {
            let mut serving = JoinSet::new();
            for listener in listeners {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => {
                        error!(%error, "a port cannot be served");
                        return;
                    }
                };
                let hacheck = hacheck.clone();
                let handle = move |peer, request| hacheck.handle(peer, request);
                serving.spawn(serve(listener, Limits::default(), handle, stop.clone()));
            }
            let beating = async {
                loop {
                    beats.beat(index);
                    time::sleep(BEAT).await;
                }
            };
            tokio::select! {
                // Until the stop, or until one of them fails.
                _ = async { while let Some(Ok(())) = serving.join_next().await {} } => {}
                () = beating => {}
            }
        });
    }
}
