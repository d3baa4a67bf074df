//! hacheck as a program of its own, in the place of the old one: same flags, same file, same spool.
//!
//! One runtime makes checks and keeps marks; requests are answered by threads with a runtime each,
//! all of them with one cache, so that nothing else can delay an answer.

pub mod args;
mod limits;
mod logging;
mod service_manager;
mod serving;

use std::{collections::BTreeSet, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{args::Serve, serving::Threads};
pub use self::{limits::LimitError, logging::LogError};
use crate::{
    VERSION,
    checks::Checker,
    config::{Config, ConfigError},
    marks::{Marks, OpenError},
    names::{LocalAddresses, LocalAddressesTask},
    routes::Hacheck,
    server::{Inherited, ListenError},
};

/// Threads beside those that answer. Checks are cheap; 10,000 a second keep one thread half busy.
const WORKERS: usize = 2;
/// Reads of files that hang must not keep a stopping process.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Why the program does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Its settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its open files.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Its spool directory.
    #[error(transparent)]
    Marks(#[from] OpenError),
    /// Its ports.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system refuses threads, signals or the like.
    #[error("cannot start")]
    System(#[from] io::Error),
    /// Something that should run as long as the program has ended; the log says more.
    #[error("{0} has ended by itself")]
    Ended(&'static str),
}

/// Runs the daemon until SIGTERM, SIGINT or SIGQUIT. Blocking.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub fn serve(args: &Serve, inherited: Inherited) -> Result<(), ProgramError> {
    let config = match &args.config_file {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let _log = logging::start(&config.log, args.verbose)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    limits::apply(config.open_files)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("hacheck-checks")
        .enable_all()
        .build()?;
    let ended = runtime.block_on(run(args, config, inherited));
    runtime.shutdown_timeout(LEFT_BEHIND);
    if let Err(ProgramError::Ended(part)) = &ended {
        error!(part, "ended by itself");
    }
    ended
}

async fn run(args: &Serve, config: Config, mut inherited: Inherited) -> Result<(), ProgramError> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let mut rooms = tokio::select! {
        opened = Rooms::open(&args.spool_root, config, &stop) => opened?,
        () = signals.asked() => return Ok(()),
    };
    let listeners = listen(args, &mut inherited)?;
    let addresses: Vec<_> = listeners.iter().map(|(address, _)| *address).collect();
    let mut threads = Threads::start(args.threads(), &listeners, &rooms.hacheck)?;
    // From here on the port is closed as soon as nobody answers on it.
    drop(listeners);
    info!(version = VERSION, ?addresses, spool = %args.spool_root.display(), "ready");
    service_manager::ready();
    let beats = threads.beats();
    let ended = tokio::select! {
        () = signals.asked() => Ok(()),
        () = threads.ended() => Err(ProgramError::Ended("a thread that answers requests")),
        never = service_manager::feed_watchdog(&beats) => match never {},
        part = rooms.ended() => Err(ProgramError::Ended(part)),
    };
    service_manager::stopping();
    info!("stopping");
    // Requests under way may still change marks, so whoever keeps these ends last.
    threads.stop().await;
    stop.cancel();
    rooms.close().await;
    ended
}

/// All ports, or whatever was handed over if no port is asked for.
fn listen(
    args: &Serve,
    inherited: &mut Inherited,
) -> Result<Vec<(SocketAddr, std::net::TcpListener)>, ListenError> {
    let given = inherited.addresses();
    let wanted: BTreeSet<SocketAddr> = match args.addresses() {
        addresses if addresses.is_empty() && given.is_empty() => [args.default_address()].into(),
        addresses if addresses.is_empty() => given.into_iter().collect(),
        addresses => addresses.into_iter().collect(),
    };
    let listeners = wanted
        .into_iter()
        .map(|address| {
            let listener = inherited.listen(address)?;
            // With port 0 the kernel chooses.
            Ok((listener.local_addr().unwrap_or(address), listener))
        })
        .collect::<Result<_, ListenError>>()?;
    for address in inherited.addresses() {
        warn!(%address, "a socket was handed over that no --port asks for; it is closed");
    }
    Ok(listeners)
}

/// What answers are made of, and the tasks behind it.
struct Rooms {
    hacheck: Hacheck,
    /// Each ends with its name.
    tasks: JoinSet<&'static str>,
}

impl Rooms {
    async fn open(
        spool_root: &Path,
        config: Config,
        stop: &CancellationToken,
    ) -> Result<Self, ProgramError> {
        let (marks, keeper) = Marks::open(spool_root).await?;
        let (addresses, local) = LocalAddressesTask::start().await;
        let mut tasks = JoinSet::new();
        let (keeping, following) = (keeper.run(stop.clone()), addresses.run(stop.clone()));
        tasks.spawn(async {
            keeping.await;
            "the keeper of marks"
        });
        tasks.spawn(async {
            following.await;
            "the task that follows the addresses of this host"
        });
        Ok(Self { hacheck: hacheck(config, marks, local), tasks })
    }

    /// Waits for a task to end; which one.
    async fn ended(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(error)) => {
                error!(%error, "a task failed");
                "a task that failed"
            }
            None => "every task",
        }
    }

    async fn close(mut self) {
        drop(self.hacheck);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a task failed");
            }
        }
    }
}

/// To be called within the runtime that is to make checks.
fn hacheck(config: Config, marks: Marks, local: watch::Receiver<Arc<LocalAddresses>>) -> Hacheck {
    let checker = Checker::new(&config.settings.checks, Handle::current());
    // Nobody tells this program of containers; their networks can be listed as `targets`.
    let (_, containers) = watch::channel(Arc::default());
    Hacheck::new(config.settings, marks, checker, local, containers)
}

/// What ends the program.
struct Signals {
    all: [Signal; 3],
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let on = |kind| signal(kind);
        let all =
            [on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::quit())?];
        Ok(Self { all, hangup: on(SignalKind::hangup())? })
    }

    async fn asked(&mut self) {
        let Self { all: [terminate, interrupt, quit], hangup } = self;
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = quit.recv() => return,
                // What programs that rotate logs send; a file that was moved is noticed anyway.
                _ = hangup.recv() => {}
            }
        }
    }
}
