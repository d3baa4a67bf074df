//! The configuration file while only servers change: it follows the process, many changes at once.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{
    task::JoinHandle,
    time::{Duration, Instant},
};
use tracing::{info, warn};

use super::{
    super::{carry, check, reload, render::Rendered, settings::Settings},
    chain,
};
use crate::atomic_file;

/// Between two writes: a burst of changes costs one check of the whole file.
const PAUSE: Duration = Duration::from_millis(200);
/// And a multiple of what the last one took: a check of 3,000 namespaces takes a third of a second of a
/// processor.
const PAUSE_FACTOR: u32 = 4;
/// Before the same text is tried again after a failure, such as a full disk.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

type Write = JoinHandle<Result<Duration, check::Error>>;

/// The one owner of the configuration file between reloads.
#[derive(Debug)]
pub(super) struct Disk {
    settings: Arc<Settings>,
    /// What the file says, as far as the agent wrote it.
    written: Option<Arc<Rendered>>,
    writing: Option<(Arc<Rendered>, Write)>,
    /// What could not be written.
    failed: Option<Arc<Rendered>>,
    not_before: Instant,
    /// Why the file is not as the process.
    pub(super) alarm: Option<String>,
}

impl Disk {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            written: None,
            writing: None,
            failed: None,
            not_before: Instant::now(),
            alarm: None,
        }
    }

    /// Removes what an earlier life of the agent was killed over.
    pub(super) async fn clear(&self) {
        let files = [self.settings.config_file.clone(), reload::last_good(&self.settings)];
        let state = carry::file(&self.settings);
        let clear = move || {
            carry::clear_leftover(&state);
            files.iter().map(|file| atomic_file::remove_leftovers(file)).sum()
        };
        let removed: usize = tokio::task::spawn_blocking(clear).await.unwrap_or_default();
        if removed > 0 {
            info!(removed, "removed unfinished configuration files");
        }
    }

    /// Reads what an earlier life of the agent wrote.
    pub(super) async fn recover(&mut self, managed: BTreeSet<String>) {
        let path = self.settings.config_file.clone();
        let read = move || {
            let text = std::fs::read_to_string(path).ok()?;
            let managed = managed.iter().map(String::as_str).collect();
            Rendered::recover(&text, &managed)
        };
        let found = tokio::task::spawn_blocking(read).await;
        self.written = found.ok().flatten().map(Arc::new);
    }

    pub(super) fn written(&self) -> Option<&Arc<Rendered>> {
        self.written.as_ref()
    }

    /// A reload has put this in place.
    pub(super) fn now_has(&mut self, rendered: Arc<Rendered>) {
        self.written = Some(rendered);
        self.failed = None;
        self.alarm = None;
    }

    /// When `target` has to be written; `None`: the file says so, or is being written.
    pub(super) fn due(&self, target: &Rendered) -> Option<Instant> {
        let same = |other: &Option<Arc<Rendered>>| {
            other.as_ref().is_some_and(|rendered| rendered.as_ref() == target)
        };
        if same(&self.written) || self.writing.is_some() {
            return None;
        }
        Some(if same(&self.failed) { self.not_before + AFTER_FAILURE } else { self.not_before })
    }

    /// Checks and writes `target` beside the agent's other work.
    pub(super) fn start(&mut self, target: Arc<Rendered>) {
        let (settings, text) = (Arc::clone(&self.settings), Arc::clone(&target));
        let write = async move {
            let begun = Instant::now();
            let staged = check::check(&settings, &text.text()).await?;
            check::put_in_place(staged).await.map(|()| begun.elapsed())
        };
        self.not_before = Instant::now() + PAUSE;
        self.writing = Some((target, tokio::spawn(write)));
    }

    /// Waits for the write under way; for ever if there is none.
    ///
    /// Cancel-safe: the task goes on, and the next call waits for it.
    pub(super) async fn finished(&mut self) {
        let Some((_, task)) = &mut self.writing else { return std::future::pending().await };
        let outcome = task.await.unwrap_or(Err(check::Error::Cancelled));
        let Some((target, _)) = self.writing.take() else { return };
        match outcome {
            Ok(took) => {
                self.now_has(target);
                self.not_before = Instant::now() + PAUSE.max(took * PAUSE_FACTOR);
            }
            Err(error) => {
                warn!(%error, "the configuration file is behind the running haproxy");
                self.alarm = Some(format!("the configuration file is behind: {}", chain(&error)));
                self.failed = Some(target);
                self.not_before = Instant::now();
            }
        }
    }

    /// Lets a write under way end, so that a reload has the file for itself.
    pub(super) async fn settle(&mut self) {
        if self.writing.is_some() {
            self.finished().await;
        }
    }
}
