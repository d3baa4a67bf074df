//! What the master that leads does, until it does not lead any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream, stream::FuturesUnordered};
use soa_configs::{documents::Documents, ids::JobId};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{
    queue::{BULK, Name, Queue, spacing},
    scan::Scan,
    status::Status,
};
use crate::{
    deploy::{
        guard,
        pass::{Deployer, Emptied},
        sight::{self, Listing},
        verdict::Verdict,
    },
    lock::Lock,
};

/// How it leads.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'t> {
    pub soa_dir: &'t Path,
    /// Between two looks at soa-configs and at what the autoscaler wrote.
    pub look_every: Duration,
    /// Passes under way at once on one group of Marathon servers.
    pub for_each_marathon: usize,
    /// See [`guard::within`].
    pub most_stopped: f64,
    /// The system configuration has just changed: what it changed comes slowly.
    pub is_reload: bool,
}

/// Why it does not lead any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The system configuration is another one.
    Reconfigured,
    /// Another master may lead now.
    Deposed(String),
}

/// # Errors
/// When this master does not lead any more, as far as anybody knows.
pub(super) async fn still(lock: &Lock<'_>) -> Result<(), Ended> {
    match lock.is_held().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Ended::Deposed("the lock of the leader is gone".to_owned())),
        Err(error) => Err(Ended::Deposed(format!("ZooKeeper does not say who leads: {error}"))),
    }
}

/// What a look at soa-configs found.
enum Look {
    Ended(Ended),
    /// Instances that need work; the first time, all others too.
    Found {
        scan: Scan,
        work: BTreeSet<Name>,
        is_first: bool,
    },
    /// Nothing is begun until that is over.
    Held(String),
}

/// Leads until it ends. `is_reconfigured` says whether the system configuration is another one; `say` is told
/// what people should know.
pub async fn lead(
    deployer: &Deployer<'_>,
    lock: &Lock<'_>,
    terms: Terms<'_>,
    status: &watch::Sender<Arc<Status>>,
    is_reconfigured: impl Fn() -> bool,
    say: impl Fn(&str),
) -> Ended {
    let looker = Looker { deployer, lock, terms, is_reconfigured };
    let memory = Memory { documents: Documents::new(terms.soa_dir), before: None, is_held: false };
    let looks = stream::unfold(memory, |memory| looker.look(memory));
    let polls = stream::unfold(true, |is_first| async move {
        if !is_first {
            time::sleep(deployer.settings.deployd.maintenance_polling).await;
        }
        Some((Emptied::ask(deployer.settings).await, false))
    });
    let (mut looks, mut polls) = (std::pin::pin!(looks), std::pin::pin!(polls));
    let mut passes = FuturesUnordered::new();
    let mut leader = Leader::new(deployer, terms, status);
    loop {
        while passes.len() < usize::from(deployer.settings.deployd.workers.get()) {
            let Some((name, emptied)) = leader.take() else { break };
            passes.push(async move {
                let mut documents = Documents::new(terms.soa_dir);
                documents.refresh_service(&name.0);
                let files = documents.into_service(&name.0);
                let verdict = deployer.pass(&files, (&name.0, &name.1), &emptied).await;
                (name, verdict)
            });
        }
        leader.publish();
        let under_way = passes.len();
        tokio::select! {
            look = looks.next() => match look {
                Some(Look::Ended(ended)) => return ended,
                Some(look) => leader.looked(look, &say),
                None => return Ended::Deposed("nobody looks any more".to_owned()),
            },
            Some((name, verdict)) = passes.next() => leader.ended(&name, verdict, &say),
            Some(emptied) = polls.next() => leader.polled(emptied, &say).await,
            () = until(leader.queue.next_due(), under_way) => {}
        }
    }
}

/// Until something may be begun. With passes under way their end is what matters.
async fn until(due: Option<Instant>, under_way: usize) {
    match due {
        Some(due) if due > Instant::now() => time::sleep_until(due).await,
        // It waits for a place, or for whoever holds it up.
        Some(_) if under_way == 0 => time::sleep(Duration::from_millis(200)).await,
        _ => std::future::pending().await,
    }
}

struct Memory {
    documents: Documents,
    before: Option<Scan>,
    is_held: bool,
}

struct Looker<'l, F> {
    deployer: &'l Deployer<'l>,
    lock: &'l Lock<'l>,
    terms: Terms<'l>,
    is_reconfigured: F,
}

