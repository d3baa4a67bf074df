//! `paasta-master check-replication`, and the old command `check_marathon_services_replication`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser};
use hyper::Method;
use jiff::Timestamp;
use monitoring::sensu::Sensu;
use paasta_master::{
    events::{Check, Event},
    http::{self, Question},
    log_line::LogLine,
    marathon::{
        Marathon, Shards,
        running::{Odd, Task},
    },
    mesos::{self, Mesos},
    replication::{self, Agent, Asked, Finding, by_location, by_tasks},
    scaled::Counts,
    url_format::{Field, UrlFormat, Values},
};
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    ids::JobId,
    json,
    load::{self, Deployment, Instance, Kind, LoadError},
    marathon::MarathonConfig,
    paasta::Settings,
    tree,
};

use crate::{Outcome, complain};

/// As PaaSTA waits for HAProxy, and how many hosts of a location are asked.
const OF_HAPROXY: (Duration, usize) = (Duration::from_secs(1), 3);
const MOST_BYTES: usize = 64 << 20;
const CHECK: &str = "check_marathon_services_replication";

/// Tell Sensu of every deployed instance of this cluster whether enough of it is there.
///
/// An instance in SmartStack under its own name is counted in HAProxy on one host of each location of its
/// `discover` type, any other by its healthy tasks in Marathon. Fewer than `replication_threshold` percent
/// (50) of what it should have are critical.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 everything was looked at, 1 something could not be (it is told on standard error; of such an
instance no event is sent), 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master check-replication
  paasta-master check-replication --dry-run")]
pub(crate) struct Arguments {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Say what is found, and tell nobody else
    #[arg(long)]
    dry_run: bool,
}

/// Tell Sensu of every deployed instance of this cluster whether enough of it is there.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master check-replication.
#[derive(Parser)]
#[command(name = "check_marathon_services_replication", version)]
pub(crate) struct AsBefore {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Say what is found
    #[arg(short, long)]
    verbose: bool,
}

/// # Errors
/// When Marathon or Mesos does not answer: then nobody is told anything.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    check(&arguments.soa_dir, true, !arguments.dry_run)
}

/// # Errors
/// See [`run`].
pub(crate) fn run_as_before(arguments: &AsBefore) -> anyhow::Result<Outcome> {
    check(&arguments.soa_dir, arguments.verbose, true)
}

fn check(soa_dir: &std::path::Path, tells: bool, sends: bool) -> anyhow::Result<Outcome> {
    let settings = crate::settings()?;
    let Some(cluster) = crate::own_cluster(&settings) else { return Ok(Outcome::Usage) };
    let mut documents = Documents::new(soa_dir);
    documents.refresh()?;
    crate::block_on(async {
        let mut checker = Checker::new(settings, cluster, tells, sends).await?;
        checker.all(&documents).await
    })
}

struct Checker {
    settings: Settings,
    sensu: Option<Sensu>,
    cluster: Cluster,
    /// Of HAProxy's statistics.
    url: UrlFormat,
    /// What is found goes to standard output.
    tells: bool,
    /// Sensu and the log are told.
    sends: bool,
    tasks: Vec<Result<Task, Odd>>,
    agents: Vec<Agent>,
    /// What HAProxy said in each location: one look serves all instances.
    statistics: BTreeMap<String, Option<String>>,
    counts: Option<Counts>,
}

impl Checker {
    async fn new(
        settings: Settings,
        cluster: Cluster,
        tells: bool,
        sends: bool,
    ) -> anyhow::Result<Self> {
        let mut tasks = Vec::new();
        for server in Shards::of(&settings).all() {
            tasks.extend(Marathon(server).tasks().await?);
        }
        let leader = Mesos::read(&settings.mesos_config_path)?.leader().await?;
        let agents = mesos::agents(&leader).await?;
        let format = &settings.synapse_haproxy_url_format;
        let url = UrlFormat::parse(format, &[Field::Host, Field::Port])
            .context("synapse_haproxy_url_format")?;
        let (statistics, counts, sensu) = (BTreeMap::new(), None, Sensu::of(&settings));
        Ok(Self { settings, sensu, cluster, url, tells, sends, tasks, agents, statistics, counts })
    }

    async fn all(&mut self, documents: &Documents) -> anyhow::Result<Outcome> {
        let is_sound = crate::is_sound(documents);
        let mut outcome = if is_sound { Outcome::Complete } else { Outcome::Incomplete };
        for (service, files) in documents.services() {
            for name in load::names(files, Kind::Marathon, &self.cluster.clone()) {
                if let Err(error) = self.one(files, service, name).await {
                    complain(&format!("{service}.{name}: {error:#}"));
                    outcome = Outcome::Incomplete;
                }
            }
        }
        Ok(outcome)
    }

