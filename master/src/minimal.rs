//! Which instances need work: what soa-configs ask beside what Marathon has.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use paasta_master::{
    app::{App, AppError, Given},
    marathon::{Marathon, Shards},
    scaled::Counts,
    work::{Wanted, Work, compare, short},
};
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    json,
    load::{self, Deployment, Kind, LoadError},
    marathon::MarathonConfig,
    paasta::Settings,
};

use crate::{Outcome, complain};

/// Groups of servers that are asked at once.
const AT_ONCE: usize = 8;

/// Names of instances that need work, sorted.
///
/// # Errors
/// When a Marathon or ZooKeeper does not answer: what is not known is not taken for absent.
pub(crate) fn names(
    soa_dir: &Path,
    cluster: &Cluster,
    settings: &Settings,
) -> anyhow::Result<(BTreeSet<String>, Outcome)> {
    let mut documents = Documents::new(soa_dir);
    documents.refresh()?;
    crate::block_on(compared(&documents, cluster, settings))
}

async fn compared(
    documents: &Documents,
    cluster: &Cluster,
    settings: &Settings,
) -> anyhow::Result<(BTreeSet<String>, Outcome)> {
    let shards = Shards::of(settings);
    if shards.all().is_empty() {
        anyhow::bail!("`marathon_servers` of the system configuration names no Marathon");
    }
    let mut asking = Asking { cluster, settings, shards: &shards, counts: None };
    let (mut wanted, mut unknown) = (Vec::new(), BTreeSet::new());
    let is_sound = crate::is_sound(documents);
    for (service, files) in documents.services() {
        for instance in load::names(files, Kind::Marathon, cluster) {
            match asking.wanted(files, service, instance).await {
                Ok(app) => wanted.extend(app),
                Err(error) => {
                    complain(&format!("{service}.{instance}: {error:#}"));
                    unknown.insert(format!("{service}.{instance}"));
                }
            }
        }
    }
    let servers = stream::iter(shards.all()).map(|server| Marathon(server).apps());
    let listed: Vec<_> = servers.buffered(AT_ONCE).try_collect().await?;
    let Work { mut instances, foreign } = compare(&wanted, &listed);
    for id in foreign {
        complain(&format!("{id} in Marathon is no instance of a service; it is left alone"));
    }
    // What Marathon has of a service with a broken file may well be asked for there.
    let is_broken = |name: &str| {
        let service = name.split_once('.').and_then(|(service, _)| documents.service(service));
        service.is_some_and(|files| files.problems().next().is_some())
    };
    let named = |name: &str| wanted.iter().any(|app| short(&app.id).as_deref() == Some(name));
    instances.retain(|name| !unknown.contains(name) && (named(name) || !is_broken(name)));
    let all_known = unknown.is_empty() && is_sound;
    Ok((instances, if all_known { Outcome::Complete } else { Outcome::Incomplete }))
}

struct Asking<'a> {
    cluster: &'a Cluster,
    settings: &'a Settings,
    shards: &'a Shards<'a>,
    /// Connected when the first autoscaled instance needs it.
    counts: Option<Counts>,
}

impl Asking<'_> {
    /// `None`: nothing is deployed, so nothing is wanted.
    async fn wanted(
        &mut self,
        files: &ServiceDocuments,
        service: &str,
        name: &str,
    ) -> anyhow::Result<Option<Wanted>> {
        let instance = load::instance(files, Kind::Marathon, service, name, self.cluster)?;
        let deployment = match Deployment::v1(files, &instance) {
            Err(LoadError::NoDeployments(_)) => return Ok(None),
            deployment => deployment?,
        };
        let config = MarathonConfig::read(&instance)?;
        let scaled = match config.max_instances {
            Some(_) => self.counts().await?.of(service, name).await?,
            None => None,
        };
        let (instance, deployment) = (&instance, &deployment);
        let given = Given { files, instance, deployment, settings: self.settings, scaled };
        let app = match App::of(given, &config) {
            Err(AppError::NoDockerImage) => return Ok(None),
            app => app?,
        };
        let shard = self.shards.current(instance, &config)?;
        let count = app.definition.get("instances").map(json::canonical).transpose()?;
        let count = count.unwrap_or_default();
        let instances = count.parse().with_context(|| format!("instances: {count}"))?;
        Ok(Some(Wanted { id: app.id, instances, shard }))
    }

    async fn counts(&mut self) -> anyhow::Result<&Counts> {
        match &mut self.counts {
            Some(counts) => Ok(counts),
            none => Ok(none.insert(Counts::connect(self.settings.zookeeper()?).await?)),
        }
    }
}
