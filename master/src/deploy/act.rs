//! Carries a step out (marathon-sync.md §10.1 and §10.2). Whoever does it holds the instance's lock, and is
//! asked again whether that is so before anything is created, drained, killed or removed.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future;
use tokio::time::{self, Instant};

use super::{
    journal::Journal,
    lines::{self, Bounce, Line},
    verdict::{SOON, Verdict},
    wanted::Wanted,
};
use crate::{
    drain::drainer::{Drainer, State, Undone},
    events::Status,
    lock::Lock,
    marathon::{
        self, Marathon, Shards,
        removal::{self, Stays},
        running::{RunningApp, Task},
    },
    step::{Drained, Ends, Seen, Step, UNREACHABLE},
};

/// Until a new app is listed, and between two looks.
const TO_COME: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3));

/// Why a step was not carried out to its end. What was done stays done; the next pass goes on.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Marathon(#[from] marathon::Error),
    #[error(transparent)]
    Stays(#[from] Stays),
    #[error("{id} was created and is not listed {} s later", TO_COME.0.as_secs())]
    NotListed { id: String },
    #[error("the lock in ZooKeeper is not held any more; the next pass goes on")]
    LockLost,
    #[error("ZooKeeper does not say whether the lock is held")]
    LockUnknown(#[source] zookeeper_client::Error),
}

/// Who carries it out, for whom.
#[derive(Clone, Copy, Debug)]
pub struct Hands<'h> {
    pub wanted: &'h Wanted,
    pub shards: &'h Shards<'h>,
    pub drainer: &'h Drainer,
    pub journal: &'h Journal<'h>,
    pub lock: &'h Lock<'h>,
}

