//! `paasta-master cleanup`, and the old command `cleanup_marathon_jobs`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, Parser};
use jiff::Timestamp;
use monitoring::sensu::Sensu;
use paasta_master::{
    cleanup::{Stale, stale},
    events::{Check, Event, Status},
    lock,
    log_line::LogLine,
    marathon::{Marathon, Shards, removal},
    zookeeper,
};
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    ids::JobId,
    load::{self, Kind},
    paasta::Settings,
    tree,
    yaml::Map,
};
use zookeeper_client::Client;

use crate::{Outcome, complain};

/// Events that are over when their instance is.
const CHECKS: [&str; 2] = ["check_marathon_services_replication", "setup_marathon_job"];
const REMOVED: &str = "This instance was removed and is no longer running";

/// Remove the Marathon apps of instances that stand no longer in soa-configs.
///
/// Which version an app is does not matter, and apps whose ids are no instance's are left alone. An instance
/// that somebody deploys at the moment is left for the next time. When a file of a service cannot be read,
/// its apps stay.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 more would be removed than may be, something did not answer or a file is
broken, 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master cleanup --dry-run
  paasta-master cleanup --kill-threshold 0.1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Remove the Marathon apps of instances that stand no longer in soa-configs.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master cleanup.
#[derive(Parser)]
#[command(name = "cleanup_marathon_jobs", version)]
pub(crate) struct AsBefore {
    #[command(flatten)]
    which: Which,

    /// Say what is removed
    #[arg(short, long)]
    verbose: bool,
}

/// What counts as nobody's, and how much of it may go.
#[derive(Args)]
struct Which {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Remove nothing when more than this share of all apps is to be removed
    #[arg(short = 't', long, value_name = "SHARE", default_value_t = 0.5, value_parser = crate::share)]
    kill_threshold: f64,

    /// Remove them however many they are
    #[arg(short, long)]
    force: bool,
}

/// # Errors
/// When a Marathon or ZooKeeper does not answer, or too much would be removed.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    clean(&arguments.which, arguments.dry_run, true)
}

/// # Errors
/// See [`run`].
pub(crate) fn run_as_before(arguments: &AsBefore) -> anyhow::Result<Outcome> {
    clean(&arguments.which, false, arguments.verbose)
}

fn clean(which: &Which, dry_run: bool, tells: bool) -> anyhow::Result<Outcome> {
    let settings = crate::settings()?;
    let Some(cluster) = crate::own_cluster(&settings) else { return Ok(Outcome::Usage) };
    let mut documents = Documents::new(&which.soa_dir);
    documents.refresh()?;
    let sensu = Sensu::of(&settings);
    let cleaner = Cleaner { documents, settings, sensu, cluster, tells };
    crate::block_on(cleaner.run(which, dry_run))
}

struct Cleaner {
    documents: Documents,
    settings: Settings,
    sensu: Option<Sensu>,
    cluster: Cluster,
    /// What is done goes to standard output.
    tells: bool,
}

impl Cleaner {
    async fn run(&self, which: &Which, dry_run: bool) -> anyhow::Result<Outcome> {
        let shards = Shards::of(&self.settings);
        let mut listed = Vec::new();
        for server in shards.all() {
            listed.push((Marathon(server), Marathon(server).apps().await?));
        }
        let all =
            listed.iter().flat_map(|(at, apps)| apps.iter().map(|app| (app.id.as_str(), *at)));
        let found = stale(all, |service, instance| self.stands(service, instance));
        for id in &found.foreign {
            complain(&format!("{id} is no instance of a service; it is left alone"));
        }
        if !which.force {
            found.within(which.kill_threshold)?;
        }
        let Stale { apps, .. } = found;
        // Apps of a service with a broken file stay, whatever becomes of it.
        let done =
            if crate::is_sound(&self.documents) { Outcome::Complete } else { Outcome::Incomplete };
        if dry_run {
            for (id, ..) in &apps {
                self.tell(&format!("would remove {id}"))?;
            }
            return Ok(done);
        }
        if apps.is_empty() {
            return Ok(done);
        }
        let zookeeper = zookeeper::connect(self.settings.zookeeper()?).await?;
        let mut outcome = done;
        for (id, marathon, job) in apps {
            if let Err(error) = self.remove(marathon, &zookeeper, id, &job).await {
                complain(&format!("{id}: {error:#}"));
                outcome = Outcome::Incomplete;
            }
        }
        Ok(outcome)
    }

    /// Whether it stands in soa-configs, as far as these can be read.
    fn stands(&self, service: &str, instance: &str) -> bool {
        let Some(files) = self.documents.service(service) else { return false };
        let mut names = load::names(files, Kind::Marathon, &self.cluster);
        names.any(|name| name == instance) || files.problems().next().is_some()
    }

    async fn remove(
        &self,
        marathon: Marathon<'_>,
        zookeeper: &Client,
        id: &str,
        job: &JobId,
    ) -> anyhow::Result<()> {
        // PaaSTA's own clean-up takes the second one, which its deployment does not know.
        let escaped = JobId { hashes: None, ..job.clone() }.format();
        let plain = format!("{}.{}", job.service, job.instance);
        let Some(deploying) = lock::take(zookeeper, &format!("/bounce/{escaped}")).await? else {
            return self.tell(&format!("{id} is being deployed; it is left for the next time"));
        };
        let cleaning = if plain == escaped {
            None
        } else {
            match lock::take(zookeeper, &format!("/bounce/{plain}")).await? {
                Some(lock) => Some(lock),
                None => {
                    deploying.release().await?;
                    return self.tell(&format!("{id} is being cleaned up by somebody else"));
                }
            }
        };
        let gone = removal::take_away(marathon, id).await;
        for lock in [Some(deploying), cleaning].into_iter().flatten() {
            lock.release().await.context("the lock is kept until the session ends")?;
        }
        gone?;
        self.tell(&format!("removed {id}"))?;
        self.announce(id, job).await;
        Ok(())
    }

    /// Tells Sensu and the log. What does not work there stops nothing.
    async fn announce(&self, id: &str, job: &JobId) {
        let nothing = ServiceDocuments::default();
        let files = self.documents.service(&job.service).unwrap_or(&nothing);
        for check in CHECKS {
            let name = format!("{check}.{}.{}", job.service, job.instance);
            let check = Check {
                name: &name,
                status: Status::Ok,
                output: REMOVED,
                cluster: self.cluster.as_str(),
                overrides: &Map::default(),
            };
            let event = match Event::of(files, check) {
                Ok(event) => event,
                Err(error) => {
                    complain(&format!("no event for {name}: {error}"));
                    continue;
                }
            };
            let (Some(event), Some(sensu)) = (event, &self.sensu) else { continue };
            if let Err(error) = sensu.tell(&event).await {
                complain(&format!("{:#}", anyhow::Error::from(error)));
            }
        }
        let name = id.trim_start_matches('/');
        let message = format!("Deleted stale marathon job that looks lost: {name}");
        let (cluster, now) = (self.cluster.as_str(), Timestamp::now());
        let line = LogLine::of_deploy(cluster, &job.service, &job.instance, &message, now);
        if let Err(error) = line.tell(&self.settings) {
            complain(&error);
        }
    }

    fn tell(&self, line: &str) -> anyhow::Result<()> {
        if self.tells {
            writeln!(io::stdout().lock(), "{line}")?;
        }
        Ok(())
    }
}