impl<F: Fn() -> bool> Looker<'_, F> {
    async fn look(&self, mut memory: Memory) -> Option<(Look, Memory)> {
        if memory.before.is_some() {
            time::sleep(self.terms.look_every).await;
        }
        loop {
            if let Err(ended) = still(self.lock).await {
                return Some((Look::Ended(ended), memory));
            }
            if (self.is_reconfigured)() {
                return Some((Look::Ended(Ended::Reconfigured), memory));
            }
            match self.found(&mut memory).await {
                Ok(Some(look)) => return Some((look, memory)),
                Ok(None) => {}
                Err(error) => {
                    // The first look is tried again without a pause of its own.
                    if memory.before.is_none() && memory.is_held {
                        time::sleep(self.terms.look_every).await;
                    }
                    memory.is_held = true;
                    return Some((Look::Held(format!("{error:#}")), memory));
                }
            }
            time::sleep(self.terms.look_every).await;
        }
    }

    /// `None`: nothing has changed.
    async fn found(&self, memory: &mut Memory) -> anyhow::Result<Option<Look>> {
        let documents =
            std::mem::replace(&mut memory.documents, Documents::new(self.terms.soa_dir));
        let (documents, scan) = Scan::look(self.deployer, documents).await?;
        memory.documents = documents;
        let scan = scan?;
        let nothing = Scan::default();
        let changed = scan.changed(memory.before.as_ref().unwrap_or(&nothing));
        let is_same = |before: &Scan| {
            changed.is_empty() && scan.has_all_of(before) && scan.broken == before.broken
        };
        if memory.before.as_ref().is_some_and(is_same) {
            memory.before = Some(scan.clone());
            let was_held = std::mem::replace(&mut memory.is_held, false);
            let found = Look::Found { scan, work: changed, is_first: false };
            return Ok(was_held.then_some(found));
        }
        let listing = Listing::of(sight::all_apps(&self.deployer.shards).await?);
        guard::within(scan.before(&listing), self.terms.most_stopped)?;
        let is_first = memory.before.is_none();
        memory.is_held = false;
        let work = if is_first { scan.unmet(&listing) } else { changed };
        memory.before = Some(scan.clone());
        Ok(Some(Look::Found { scan, work, is_first }))
    }
}

struct Leader<'l> {
    deployer: &'l Deployer<'l>,
    terms: Terms<'l>,
    status: &'l watch::Sender<Arc<Status>>,
    queue: Queue,
    /// `None`: nobody has looked yet.
    scan: Option<Scan>,
    /// As it was last known.
    emptied: Option<Emptied>,
    /// Hosts that are to be emptied, and of which all instances were put in the queue.
    attended: BTreeSet<String>,
    held: Option<String>,
    complaints: BTreeMap<String, Vec<String>>,
    passes: u64,
    failures: u64,
}

impl<'l> Leader<'l> {
    fn new(
        deployer: &'l Deployer<'l>,
        terms: Terms<'l>,
        status: &'l watch::Sender<Arc<Status>>,
    ) -> Self {
        Self {
            deployer,
            terms,
            status,
            queue: Queue::default(),
            scan: None,
            emptied: None,
            attended: BTreeSet::new(),
            held: None,
            complaints: BTreeMap::new(),
            passes: 0,
            failures: 0,
        }
    }

    fn take(&mut self) -> Option<(Name, Emptied)> {
        let emptied = self.emptied.clone()?;
        if self.held.is_some() {
            return None;
        }
        let name = self.queue.take(Instant::now(), self.terms.for_each_marathon)?;
        Some((name, emptied))
    }

    fn add(&mut self, name: Name, due: Instant, bulk: bool) {
        let aim = self.scan.as_ref().and_then(|scan| scan.aims.get(&name));
        let priority = if bulk { BULK } else { aim.map_or(0, |aim| aim.priority) };
        let shard = aim.map_or(0, |aim| aim.shard);
        self.queue.add(name, due, priority, shard);
    }