    async fn one(
        &mut self,
        files: &ServiceDocuments,
        service: &str,
        name: &str,
    ) -> anyhow::Result<()> {
        let instance = load::instance(files, Kind::Marathon, service, name, &self.cluster)?;
        match Deployment::v1(files, &instance) {
            Err(LoadError::NoDeployments(_)) => return Ok(()),
            deployment if deployment.as_ref().is_ok_and(|d| d.docker_image.is_empty()) => {
                return Ok(());
            }
            deployment => drop(deployment?),
        }
        let config = MarathonConfig::read(&instance)?;
        let asked = self.asked(&instance, &config).await?;
        let finding = if replication::is_counted_in_haproxy(&config, &asked) {
            by_location(&asked, &self.served(&asked, &config).await?)
        } else {
            by_tasks(&asked, self.healthy(&instance)?)
        };
        if self.tells {
            writeln!(io::stdout().lock(), "{}", finding.output.trim_end())?;
        }
        if self.sends {
            self.announce(files, &instance, &config, &finding).await?;
        }
        Ok(())
    }

    async fn asked(
        &mut self,
        instance: &Instance,
        config: &MarathonConfig,
    ) -> anyhow::Result<Asked> {
        let scaled = match (&config.max_instances, &mut self.counts) {
            (None, _) => None,
            (Some(_), Some(counts)) => counts.of(&instance.service, &instance.instance).await?,
            (Some(_), none) => {
                let counts = none.insert(Counts::connect(self.settings.zookeeper()?).await?);
                counts.of(&instance.service, &instance.instance).await?
            }
        };
        Ok(Asked {
            name: instance.to_string(),
            expected: json::canonical(&config.count(scaled))?.parse()?,
            threshold: json::canonical(&config.replication_threshold)?.parse()?,
        })
    }

    /// # Errors
    /// When Marathon says something of a task of its that is not understood.
    fn healthy(&self, instance: &Instance) -> Result<u64, Odd> {
        let now = Timestamp::now();
        let is_ours = |id: &str| JobId::matches(&instance.service, &instance.instance, id);
        let mut healthy = 0;
        for task in &self.tasks {
            match task {
                Ok(task) if is_ours(&task.app_id) => {
                    healthy += u64::from(replication::counts(task, now));
                }
                Err(odd) if is_ours(&odd.app) => return Err(odd.clone()),
                _ => {}
            }
        }
        Ok(healthy)
    }

    async fn served(
        &mut self,
        asked: &Asked,
        config: &MarathonConfig,
    ) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut barred = config.monitoring_blacklist()?;
        barred.extend(config.container.deploy_blacklist.iter().cloned());
        barred.extend(self.settings.deploy_blacklist.iter().cloned());
        let agents = std::mem::take(&mut self.agents);
        let mut served = BTreeMap::new();
        let mut unseen = None;
        for (location, hosts) in
            replication::locations(&agents, &config.namespace.discover, &barred)
        {
            let statistics = self.statistics(location, &hosts).await;
            let up = statistics.and_then(|text| replication::servers_up(text, &asked.name));
            match up {
                Some(up) => drop(served.insert(location.to_owned(), up)),
                None => unseen = Some(format!("no HAProxy in {location} says what it serves")),
            }
        }
        self.agents = agents;
        unseen.map_or(Ok(served), |unseen| Err(anyhow::anyhow!(unseen)))
    }

    async fn statistics(&mut self, location: &str, hosts: &[&str]) -> Option<&str> {
        if !self.statistics.contains_key(location) {
            let said = self.ask_one_of(hosts).await;
            self.statistics.insert(location.to_owned(), said);
        }
        self.statistics.get(location)?.as_deref()
    }

    async fn ask_one_of(&self, hosts: &[&str]) -> Option<String> {
        let (patience, at_most) = OF_HAPROXY;
        for host in hosts.iter().take(at_most) {
            let (service, instance, namespace) = ("", "", "");
            let port = Some(self.settings.synapse_port);
            let filled = self.url.fill(&Values { host, port, service, instance, namespace });
            let url = match filled {
                Ok(url) => url,
                Err(error) => {
                    complain(&error.to_string());
                    continue;
                }
            };
            let (method, url, login, body, most) =
                (Method::GET, url.as_str(), None, "", MOST_BYTES);
            match http::ask(Question { method, url, login, body, patience, most }).await {
                Ok((status, text)) if status.is_success() => {
                    return Some(String::from_utf8_lossy(&text).into_owned());
                }
                Ok((status, _)) => complain(&format!("{url} answers {status}")),
                Err(error) => complain(&format!("{:#}", anyhow::Error::from(error))),
            }
        }
        None
    }

    async fn announce(
        &self,
        files: &ServiceDocuments,
        instance: &Instance,
        config: &MarathonConfig,
        finding: &Finding,
    ) -> anyhow::Result<()> {
        let Finding { status, output } = finding;
        let name = format!("{CHECK}.{instance}");
        let overrides = replication::overrides(files, config);
        let (cluster, overrides) = (self.cluster.as_str(), &overrides);
        let check = Check { name: &name, status: *status, output, cluster, overrides };
        if let (Some(event), Some(sensu)) = (Event::of(files, check)?, &self.sensu)
            && let Err(error) = sensu.tell(&event).await
        {
            complain(&format!("{:#}", anyhow::Error::from(error)));
        }
        let message = format!("Replication: {output}");
        let (service, own, now) = (&instance.service, &instance.instance, Timestamp::now());
        let line = LogLine::of_monitoring(cluster, service, own, &message, now);
        // A log that does not take a line is no reason to call the instance unseen.
        line.tell(&self.settings).unwrap_or_else(|error| complain(&error));
        Ok(())
    }
}
