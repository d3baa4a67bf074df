//! `paasta-master chronos check`, and the old command `check_chronos_jobs`.

use std::io::{self, Write};

use clap::{Args, Parser};
use jiff::Timestamp;
use paasta_master::{
    chronos::{
        Interval, JobName, Listed,
        check::{self, Asked, Finding},
        client::Chronos,
        telling::Telling,
    },
    events,
};
use soa_configs::{chronos::JobConfig, documents::ServiceDocuments, yaml::Map};

use super::{Host, SoaDir, Way};
use crate::{Outcome, block_on, complain};

const CHECK: &str = "check_chronos_jobs";

/// Tell Sensu of every job of this cluster how its last run went.
///
/// A job is critical when its last run failed, or when it is stuck: it should have run again an interval after
/// its last run, and even the time that 99 of 100 of its runs take at most is over. Chronos is asked once for
/// all jobs.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 everything was looked at, 1 something could not be (it is told on standard error), or Chronos
does not answer (then nobody is told anything of a job), 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master chronos check
  paasta-master chronos check --dry-run --timeout 5")]
pub(super) struct Arguments {
    #[command(flatten)]
    soa_dir: SoaDir,

    #[command(flatten)]
    way: Way,

    /// Say what is found, and tell nobody else
    #[arg(long)]
    dry_run: bool,
}

/// Tell Sensu of every job of this cluster how its last run went.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master chronos check. Exit status: 0,
/// 2 Chronos does not answer.
#[derive(Parser)]
#[command(name = "check_chronos_jobs", version)]
pub(super) struct AsBefore {
    #[command(flatten)]
    soa_dir: SoaDir,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Arguments { soa_dir, way, dry_run } = arguments;
    let Some(host) = Host::load(soa_dir, way.clone())? else { return Ok(Outcome::Usage) };
    let outcome = block_on(Checker { host: &host, tells: true, sends: !dry_run }.run())?;
    Ok(if host.is_sound() { outcome } else { Outcome::Incomplete })
}

pub(super) fn run_as_before(arguments: &AsBefore) -> anyhow::Result<Outcome> {
    let host = Host::load(&arguments.soa_dir, Way::as_before())?;
    let Some(host) = host else { return Ok(Outcome::Usage) };
    match block_on(Checker { host: &host, tells: false, sends: true }.run()) {
        Ok(_) => Ok(Outcome::Complete),
        Err(error) => {
            complain(&format!("CRITICAL: {error:#}"));
            Ok(Outcome::Critical)
        }
    }
}

struct Checker<'h> {
    host: &'h Host,
    /// What is found goes to standard output.
    tells: bool,
    /// Sensu is told.
    sends: bool,
}

impl Checker<'_> {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let chronos = self.host.chronos()?;
        let pass = self.host.pass(&chronos, !self.sends);
        let mut telling = pass.telling();
        let listed = match pass.list(&mut telling).await {
            Ok(listed) => listed,
            Err(error) => {
                if self.sends {
                    finish(telling).await;
                }
                return Err(error.into());
            }
        };
        let newest = check::newest(&listed);
        let mut outcome = Outcome::Complete;
        for name in self.host.soa().names() {
            let job = newest.get(&name).copied();
            if let Err(error) = self.one(&name, job, &chronos, &mut telling).await {
                complain(&format!("{}: {error:#}", name.dotted()));
                outcome = Outcome::Incomplete;
            }
        }
        if self.sends {
            finish(telling).await;
        }
        Ok(outcome)
    }

    async fn one(
        &self,
        name: &JobName,
        job: Option<&Listed>,
        chronos: &Chronos,
        telling: &mut Telling<'_>,
    ) -> anyhow::Result<()> {
        let documents = &self.host.documents;
        let files = documents.service(&name.service);
        let Some(files) = files.filter(|files| files.get("deployments.json").is_some()) else {
            return Ok(());
        };
        let config = JobConfig::read(&self.host.soa().instance(name)?)?;
        let Some((finding, overrides)) = self.find(name, &config, files, job, chronos).await?
        else {
            return Ok(());
        };
        if self.tells {
            let first = finding.output.lines().next().unwrap_or_default();
            writeln!(io::stdout().lock(), "{first}")?;
        }
        telling.event(documents, CHECK, name, (finding.status, &finding.output), &overrides);
        Ok(())
    }

    /// `None`: it never ran.
    async fn find(
        &self,
        name: &JobName,
        config: &JobConfig,
        files: &ServiceDocuments,
        job: Option<&Listed>,
        chronos: &Chronos,
    ) -> anyhow::Result<Option<(Finding, Map)>> {
        let now = Timestamp::now();
        let asked = Asked {
            name,
            cluster: self.host.cluster.as_str(),
            is_disabled: !config.disabled.is_falsy(),
            schedule: config.schedule.as_deref(),
            zone: config.schedule_time_zone.as_deref(),
            interval: Interval::of_job(config, now),
        };
        let run_time = match job.filter(|job| check::depends_on_run_time(&asked, job, now)) {
            Some(job) => chronos.run_time(&job.name).await?,
            None => None,
        };
        let Some(finding) = check::judge(&asked, job, run_time, now) else { return Ok(None) };
        let mut overrides = events::of_instance(files, &config.container.monitoring, "15m");
        let finding = check::remind(finding, &mut overrides, asked.interval);
        Ok(Some((finding, overrides)))
    }
}

/// Sends the events and says what went wrong.
async fn finish(telling: Telling<'_>) {
    telling.send().await.iter().for_each(|problem| complain(problem));
}
