//! One pass over one instance (marathon-sync.md §10).

use std::collections::BTreeSet;

use hyper::StatusCode;
use soa_configs::{Cluster, documents::ServiceDocuments, ids::JobId, paasta::Settings, yaml::Map};

use super::{
    act::{Failed, Hands},
    guard::Before,
    journal::Journal,
    lines::Line,
    proxies::Proxies,
    sight::{self, Apps},
    verdict::{SOON, Verdict},
    wanted::{Unmet, Wanted, Written},
};
use crate::{
    drain::drainer::Drainer,
    http::Failure,
    lock,
    marathon::{self, Shards, removal::Stays, running::RunningApp},
    mesos::{self, Mesos},
    scaled::Counts,
    step::{Facts, Seen, Step, next},
    url_format::InvalidFormat,
    zookeeper::Sessions,
};

/// Hosts that are to be emptied, or why they are not known.
#[derive(Clone, Debug)]
pub enum Emptied {
    Known(BTreeSet<String>),
    /// Mesos takes too long.
    Late(String),
    Unknown(String),
}

impl Emptied {
    /// Asks Mesos.
    pub async fn ask(settings: &Settings) -> Self {
        let asked = async {
            let mesos = Mesos::read(&settings.mesos_config_path)?;
            let (leader, login) = (mesos.leader().await?, mesos.login()?);
            mesos::draining_hosts(&leader, login.as_deref()).await
        };
        match asked.await {
            Ok(hosts) => Self::Known(hosts.into_iter().collect()),
            Err(error @ mesos::Error::Unreached(Failure::Late { .. })) => Self::Late(chain(error)),
            Err(error) => Self::Unknown(chain(error)),
        }
    }
}

/// Deploys instances of one cluster.
#[derive(Debug)]
pub struct Deployer<'s> {
    pub settings: &'s Settings,
    pub cluster: &'s Cluster,
    pub shards: Shards<'s>,
    pub sessions: Sessions,
    pub proxies: Proxies,
    pub journal: Journal<'s>,
    /// See [`Seen::kills_undrained`].
    pub kills_undrained: bool,
}

/// Everything that a step depends on.
#[derive(Debug)]
pub struct Looked {
    pub wanted: Wanted,
    pub apps: Apps,
    pub facts: Facts,
    pub drainer: Drainer,
    /// Who did not answer.
    pub unheard: Vec<String>,
    kills_undrained: bool,
}

impl Looked {
    /// Calls `act` with what was seen and the step that follows.
    pub fn decided<T>(&self, act: impl FnOnce(&Seen<'_>, &Step<'_>) -> T) -> T {
        let old: Vec<&RunningApp> = self.apps.old.iter().collect();
        let seen = self.seen(&old);
        act(&seen, &next(&seen))
    }

    fn seen<'a>(&'a self, old: &'a [&'a RunningApp]) -> Seen<'a> {
        Seen {
            want: self.wanted.count,
            method: self.wanted.method,
            new: self.apps.new.as_ref(),
            old,
            facts: &self.facts,
            kills_undrained: self.kills_undrained,
        }
    }

    /// Nothing has to be done, and nobody has to be told more than that.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.decided(|seen, step| {
            let is_idle = step.scale.is_empty() && !step.create_app && step.drain.is_empty();
            let all_in = step.put_back(seen).next().is_none();
            is_idle && all_in && !super::lines::goes_on(seen, step) && seen.old.is_empty()
        })
    }

    /// For [`super::guard::within`].
    #[must_use]
    pub fn before(&self) -> Before {
        Before { running: self.apps.running(), want: self.wanted.count }
    }
}

impl<'s> Deployer<'s> {
    /// # Errors
    /// When `synapse_haproxy_url_format` is no URL with placeholders.
    pub fn new(
        settings: &'s Settings,
        cluster: &'s Cluster,
        kills_undrained: bool,
    ) -> Result<Self, InvalidFormat> {
        let format = &settings.synapse_haproxy_url_format;
        Ok(Self {
            settings,
            cluster,
            shards: Shards::of(settings),
            sessions: Sessions::new(settings),
            proxies: Proxies::new(format, settings.synapse_port)?,
            journal: Journal::new(settings, cluster.as_str()),
            kills_undrained,
        })
    }

