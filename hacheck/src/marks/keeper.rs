//! The task that owns the marks.
//!
//! - in: changes from [`super::Marks`], on a bounded queue; wake-ups of the directory watch; the
//!   clock;
//! - out: a [`MarkTable`] on a `watch` channel, and jobs to the one thread that works in the
//!   directory, so that writes and readings have one order and a slow disk delays no answer.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Mark, MarkError, MarkKey, MarkTable, UnixTime, Wish,
    directory::DirectoryWatch,
    disk::{self, Done, Job, Reply, Write},
    held::Held,
    ledger::Ledger,
    spool::{MAX_MARKS, Reading, Spool},
};

/// Finds what the directory watch has missed, and tries refused writes again.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How long a file is left alone that somebody writes in its place, since older programs empty it
/// first; and how long changes are collected after a reading.
const SETTLE: Duration = Duration::from_millis(20);
/// Twice what a mass drain of a full host sends at once.
const MAX_JOBS: usize = 1024;
/// Changes that make one table; more would keep the first of them waiting.
const BATCH: usize = 256;
/// The rest is done by the next process, which reads the directory anyway.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A change that somebody asks for.
#[derive(Debug)]
pub(super) enum Command {
    Set(MarkKey, Wish, Reply),
    /// Of a mark that is older than this, if that is given.
    Remove(MarkKey, Option<UnixTime>, Reply),
}

/// Owns the marks; [`Keeper::run`] is to be spawned.
#[derive(Debug)]
pub struct Keeper {
    ledger: Ledger,
    table: watch::Sender<Arc<MarkTable>>,
    commands: mpsc::Receiver<Command>,
    held: watch::Receiver<Arc<Held>>,
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Done>,
    /// Writes and removals that the disk has not finished.
    changing: usize,
    reading: bool,
    next_reading: Instant,
    last_reading: Instant,
    directory: DirectoryWatch,
    /// Faults of the last reading, so that each is logged once.
    faults: BTreeMap<String, String>,
}

impl Keeper {
    /// Takes over a directory of which `first` is the first reading.
    pub(super) fn new(
        directory: PathBuf,
        spool: Spool,
        first: Reading,
        table: watch::Sender<Arc<MarkTable>>,
        commands: mpsc::Receiver<Command>,
        held: watch::Receiver<Arc<Held>>,
    ) -> Self {
        let (jobs, next_job) = mpsc::channel(MAX_JOBS);
        let (finished, done) = mpsc::channel(64);
        // Ends when this keeper drops `jobs`.
        task::spawn_blocking(move || disk::work(spool, next_job, &finished));
        let mut keeper = Self {
            ledger: Ledger::default(),
            table,
            commands,
            held,
            jobs,
            done,
            changing: 0,
            reading: false,
            next_reading: Instant::now() + READ_EVERY,
            last_reading: Instant::now(),
            directory: DirectoryWatch::new(directory),
            faults: BTreeMap::new(),
        };
        keeper.take_reading(Ok(first));
        keeper.publish();
        keeper
    }