    fn looked(&mut self, look: Look, say: impl Fn(&str)) {
        let (scan, work, is_first) = match look {
            Look::Found { scan, work, is_first } => (scan, work, is_first),
            Look::Held(why) => {
                if self.held.as_ref() != Some(&why) {
                    say(&format!("nothing is begun: {why}"));
                }
                self.held = Some(why);
                return;
            }
            Look::Ended(_) => return,
        };
        self.held = None;
        let all: Vec<Name> = scan.aims.keys().chain(scan.faulty.keys()).cloned().collect();
        self.queue.retain(|name| scan.has(name));
        let full: BTreeSet<String> = all.iter().map(in_full).collect();
        self.complaints.retain(|name, _| full.contains(name));
        let told = self.scan.as_ref().map_or(&[][..], |before| &before.broken);
        scan.broken.iter().filter(|line| !told.contains(line)).for_each(|line| say(line));
        self.scan = Some(scan);
        let (now, rates) = (Instant::now(), &self.deployer.settings.deployd);
        if is_first && self.terms.is_reload {
            self.add_spaced(work.into_iter().collect(), spacing(rates.big_bounce_rate));
            return;
        }
        if is_first {
            self.add_spaced(all, spacing(rates.startup_bounce_rate));
        }
        if !is_first || rates.startup_oracle {
            work.into_iter().for_each(|name| self.add(name, now, false));
        }
    }

    fn add_spaced(&mut self, names: Vec<Name>, spacing: Duration) {
        let mut due = Instant::now();
        for name in names {
            self.add(name, due, true);
            due += spacing;
        }
    }

    fn ended(&mut self, name: &Name, verdict: Verdict, say: impl Fn(&str)) {
        let Verdict { has_failed, again, complaints, .. } = verdict;
        let full = in_full(name);
        complaints.iter().for_each(|line| say(&format!("{full}: {line}")));
        self.passes += 1;
        self.failures += u64::from(has_failed);
        if !self.is_wanted(name) {
            self.complaints.remove(&full);
            self.queue.forget(name);
            return;
        }
        if complaints.is_empty() {
            self.complaints.remove(&full);
        } else {
            self.complaints.insert(full, complaints);
        }
        let factor = self.deployer.settings.deployd.failure_backoff_factor;
        self.queue.done(name, Instant::now(), has_failed, again, factor);
    }

    /// As long as nobody has looked, anything may be.
    fn is_wanted(&self, name: &Name) -> bool {
        self.scan.as_ref().is_none_or(|scan| scan.has(name))
    }

    /// Instances with tasks on hosts that are to go now are looked at.
    async fn polled(&mut self, emptied: Emptied, say: impl Fn(&str)) {
        match (&self.emptied, &emptied) {
            (_, Emptied::Known(now)) => self.attend(now, &say).await,
            // What was known stands.
            (Some(Emptied::Known(_)), Emptied::Late(why) | Emptied::Unknown(why)) => {
                say(&format!("which hosts are to be emptied is not known: {why}"));
                return;
            }
            _ => {}
        }
        self.emptied = Some(emptied);
    }

    /// Of hosts that were not to go before. When Marathon does not say what runs there, the next poll tries again.
    async fn attend(&mut self, now: &BTreeSet<String>, say: impl Fn(&str)) {
        self.attended.retain(|host| now.contains(host));
        if now.is_subset(&self.attended) {
            return;
        }
        let apps = match sight::all_apps(&self.deployer.shards).await {
            Ok(apps) => apps,
            Err(error) => {
                say(&format!("what runs on hosts that are to be emptied is not known: {error}"));
                return;
            }
        };
        let goes = |host: &String| now.contains(host) && !self.attended.contains(host);
        let moved = apps.iter().filter(|app| app.tasks.iter().any(|task| goes(&task.host)));
        let names = moved.filter_map(|app| JobId::parse(app.id.trim_start_matches('/')).ok());
        let names: BTreeSet<Name> = names.map(|id| (id.service, id.instance)).collect();
        let (wanted, due) = (names.into_iter().filter(|name| self.is_wanted(name)), Instant::now());
        let wanted: Vec<Name> = wanted.collect();
        wanted.into_iter().for_each(|name| self.add(name, due, false));
        self.attended.clone_from(now);
    }

    fn publish(&self) {
        let under_way = self.queue.under_way().map(in_full);
        self.status.send_replace(Arc::new(Status {
            leads: true,
            cluster: self.deployer.cluster.to_string(),
            instances: self.scan.as_ref().map_or(0, |scan| scan.aims.len() + scan.faulty.len()),
            waiting: self.queue.waiting(),
            under_way: under_way.collect(),
            passes: self.passes,
            failures: self.failures,
            held: self.held.clone(),
            broken: self.scan.as_ref().map(|scan| scan.broken.clone()).unwrap_or_default(),
            complaints: self.complaints.clone(),
        }));
    }
}

/// As people write it.
fn in_full((service, name): &Name) -> String {
    format!("{service}.{name}")
}
