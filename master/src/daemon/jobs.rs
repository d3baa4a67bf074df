//! What the master that leads does about Chronos, until it does not lead any more.

use std::{collections::BTreeMap, convert::Infallible, path::Path, sync::Arc, time::Duration};

use jiff::Zoned;
use serde::Serialize;
use soa_configs::{
    Cluster,
    documents::Documents,
    paasta::{MarathonServer, Settings},
};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::lead::{self, Ended};
use crate::{
    chronos::{
        JobName,
        cleanup::Rules,
        client::Chronos,
        pass::{Allowed, Pass, Round},
        soa::Soa,
    },
    lock::Lock,
};

/// How it looks after Chronos.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'t> {
    pub soa_dir: &'t Path,
    /// Between two looks at soa-configs. What changed is written at once.
    pub look_every: Duration,
    /// Between two rounds while nothing changes.
    pub round_every: Duration,
    /// Nothing is removed when it is more than this share of all jobs.
    pub most_removed: f64,
    /// See [`Pass::team`].
    pub team: Option<&'t str>,
}

/// A snapshot of how Chronos stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// That Chronos had the last time it told.
    pub jobs: usize,
    pub rounds: u64,
    /// Rounds after which something was left to do.
    pub failures: u64,
    pub written: u64,
    pub removed: u64,
    /// Of the last round.
    pub complaints: Vec<String>,
}

/// What a snapshot is published on. `None`: there is no Chronos here, or another master looks after it.
pub type Publisher = watch::Sender<Option<Arc<Status>>>;

/// Whom it looks after.
#[derive(Clone, Copy, Debug)]
pub struct Cared<'c> {
    pub settings: &'c Settings,
    pub cluster: &'c Cluster,
    pub servers: &'c MarathonServer,
}

/// Makes rounds until another master may lead. `say` is told what people should know, once.
pub async fn follow(
    cared: Cared<'_>,
    lock: &Lock<'_>,
    terms: Terms<'_>,
    status: &Publisher,
    say: impl Fn(&str),
) -> Ended {
    let Err(ended) = rounds(cared, lock, terms, status, say).await;
    ended
}

async fn rounds(
    Cared { settings, cluster, servers }: Cared<'_>,
    lock: &Lock<'_>,
    terms: Terms<'_>,
    status: &Publisher,
    say: impl Fn(&str),
) -> Result<Infallible, Ended> {
    let chronos = Chronos::new(servers);
    let mut documents = Documents::new(terms.soa_dir);
    let mut seen = Status::default();
    let mut last: Option<(Instant, BTreeMap<JobName, String>)> = None;
    loop {
        let look;
        (documents, look) = refreshed(documents).await?;
        if let Err(why) = look {
            seen.publish(vec![why], status, &say);
            time::sleep(terms.look_every).await;
            continue;
        }
        let soa = Soa { documents: &documents, settings, cluster };
        let now = Zoned::now();
        let wanted = wanted(soa, &now);
        let is_due = last
            .as_ref()
            .is_none_or(|(at, before)| at.elapsed() >= terms.round_every || *before != wanted);
        if is_due {
            lead::still(lock).await?;
            let pass = Pass { soa, chronos: &chronos, team: terms.team, is_dry: false };
            let allowed = Allowed { rules: Rules::Safe, most: Some(terms.most_removed) };
            let round = pass.round(allowed, &now).await;
            seen.count(&round);
            seen.publish(round.complaints().cloned().collect(), status, &say);
            last = Some((Instant::now(), wanted));
        }
        time::sleep(terms.look_every).await;
    }
}

async fn refreshed(mut documents: Documents) -> Result<(Documents, Result<(), String>), Ended> {
    let looked = tokio::task::spawn_blocking(move || {
        let look = documents.refresh().map(drop).map_err(|error| error.to_string());
        (documents, look)
    });
    looked
        .await
        .map_err(|error| Ended::Deposed(format!("soa-configs cannot be looked at: {error}")))
}

/// The hash of each job, or why it is none.
fn wanted(soa: Soa<'_>, now: &Zoned) -> BTreeMap<JobName, String> {
    let made = soa.make(soa.names(), now);
    let hashes = made.jobs.into_iter().map(|job| (job.name, job.hash));
    let faults = made.unmade.into_iter().map(|(name, error)| (name, error.to_string()));
    hashes.chain(faults).collect()
}

impl Status {
    fn count(&mut self, round: &Round) {
        self.jobs = round.listed.unwrap_or(self.jobs);
        self.rounds += 1;
        self.failures += u64::from(!round.is_fine());
        self.written += round.deployed.written.len() as u64;
        self.removed += round.cleaned.jobs.iter().filter(|(_, is_done)| *is_done).count() as u64;
    }

    fn publish(&mut self, complaints: Vec<String>, status: &Publisher, say: impl Fn(&str)) {
        let is_new = |line: &&String| !self.complaints.contains(line);
        complaints.iter().filter(is_new).for_each(|line| say(&format!("Chronos: {line}")));
        self.complaints = complaints;
        status.send_replace(Some(Arc::new(self.clone())));
    }
}
