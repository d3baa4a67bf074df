//! `paasta-master chronos`, and the old commands around Chronos.

mod check;
mod clean;
mod deploy;
mod emergency;
mod list;
mod rerun;
mod status;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use paasta_master::chronos::{JobName, client::Chronos, pass::Pass, soa::Soa};
use soa_configs::{Cluster, documents::Documents, paasta::Settings, tree};

use crate::Outcome;

/// Bring Chronos in line with soa-configs, and look after its jobs.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Cleanup(clean::Arguments),
    Deploy(deploy::Arguments),
    List(list::Arguments),
    Rerun(rerun::Arguments),
    Restart(emergency::Restart),
    Start(emergency::Start),
    Status(status::Arguments),
    Stop(emergency::Stop),
}

/// # Errors
/// When Chronos or the system configuration is out of reach.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    match &arguments.command {
        Command::Check(arguments) => check::run(arguments),
        Command::Cleanup(arguments) => clean::run(arguments),
        Command::Deploy(arguments) => deploy::run(arguments),
        Command::List(arguments) => list::run(arguments),
        Command::Rerun(arguments) => rerun::run(arguments),
        Command::Restart(arguments) => emergency::restart(arguments),
        Command::Start(arguments) => emergency::start(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Stop(arguments) => emergency::stop(arguments),
    }
}

/// The names of PaaSTA's commands.
const OLD_NAMES: [&str; 6] = [
    "check_chronos_jobs",
    "chronos_rerun",
    "cleanup_chronos_jobs",
    "deploy_chronos_jobs",
    "list_chronos_jobs",
    "setup_chronos_job",
];

/// Some are installed with a prefix.
fn bare(name: &str) -> &str {
    name.strip_prefix("paasta_").unwrap_or(name)
}

pub(crate) fn is_old_name(name: &str) -> bool {
    OLD_NAMES.contains(&bare(name))
}

/// Runs PaaSTA's command of this name.
///
/// # Errors
/// See [`run`].
pub(crate) fn run_as_before(name: &str) -> anyhow::Result<Outcome> {
    match bare(name) {
        "check_chronos_jobs" => check::run_as_before(&check::AsBefore::parse()),
        "chronos_rerun" => rerun::run_as_before(&rerun::AsBefore::parse()),
        "cleanup_chronos_jobs" => clean::run_as_before(&clean::AsBefore::parse()),
        "deploy_chronos_jobs" => deploy::run_as_before(&deploy::OfAll::parse()),
        "list_chronos_jobs" => list::run(&list::AsBefore::parse().into()),
        _ => deploy::run_one_as_before(&deploy::OfOne::parse()),
    }
}

#[derive(Args)]
struct SoaDir {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long = "soa-dir", value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    dir: PathBuf,
}

/// How Chronos is reached, and who hears that it is not.
#[derive(Clone, Args)]
struct Way {
    /// How many seconds each Chronos server is given for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,

    /// The team that runs Chronos: it is told by an event whether Chronos answers. Without it only standard
    /// error tells
    #[arg(long)]
    team: Option<String>,
}

impl Way {
    fn as_before() -> Self {
        Self { timeout: 30, team: None }
    }
}

/// What this host knows of its cluster.
struct Host {
    documents: Documents,
    settings: Settings,
    cluster: Cluster,
    way: Way,
}

impl Host {
    /// `None`: the cluster is not known, and that was said.
    fn load(soa_dir: &SoaDir, way: Way) -> anyhow::Result<Option<Self>> {
        Self::load_part(soa_dir, way, None)
    }

    /// The same, with one service only.
    fn load_part(
        soa_dir: &SoaDir,
        way: Way,
        service: Option<&str>,
    ) -> anyhow::Result<Option<Self>> {
        let settings = crate::settings()?;
        let Some(cluster) = crate::own_cluster(&settings) else { return Ok(None) };
        let mut documents = Documents::new(&soa_dir.dir);
        match service {
            Some(service) => drop(documents.refresh_service(service)),
            None => drop(documents.refresh()?),
        }
        Ok(Some(Self { documents, settings, cluster, way }))
    }

    fn soa(&self) -> Soa<'_> {
        let Self { documents, settings, cluster, .. } = self;
        Soa { documents, settings, cluster }
    }

    fn pass<'h>(&'h self, chronos: &'h Chronos, is_dry: bool) -> Pass<'h> {
        Pass { soa: self.soa(), chronos, team: self.way.team.as_deref(), is_dry }
    }

    fn chronos(&self) -> anyhow::Result<Chronos> {
        let servers = self.settings.chronos.as_ref();
        let servers = servers.context("`chronos_config` is not in the system configuration")?;
        Ok(Chronos::new(servers).with_patience(Duration::from_secs(self.way.timeout)))
    }

    /// See [`crate::is_sound`].
    fn is_sound(&self) -> bool {
        crate::is_sound(&self.documents)
    }
}

/// As `service.instance`, or as Chronos writes it.
fn job_name(text: &str) -> Result<JobName, String> {
    let name = JobName::of_parent(text).or_else(|| JobName::parse(text));
    name.filter(|name| name.prefix.is_none()).ok_or_else(|| "expected SERVICE.JOB".to_owned())
}
