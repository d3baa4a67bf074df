//! Files for others: who serves each backend, as synapse's file_output writes it for PaaSTA's firewall
//! and for applications; the same for Envoy; and which task has which address, for scripts in HAProxy.

mod directory;
mod envoy;
mod ip_map;
pub mod migration;
mod services;

use std::{error::Error as _, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::directory::{Directory, Form};
use super::catalog::Catalog;
use crate::{
    atomic_file,
    nerve::{containers::Containers, written_file::Said},
    registry::Source,
    snapshot::renew,
};

/// Which files are kept; `None`: not these.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where each backend has its `NAME.json`.
    pub services_dir: Option<PathBuf>,
    /// Where each backend has its `NAME.yaml` for Envoy.
    pub envoy_dir: Option<PathBuf>,
    /// Tasks by the addresses of their containers.
    pub ip_map: Option<PathBuf>,
    /// From where the catalog was read.
    pub source: Source,
    /// When what could not be written is tried again. Default [`RETRY`].
    pub retry: Duration,
}

/// What they are made of.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub catalog: watch::Receiver<Option<Arc<Catalog>>>,
    pub containers: watch::Receiver<Arc<Containers>>,
    /// Who else writes the files of services ([`migration::parse`]).
    pub migration: watch::Receiver<Arc<Said<String>>>,
}

/// A file that is not as it should be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub file: String,
    pub message: String,
}

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// What has changed.
    Changes,
    /// Also what could not be written before.
    Retry,
    /// Everything: somebody may have changed files.
    All,
}

/// A full disk or a missing right takes somebody a while.
pub const RETRY: Duration = Duration::from_secs(10);
const LOOK_AT_ALL: Duration = Duration::from_secs(60);

/// Keeps the files right until `stop`.
pub async fn run(
    settings: Settings,
    mut inputs: Inputs,
    current: watch::Sender<Arc<Vec<Trouble>>>,
    stop: CancellationToken,
) {
    let mut looks = Looks::new(settings.retry);
    let mut writer = Writer::new(settings);
    let mut turn = Turn::All;
    loop {
        let seen = Seen::now(&mut inputs);
        let looked = spawn_blocking(move || {
            writer.look(&seen, turn);
            writer
        });
        writer = match looked.await {
            Ok(back) => back,
            Err(error) => {
                error!(%error, "files for others are no longer written");
                return;
            }
        };
        let troubles = writer.troubles();
        tell(&current.borrow(), &troubles);
        let has_troubles = !troubles.is_empty();
        renew(&current, troubles);
        tokio::select! {
            () = stop.cancelled() => return,
            goes_on = inputs.changed() => if !goes_on { return },
            () = time::sleep_until(looks.next(has_troubles)) => {}
        }
        turn = looks.turn(has_troubles);
    }
}

impl Inputs {
    /// Waits for the next change; false: there will be none. Cancel-safe, as each wait is.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.catalog.changed() => changed.is_ok(),
            changed = self.containers.changed() => changed.is_ok(),
            changed = self.migration.changed() => changed.is_ok(),
        }
    }
}

/// When to look at more than what has changed. A stream of changes puts neither off.
#[derive(Debug)]
struct Looks {
    pause: Duration,
    retry: Instant,
    all: Instant,
}

impl Looks {
    fn new(pause: Duration) -> Self {
        let now = Instant::now();
        Self { pause, retry: now + pause, all: now + LOOK_AT_ALL }
    }

    fn next(&self, has_troubles: bool) -> Instant {
        if has_troubles { self.all.min(self.retry) } else { self.all }
    }

    /// What the look is for that begins now.
    fn turn(&mut self, has_troubles: bool) -> Turn {
        let now = Instant::now();
        let turn = if self.all <= now {
            self.all = now + LOOK_AT_ALL;
            Turn::All
        } else if has_troubles && self.retry <= now {
            Turn::Retry
        } else {
            Turn::Changes
        };
        if turn != Turn::Changes || !has_troubles {
            self.retry = now + self.pause;
        }
        turn
    }
}

/// The newest of each input.
struct Seen {
    catalog: Option<Arc<Catalog>>,
    containers: Arc<Containers>,
    migration: Arc<Said<String>>,
}

