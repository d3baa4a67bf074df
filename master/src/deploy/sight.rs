//! What there is: the apps of an instance, and what is known of their tasks (marathon-sync.md §10.1, §12,
//! §13).

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use soa_configs::{ids::JobId, marathon::ConfigError};

use super::{proxies::Proxies, wanted::Wanted};
use crate::{
    bounce::happy::{self, HealthParams, InvalidHealthParams},
    drain::drainer::Drainer,
    marathon::{
        self, Marathon, Shards,
        running::{RunningApp, Task},
    },
    step::{Fact, Facts},
};

/// Servers, and hosts, that are asked at once.
const AT_ONCE: usize = 8;

/// The apps of an instance.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    /// The one that is to be, where it is to be.
    pub new: Option<RunningApp>,
    pub old: Vec<RunningApp>,
}

/// Why nothing is known of the tasks.
#[derive(Debug, thiserror::Error)]
pub enum Blind {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Health(#[from] InvalidHealthParams),
}

/// Asks all groups of servers for the apps whose ids are an instance's.
///
/// # Errors
/// When one does not answer: what is not known is not taken for absent.
pub async fn apps(shards: &Shards<'_>, wanted: &Wanted) -> Result<Apps, marathon::Error> {
    let part = short(&wanted.instance.service, &wanted.instance.instance);
    let asked = stream::iter(shards.all()).map(|server| Marathon(server).running_like(&part));
    let listed: Vec<Vec<RunningApp>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(Apps::among(listed.into_iter().enumerate().flat_map(numbered), wanted))
}

/// All apps of all groups of servers.
///
/// # Errors
/// When one does not answer.
pub async fn all_apps(shards: &Shards<'_>) -> Result<Vec<RunningApp>, marathon::Error> {
    let asked = stream::iter(shards.all()).map(|server| Marathon(server).running());
    let listed: Vec<Vec<RunningApp>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(listed.into_iter().enumerate().flat_map(numbered).collect())
}

/// The app that the wanted one is compared with, as Marathon has it: the one that is to be, else the newest of
/// the others. `None`: there is none.
///
/// # Errors
/// When one of the groups of servers does not answer.
pub async fn definition(
    shards: &Shards<'_>,
    apps: &Apps,
) -> Result<Option<Value>, marathon::Error> {
    let candidates = match &apps.new {
        Some(new) => std::slice::from_ref(new),
        None => &apps.old,
    };
    let asked = stream::iter(candidates).map(async |app| match shards.all().get(app.shard) {
        Some(server) => Marathon(server).definition(&app.id).await,
        None => Ok(None),
    });
    let found: Vec<Option<Value>> = asked.buffered(AT_ONCE).try_collect().await?;
    let version = |app: &Value| app.get("version").and_then(Value::as_str).map(str::to_owned);
    Ok(found.into_iter().flatten().max_by_key(version))
}

fn numbered((shard, apps): (usize, Vec<RunningApp>)) -> impl Iterator<Item = RunningApp> {
    apps.into_iter().map(move |app| RunningApp { shard, ..app })
}

/// The apps of a whole cluster, by instance.
#[derive(Debug, Default)]
pub struct Listing(BTreeMap<String, Vec<RunningApp>>);

impl Listing {
    #[must_use]
    pub fn of(apps: Vec<RunningApp>) -> Self {
        let mut listing = BTreeMap::<String, Vec<RunningApp>>::new();
        for app in apps {
            let mut parts = app.id.trim_start_matches('/').split('.');
            if let (Some(service), Some(instance)) = (parts.next(), parts.next()) {
                listing.entry(format!("{service}.{instance}")).or_default().push(app);
            }
        }
        Self(listing)
    }

    /// Those of one instance.
    #[must_use]
    pub fn apps(&self, wanted: &Wanted) -> Apps {
        let (service, instance) = (&wanted.instance.service, &wanted.instance.instance);
        Apps::among(self.named(service, instance).iter().cloned(), wanted)
    }