    /// Keeps the marks until `stop`, or until nobody is left who could ask for any.
    pub async fn run(mut self, stop: CancellationToken) {
        let signals = self.directory.signals();
        loop {
            // Every arm is cancel-safe: what is not taken now is there on the next turn.
            tokio::select! {
                () = stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.obey_all(command),
                    None => break,
                },
                done = self.done.recv() => match done {
                    Some(done) => self.finish_all(done),
                    None => {
                        error!("the thread that writes marks has died");
                        return;
                    }
                },
                Ok(()) = self.held.changed() => self.publish(),
                () = signals.writing.notified() => self.read_after(SETTLE),
                () = signals.complete.notified() => self.read_after(Duration::ZERO),
                () = time::sleep_until(self.next_reading), if !self.reading => self.read(),
            }
        }
        self.wind_down().await;
    }

    /// Takes all changes that wait by now: a mass drain makes one table, not one for each mark.
    fn obey_all(&mut self, first: Command) {
        let mut jobs = Vec::new();
        let mut next = Some(first);
        while let Some(command) = next.take() {
            jobs.extend(self.obey(command));
            if jobs.len() < BATCH {
                next = self.commands.try_recv().ok();
            }
        }
        // In force before the disk hears of it.
        self.publish();
        jobs.into_iter().for_each(|job| self.ask_for(job));
    }

    /// What the disk has to do for `command`, if anything.
    fn obey(&mut self, command: Command) -> Option<Job> {
        match command {
            Command::Set(key, wish, reply) => self.set(key, wish, reply),
            Command::Remove(key, Some(then), reply) if !self.is_older(&key, then) => {
                // Whoever asked may have gone.
                let _ = reply.send(Ok(()));
                None
            }
            Command::Remove(key, _, reply) => Some(Job::Remove(self.ledger.next(), key, reply)),
        }
    }

    fn set(&mut self, key: MarkKey, wish: Wish, reply: Reply) -> Option<Job> {
        if !self.ledger.has_room(&key, MAX_MARKS) {
            // Whoever asked may have gone.
            let _ = reply.send(Err(MarkError::Full));
            return None;
        }
        let renews = wish.creation.is_none();
        let held = self.held.borrow().get(&key).map(Arc::clone);
        let present = self.ledger.get(&key).map(Arc::clone).or(held);
        let mark = Arc::new(wish.over(present.as_deref(), key, UnixTime::now()));
        let sequence = self.ledger.next();
        self.ledger.wanted(sequence, &mark);
        Some(Job::Write(Write { sequence, mark, renews, reply: Some(reply) }))
    }

    fn is_older(&self, key: &MarkKey, then: UnixTime) -> bool {
        let creation = self.ledger.get(key).and_then(|mark| mark.creation);
        creation.is_some_and(|creation| creation < then)
    }

    /// Gives a change to the disk, or says that the disk is behind.
    fn ask_for(&mut self, job: Job) {
        let refused = match self.jobs.try_send(job) {
            Ok(()) => {
                self.changing += 1;
                return;
            }
            Err(refused) => refused.into_inner(),
        };
        if let Job::Write(Write { reply: Some(reply), .. }) | Job::Remove(_, _, reply) = refused {
            let _ = reply.send(Err(MarkError::Busy));
        }
    }

    /// Takes all that the disk has finished by now; whoever asked hears of it when it is in force.
    fn finish_all(&mut self, first: Done) {
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(done) = next.take() {
            answers.extend(self.finish(done));
            if answers.len() < BATCH {
                next = self.done.try_recv().ok();
            }
        }
        self.publish();
        for (reply, result) in answers {
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
    }

    fn finish(&mut self, done: Done) -> Option<(Reply, Result<(), MarkError>)> {
        match done {
            Done::Write(sequence, mark, result, reply) => {
                self.changing -= 1;
                self.take_write(sequence, mark, &result, reply.is_some());
                Some((reply?, result))
            }
            Done::Remove(sequence, key, result, reply) => {
                self.changing -= 1;
                match &result {
                    Ok(()) => self.ledger.removed(sequence, &key),
                    Err(error) => log_refusal(&key, error),
                }
                Some((reply, result))
            }
            Done::Read(reading) => {
                self.reading = false;
                self.take_reading(reading);
                None
            }
        }
    }

    fn take_write(
        &mut self,
        sequence: u64,
        mark: Arc<Mark>,
        result: &Result<(), MarkError>,
        asked: bool,
    ) {
        match result {
            Ok(()) => {
                if !asked {
                    info!(mark = %mark.key, "mark has reached the disk after all");
                }
                self.ledger.written(sequence, mark);
            }
            Err(error) if asked => log_refusal(&mark.key, error),
            Err(error) => debug!(%error, mark = %mark.key, "mark still not on disk"),
        }
    }

    /// Has the directory read soon, but not again and again while many things change.
    fn read_after(&mut self, pause: Duration) {
        let soon = (Instant::now() + pause).max(self.last_reading + SETTLE);
        self.next_reading = self.next_reading.min(soon);
    }

    /// Has the directory read, after another try at what it refused before.
    fn read(&mut self) {
        if self.changing == 0 {
            let unsaved: Vec<_> = self.ledger.unsaved().map(|(s, m)| (s, Arc::clone(m))).collect();
            for (sequence, mark) in unsaved {
                self.ask_for(Job::Write(Write { sequence, mark, renews: false, reply: None }));
            }
        }
        self.last_reading = Instant::now();
        self.next_reading = self.last_reading + READ_EVERY;
        self.reading = self.jobs.try_send(Job::Read).is_ok();
    }

    /// A directory that cannot be read is not an empty one: the last known marks stay in force.
    fn take_reading(&mut self, reading: io::Result<Reading>) {
        let faults = match reading {
            Ok(reading) => {
                self.directory.follow(reading.directory);
                self.ledger.read(reading.marks);
                reading.faults
            }
            Err(error) => BTreeMap::from([(".".to_owned(), format!("cannot be read: {error}"))]),
        };
        for (file, fault) in &faults {
            if self.faults.get(file) != Some(fault) {
                warn!(?file, %fault, "spool directory");
            }
        }
        self.faults = faults;
    }

    fn publish(&mut self) {
        let now = UnixTime::now();
        let table = self.ledger.table(now, &self.held.borrow_and_update());
        if let Some(expiration) = table.next_expiration() {
            let left = Duration::try_from_secs_f64(expiration.seconds() - now.seconds());
            let left = left.unwrap_or_default().min(READ_EVERY) + Duration::from_millis(1);
            self.next_reading = self.next_reading.min(Instant::now() + left);
        }
        // Nobody else publishes. Requests look up marks meanwhile: a large table is neither compared
        // nor dropped while they are kept out.
        let changed = **self.table.borrow() != table;
        if changed {
            drop(self.table.send_replace(Arc::new(table)));
        }
    }

    /// Waits for what the disk has under way, so that nobody is told less than is true.
    async fn wind_down(mut self) {
        let (no_jobs, _) = mpsc::channel(1);
        self.jobs = no_jobs;
        let rest = async {
            while let Some(done) = self.done.recv().await {
                self.finish_all(done);
            }
        };
        if time::timeout(STOP_WITHIN, rest).await.is_err() {
            warn!("the disk is still writing marks");
        }
    }
}

fn log_refusal(key: &MarkKey, error: &MarkError) {
    let source = std::error::Error::source(error).map(ToString::to_string);
    error!(mark = %key, %error, source, "mark not changed on disk");
}