    /// What is wanted of an instance.
    ///
    /// # Errors
    /// How a pass over it comes out, because there is nothing to be done.
    pub async fn wanted(
        &self,
        files: &ServiceDocuments,
        service: &str,
        name: &str,
    ) -> Result<Wanted, Verdict> {
        let full = format!("{service}.{name}");
        let unmet = |unmet: Unmet| unmet.verdict(&full);
        let written = Written::load(files, service, name, self.cluster).map_err(unmet)?;
        let scaled = if written.is_scaled() {
            let unable = |error: &dyn std::error::Error| Verdict::unable(error.to_string());
            let client = self.sessions.client().await.map_err(|error| unable(&error))?;
            let counts = Counts::over(client, self.settings.zookeeper().unwrap_or_default());
            counts.of(service, name).await.map_err(|error| unable(&error))?
        } else {
            None
        };
        Wanted::of(written, files, self.settings, &self.shards, scaled).map_err(unmet)
    }

    /// Looks at everything there is of an instance.
    ///
    /// # Errors
    /// How the pass comes out, because that cannot be seen.
    pub async fn look(
        &self,
        wanted: Wanted,
        apps: Apps,
        emptied: &Emptied,
    ) -> Result<Looked, Verdict> {
        if let Some(odd) = apps.all().find_map(|app| app.odd.as_ref()) {
            return Err(Verdict::unable(odd.to_string()));
        }
        let drainer = Drainer::new(&wanted.draining, wanted.owner.clone())
            .map_err(|error| Verdict::unable(error.to_string()))?;
        let emptied = match emptied {
            Emptied::Known(hosts) => hosts,
            Emptied::Late(error) => {
                let text = "ReadTimeout encountered trying to get draining hosts";
                return Err(Verdict::wrong(format!("{text}: {error}"), Some(SOON)));
            }
            Emptied::Unknown(error) => return Err(Verdict::unable(error.clone())),
        };
        let seen = sight::facts(&wanted, &apps, &drainer, &self.proxies, emptied).await;
        let (facts, unheard) = seen.map_err(|error| Verdict::failed(error.to_string()))?;
        let kills_undrained = self.kills_undrained;
        Ok(Looked { wanted, apps, facts, drainer, unheard, kills_undrained })
    }

    /// If an instance is as it should be: tells people so, without a lock. `None`: it needs a [`Self::pass`].
    pub async fn steady(
        &self,
        files: &ServiceDocuments,
        (wanted, apps): (Wanted, Apps),
        emptied: &Emptied,
    ) -> Option<Verdict> {
        let looked = self.look(wanted, apps, emptied).await.ok()?;
        if !looked.is_steady() {
            return None;
        }
        let mut verdict = Verdict::deployed(None);
        let (full, monitoring) = (looked.wanted.instance.to_string(), looked.wanted.monitoring());
        self.announce(files, &full, monitoring, &mut verdict);
        Some(verdict)
    }