impl Seen {
    fn now(inputs: &mut Inputs) -> Self {
        Self {
            catalog: inputs.catalog.borrow_and_update().clone(),
            containers: Arc::clone(&inputs.containers.borrow_and_update()),
            migration: Arc::clone(&inputs.migration.borrow_and_update()),
        }
    }
}

#[derive(Debug)]
struct Writer {
    services: Option<Directory>,
    envoy: Option<Directory>,
    ip_map: Option<IpMap>,
    /// Whether files of services are left to another writer; `None`: that is not known.
    left: Option<bool>,
    /// Of the file that says so.
    doubts: Vec<Trouble>,
}

impl Writer {
    fn new(settings: Settings) -> Self {
        let services = Form::Services(settings.source);
        Self {
            services: settings.services_dir.map(|path| Directory::new(path, services)),
            envoy: settings.envoy_dir.map(|path| Directory::new(path, Form::Envoy)),
            ip_map: settings.ip_map.map(|path| IpMap { path, written: None, trouble: None }),
            left: None,
            doubts: Vec::new(),
        }
    }

    /// Blocks on the disk.
    fn look(&mut self, seen: &Seen, turn: Turn) {
        self.judge(&seen.migration);
        if let Some(ip_map) = &mut self.ip_map {
            ip_map.follow(&seen.containers, turn);
        }
        // Until every namespace is known nothing may be touched.
        let Some(catalog) = &seen.catalog else { return };
        if let Some(envoy) = &mut self.envoy {
            envoy.follow(catalog, turn);
        }
        match (&mut self.services, self.left) {
            (Some(services), Some(false)) => services.follow(catalog, turn),
            (Some(services), Some(true)) => services.leave(),
            _ => {}
        }
    }

    fn judge(&mut self, migration: &Said<String>) {
        let left = migration::left_to_another(migration, self.left);
        if left == Some(true) && self.left != left && self.services.is_some() {
            info!(writer = ?migration.items, "files of services are left to another writer");
        }
        self.left = left;
        let consequence = match left {
            None => "files of services are left alone until it can be read",
            Some(_) => "what it said before stands",
        };
        let doubts = migration.problems.iter().map(|problem| {
            let (file, reason) = (&problem.title, &problem.reason);
            let reason = reason.strip_prefix(&format!("{file}: ")).unwrap_or(reason);
            Trouble { file: file.clone(), message: format!("{reason}; {consequence}") }
        });
        self.doubts = doubts.collect();
    }

    fn troubles(&self) -> Vec<Trouble> {
        let directories = [&self.services, &self.envoy].into_iter().flatten();
        let of_directories = directories.flat_map(Directory::troubles);
        let of_map = self.ip_map.iter().filter_map(|ip_map| ip_map.trouble.clone());
        self.doubts.iter().cloned().chain(of_directories).chain(of_map).collect()
    }
}

#[derive(Debug)]
struct IpMap {
    path: PathBuf,
    written: Option<String>,
    trouble: Option<Trouble>,
}

impl IpMap {
    fn follow(&mut self, containers: &Containers, turn: Turn) {
        let text = ip_map::text(containers);
        let is_old = turn == Turn::Changes && self.written.as_ref() == Some(&text);
        if !containers.listed || is_old {
            return;
        }
        let wrote = atomic_file::write_if_changed(&self.path, text.as_bytes());
        self.trouble = wrote.err().map(|error| Trouble {
            file: self.path.display().to_string(),
            message: error.source().map_or_else(|| error.to_string(), ToString::to_string),
        });
        self.written = Some(text);
    }
}

/// Each trouble is told once, and again when it is over.
fn tell(before: &[Trouble], now: &[Trouble]) {
    for Trouble { file, message } in now.iter().filter(|trouble| !before.contains(trouble)) {
        warn!(file, reason = message, "a file for others is not as it should be; trying again");
    }
    let is_over = |old: &&Trouble| now.iter().all(|trouble| trouble.file != old.file);
    for Trouble { file, .. } in before.iter().filter(is_over) {
        info!(file, "a file for others is as it should be again");
    }
}

#[cfg(test)]
mod tests;