    /// The same, of whatever version.
    #[must_use]
    pub fn named(&self, service: &str, instance: &str) -> &[RunningApp] {
        self.0.get(&short(service, instance)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The id of an instance, without hashes.
fn short(service: &str, instance: &str) -> String {
    let (service, instance) = (service.to_owned(), instance.to_owned());
    JobId { service, instance, hashes: None }.format()
}

impl Apps {
    /// Those of an instance.
    pub fn among(apps: impl IntoIterator<Item = RunningApp>, wanted: &Wanted) -> Self {
        let mut found = Self::default();
        let (service, instance) = (&wanted.instance.service, &wanted.instance.instance);
        for app in apps {
            if !JobId::matches(service, instance, &app.id) {
                continue;
            }
            if app.shard == wanted.shard && app.id.trim_start_matches('/') == wanted.app.id {
                found.new = Some(app);
            } else {
                found.old.push(app);
            }
        }
        found
    }

    pub fn all(&self) -> impl Iterator<Item = &RunningApp> {
        self.new.iter().chain(&self.old)
    }

    /// How many tasks there are.
    #[must_use]
    pub fn running(&self) -> usize {
        self.all().map(|app| app.tasks.len()).sum()
    }
}

/// Asks drain method and HAProxy about all tasks. `emptied` are hosts that are to go. Also returns what is to
/// be said of those that do not answer.
///
/// # Errors
/// When it is not known what makes a task healthy, and there is one.
pub async fn facts(
    wanted: &Wanted,
    apps: &Apps,
    drainer: &Drainer,
    proxies: &Proxies,
    emptied: &BTreeSet<String>,
) -> Result<(Facts, Vec<String>), Blind> {
    if apps.all().next().is_none() {
        return Ok((Facts::new(), Vec::new()));
    }
    let params = HealthParams::read(&wanted.config.bounce_health_params()?)?;
    let tasks: Vec<&Task> = apps.all().flat_map(|app| &app.tasks).collect();
    let states = drainer.states(&tasks);
    let registered = async {
        if params.check_haproxy {
            registered(wanted, &tasks, proxies).await
        } else {
            <_>::default()
        }
    };
    let (states, (registered, unheard)) = tokio::join!(states, registered);
    let now = Timestamp::now();
    let is_registered = |task: &Task| registered.contains(task.id.as_str());
    let happy = apps.all().flat_map(|app| happy::tasks(app, &params, now, is_registered));
    let happy: BTreeSet<&str> = happy.map(|task| task.id.as_str()).collect();
    let facts = tasks.iter().zip(states).map(|(task, state)| {
        let fact = Fact {
            is_happy: happy.contains(task.id.as_str()),
            is_draining: state.is_draining,
            is_safe_to_kill: state.is_safe_to_kill,
            host_is_draining: emptied.contains(&task.host),
        };
        (task.id.clone(), fact)
    });
    Ok((facts.collect(), unheard))
}

/// The tasks to which the HAProxy of their own host sends. One that does not answer sends to nobody.
async fn registered<'t>(
    wanted: &Wanted,
    tasks: &[&'t Task],
    proxies: &Proxies,
) -> (BTreeSet<&'t str>, Vec<String>) {
    let namespace = format!("{}.{}", wanted.instance.service, wanted.config.nerve_namespace);
    let hosts: BTreeSet<&str> = tasks.iter().map(|task| task.host.as_str()).collect();
    let asked = stream::iter(hosts).map(async |host| (host, proxies.of(host).await));
    let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    let (mut registered, mut unheard) = (BTreeSet::new(), Vec::new());
    for (host, answer) in answers {
        match answer {
            Ok(statistics) => {
                let Some(servers) = statistics.namespaces.get(&namespace) else { continue };
                let here = tasks.iter().filter(|task| task.host == host);
                let there = here.filter(|task| servers.has(&statistics.addresses, &task.ports));
                registered.extend(there.map(|task| task.id.as_str()));
            }
            Err(error) => unheard.push(format!("{error}; its tasks count as not registered")),
        }
    }
    (registered, unheard)
}