    /// Brings an instance one step nearer to what is wanted, and tells people.
    pub async fn pass(
        &self,
        files: &ServiceDocuments,
        (service, name): (&str, &str),
        emptied: &Emptied,
    ) -> Verdict {
        let full = format!("{service}.{name}");
        let id = JobId { service: service.to_owned(), instance: name.to_owned(), hashes: None };
        let path = format!("/bounce/{}", id.format());
        let client = match self.sessions.client().await {
            Ok(client) => client,
            Err(error) => return Verdict::unable(format!("{:#}", anyhow::Error::from(error))),
        };
        let lock = match lock::take(&client, &path).await {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                let line = format!("Instance {full} already being bounced. Exiting");
                let mut verdict = Verdict::nothing();
                verdict.complaints.extend(self.write(service, name, line.clone()));
                verdict.complaints.push(line);
                return verdict;
            }
            Err(error) => {
                self.sessions.give_up(&client);
                return Verdict::unable(format!("{path} in ZooKeeper: {error}"));
            }
        };
        let (mut verdict, monitoring) = self.locked(files, (service, name), emptied, &lock).await;
        if let Err(error) = lock.release().await {
            // Or the instance would be locked as long as this program runs.
            self.sessions.give_up(&client);
            let text = format!("{path} in ZooKeeper is kept until the session ends: {error}");
            verdict.complaints.push(text);
        }
        let monitoring = monitoring.unwrap_or_default();
        self.announce(files, &full, &monitoring, &mut verdict);
        verdict
    }

    /// Tells Sensu how a pass came out.
    fn announce(
        &self,
        files: &ServiceDocuments,
        full: &str,
        monitoring: &Map,
        verdict: &mut Verdict,
    ) {
        let Some((status, output)) = &verdict.event else { return };
        let told = self.journal.announce(files, full, monitoring, (*status, output));
        verdict.complaints.extend(told);
    }

    async fn locked(
        &self,
        files: &ServiceDocuments,
        (service, name): (&str, &str),
        emptied: &Emptied,
        lock: &lock::Lock<'_>,
    ) -> (Verdict, Option<Map>) {
        let wanted = match self.wanted(files, service, name).await {
            Ok(wanted) => wanted,
            Err(mut verdict) => {
                if verdict.has_failed || verdict.event.is_some() {
                    for line in verdict.complaints.clone() {
                        verdict.complaints.extend(self.write(service, name, line));
                    }
                }
                let monitoring = Written::load(files, service, name, self.cluster).ok();
                return (verdict, monitoring.map(|written| written.config.container.monitoring));
            }
        };
        let monitoring = Some(wanted.monitoring().clone());
        let looked = match sight::apps(&self.shards, &wanted).await {
            Ok(apps) => self.look(wanted, apps, emptied).await,
            Err(error) => Err(Verdict::unable(chain(error))),
        };
        let looked = match looked {
            Ok(looked) => looked,
            Err(verdict) => return (verdict, monitoring),
        };
        let mut verdict = self.act(&looked, lock).await.unwrap_or_else(|failed| {
            let verdict = failure(failed);
            let text = verdict.complaints.concat();
            let said = format!("Exception raised during deploy of service {service}: {text}");
            let unwritten = self.write(service, name, said);
            let complaints = verdict.complaints.iter().cloned().chain(unwritten).collect();
            Verdict { complaints, ..verdict }
        });
        verdict.complaints.extend(looked.unheard);
        (verdict, monitoring)
    }

    async fn act(&self, looked: &Looked, lock: &lock::Lock<'_>) -> Result<Verdict, Failed> {
        let old: Vec<&RunningApp> = looked.apps.old.iter().collect();
        let seen = looked.seen(&old);
        let hands = Hands {
            wanted: &looked.wanted,
            shards: &self.shards,
            drainer: &looked.drainer,
            journal: &self.journal,
            lock,
        };
        hands.carry_out(&seen, &next(&seen)).await
    }

    fn write(&self, service: &str, name: &str, text: String) -> Option<String> {
        self.journal.write(service, name, &Line::event(text)).err()
    }
}

/// What Marathon refuses of an app is for its owners (marathon-sync.md §25.14); what does not answer is for
/// nobody's.
fn failure(failed: Failed) -> Verdict {
    match &failed {
        Failed::Marathon(marathon::Error::Refused { status, message, .. })
            if matches!(*status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) =>
        {
            Verdict::failed(format!("Marathon refuses the app: {message}"))
        }
        Failed::Stays(Stays::Late { .. }) | Failed::NotListed { .. } => {
            Verdict::failed(failed.to_string())
        }
        _ => Verdict::unable(chain(failed)),
    }
}

fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