impl Hands<'_> {
    /// Carries out what was decided of `seen`.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn carry_out(self, seen: &Seen<'_>, step: &Step<'_>) -> Result<Verdict, Failed> {
        let name = self.wanted.instance.to_string();
        let bounce = Bounce { method: seen.method, name: &name, id: &self.wanted.app.id };
        self.scale(step).await?;
        let mut complaints = self.put_back(seen, step).await;
        complaints.extend(self.say(bounce.progress(seen, step)));
        if step.create_app {
            complaints.extend(self.say([bounce.creating()]));
            self.is_held().await?;
            if !self.create().await? {
                complaints.push(format!("{} was created by somebody else meanwhile", bounce.id));
                return Ok(Verdict { complaints, ..Verdict::deployed(Some(SOON)) });
            }
        }
        complaints.extend(self.say(bounce.draining(step)));
        let drained = self.drain(step).await?;
        let outcomes: Vec<Drained> = drained.iter().map(|(drained, _)| *drained).collect();
        let ends = step.ends(seen, &outcomes);
        complaints.extend(self.say(bounce.ends(seen, step, &drained, &ends)));
        self.kill(seen, &ends).await?;
        self.remove(&ends).await?;
        complaints.extend(self.say(bounce.finishing(seen, step, &ends)));
        let again = lines::goes_on(seen, step).then_some(SOON);
        let mut verdict = Verdict::deployed(again);
        if let Some(stuck) = stuck(step, &drained, &ends) {
            complaints.push(stuck.clone());
            verdict.event = Some((Status::Critical, stuck));
        }
        Ok(Verdict { complaints, ..verdict })
    }

    fn say(self, lines: impl IntoIterator<Item = Line>) -> Vec<String> {
        let (service, instance) = (&self.wanted.instance.service, &self.wanted.instance.instance);
        let written = lines.into_iter().map(|line| self.journal.write(service, instance, &line));
        written.filter_map(Result::err).collect()
    }

    async fn is_held(self) -> Result<(), Failed> {
        let is_held = self.lock.is_held().await.map_err(Failed::LockUnknown)?;
        if is_held { Ok(()) } else { Err(Failed::LockLost) }
    }

    fn marathon(&self, shard: usize) -> Option<Marathon<'_>> {
        self.shards.all().get(shard).map(|server| Marathon(server))
    }

    async fn scale(self, step: &Step<'_>) -> Result<(), Failed> {
        for scale in &step.scale {
            let to = u32::try_from(scale.to).unwrap_or(u32::MAX);
            if let Some(marathon) = self.marathon(scale.app.shard) {
                marathon.scale(&scale.app.id, to).await?;
            }
        }
        Ok(())
    }

    async fn put_back(self, seen: &Seen<'_>, step: &Step<'_>) -> Vec<String> {
        let tasks: Vec<&Task> = step.put_back(seen).collect();
        let done = self.drainer.stop_draining(&tasks).await;
        let failed = tasks.iter().zip(done).filter_map(|(task, done)| Some((task, done.err()?)));
        let line = |(task, error): (&&Task, Undone)| {
            let id = &task.id;
            Line::event(format!("Ignoring exception during stop_draining of task {id}: {error}."))
        };
        self.say(failed.map(line))
    }

    /// `false`: somebody else made it.
    async fn create(self) -> Result<bool, Failed> {
        let Some(marathon) = self.marathon(self.wanted.shard) else { return Ok(false) };
        if !marathon.create(&self.wanted.body).await? {
            return Ok(false);
        }
        let id = format!("/{}", self.wanted.app.id);
        let (patience, pause) = TO_COME;
        let until = Instant::now() + patience;
        while !marathon.has(&id).await? {
            if Instant::now() >= until {
                return Err(Failed::NotListed { id });
            }
            time::sleep(pause).await;
        }
        Ok(true)
    }

    async fn drain(self, step: &Step<'_>) -> Result<Vec<(Drained, Option<Undone>)>, Failed> {
        if step.drain.is_empty() {
            return Ok(Vec::new());
        }
        self.is_held().await?;
        let reached: Vec<&Task> =
            step.drain.iter().filter(|task| task.state != UNREACHABLE).copied().collect();
        let done = self.drainer.drain(&reached).await;
        let states = self.drainer.states(&reached).await;
        let ids = reached.iter().map(|task| task.id.as_str());
        let mut known: BTreeMap<&str, _> = ids.zip(done.into_iter().zip(states)).collect();
        let outcome = |task: &&Task| match known.remove(task.id.as_str()) {
            Some((done, State { is_safe_to_kill, .. })) => {
                (Drained { is_marked: done.is_ok(), is_safe_to_kill }, done.err())
            }
            None => (Drained { is_marked: true, is_safe_to_kill: None }, None),
        };
        Ok(step.drain.iter().map(outcome).collect())
    }

    /// One call for each group of servers.
    async fn kill(self, seen: &Seen<'_>, ends: &Ends<'_>) -> Result<(), Failed> {
        let mut by_shard = BTreeMap::<usize, Vec<&str>>::new();
        let apps = || seen.new.into_iter().chain(seen.old.iter().copied());
        for task in &ends.kill {
            let has = |app: &&RunningApp| app.tasks.iter().any(|other| other.id == task.id);
            if let Some(app) = apps().find(has) {
                by_shard.entry(app.shard).or_default().push(&task.id);
            }
        }
        if !by_shard.is_empty() {
            self.is_held().await?;
        }
        for (shard, ids) in by_shard {
            if let Some(marathon) = self.marathon(shard) {
                marathon.kill(&ids).await?;
            }
        }
        Ok(())
    }

    async fn remove(self, ends: &Ends<'_>) -> Result<(), Failed> {
        if ends.remove.is_empty() {
            return Ok(());
        }
        self.is_held().await?;
        let removed = ends.remove.iter().filter_map(|app| {
            let marathon = self.marathon(app.shard)?;
            Some(removal::take_away(marathon, &app.id))
        });
        future::try_join_all(removed).await?;
        Ok(())
    }
}

/// Tasks that should go and cannot be drained: the bounce does not end by itself.
fn stuck(
    step: &Step<'_>,
    drained: &[(Drained, Option<Undone>)],
    ends: &Ends<'_>,
) -> Option<String> {
    let stays = |task: &Task| ends.kill.iter().all(|killed| killed.id != task.id);
    let mut failed = step.drain.iter().zip(drained).filter_map(|(task, (_, error))| {
        error.as_ref().filter(|_| stays(task)).map(|error| (task, error))
    });
    let (task, error) = failed.next()?;
    let more = match failed.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!(
        "task {} on {} cannot be drained and goes on serving{more}: {error}. It is tried again; to kill such \
         tasks all the same, deploy with --kill-undrained",
        task.id, task.host
    ))
}
