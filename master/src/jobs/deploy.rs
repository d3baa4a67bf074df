//! `paasta-master chronos deploy`, and the old commands `deploy_chronos_jobs` and `setup_chronos_job`.

use std::io::{self, Write};

use clap::{Args, Parser};
use jiff::Zoned;
use paasta_master::chronos::{JobName, pass::Written};
use soa_configs::ids::JobId;

use super::{Host, SoaDir, Way, job_name};
use crate::{Outcome, block_on, complain};

/// Bring the jobs of Chronos in line with soa-configs: create those that are new, replace those that
/// changed.
///
/// Chronos is asked once for all of its jobs. A job is written when it is not there or its hash is another;
/// a run goes on, and what Chronos remembers of runs is kept. Parents are written before their children.
/// The team of each job hears how it went.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 a job could not be made or Chronos does not take it (each is told on standard
error; all others are done) or Chronos does not answer, 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master chronos deploy
  paasta-master chronos deploy --dry-run
  paasta-master chronos deploy batch.nightly batch.report")]
pub(super) struct Arguments {
    /// Only these jobs [default: all of this cluster]
    #[arg(value_name = "SERVICE.JOB", value_parser = job_name)]
    names: Vec<JobName>,

    #[command(flatten)]
    soa_dir: SoaDir,

    #[command(flatten)]
    way: Way,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Bring all jobs of Chronos in line with soa-configs.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master chronos deploy.
#[derive(Parser)]
#[command(name = "deploy_chronos_jobs", version)]
pub(super) struct OfAll {
    #[command(flatten)]
    soa_dir: SoaDir,

    /// Say what is done
    #[arg(short, long)]
    verbose: bool,
}

/// Bring one job of Chronos in line with soa-configs.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master chronos deploy.
#[derive(Parser)]
#[command(name = "setup_chronos_job", version)]
pub(super) struct OfOne {
    /// The job, as SERVICE.INSTANCE
    #[arg(value_name = "SERVICE.INSTANCE")]
    name: String,

    #[command(flatten)]
    soa_dir: SoaDir,

    /// Say what is done
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Arguments { names, soa_dir, way, dry_run } = arguments;
    let Some(host) = Host::load(soa_dir, way.clone())? else { return Ok(Outcome::Usage) };
    let which = if names.is_empty() { host.soa().names().collect() } else { names.clone() };
    let deployer = Deployer { host: &host, tells: true, dry_run: *dry_run };
    let outcome = deployer.run(which)?;
    let is_sound = !names.is_empty() || host.is_sound();
    Ok(if is_sound { outcome } else { Outcome::Incomplete })
}

pub(super) fn run_as_before(arguments: &OfAll) -> anyhow::Result<Outcome> {
    let OfAll { soa_dir, verbose } = arguments;
    let Some(host) = Host::load(soa_dir, Way::as_before())? else { return Ok(Outcome::Usage) };
    let deployer = Deployer { host: &host, tells: *verbose, dry_run: false };
    let outcome = deployer.run(host.soa().names().collect())?;
    Ok(if host.is_sound() { outcome } else { Outcome::Incomplete })
}

pub(super) fn run_one_as_before(arguments: &OfOne) -> anyhow::Result<Outcome> {
    let OfOne { name, soa_dir, verbose } = arguments;
    let Ok(JobId { service, instance, .. }) = JobId::parse(name) else {
        complain(&format!(
            "Invalid service instance '{name}' specified. Format is service.instance."
        ));
        return Ok(Outcome::Incomplete);
    };
    let host = Host::load_part(soa_dir, Way::as_before(), Some(&service))?;
    let Some(host) = host else { return Ok(Outcome::Usage) };
    let deployer = Deployer { host: &host, tells: *verbose, dry_run: false };
    deployer.run(vec![JobName::new(&service, &instance)])
}

struct Deployer<'h> {
    host: &'h Host,
    /// What is done goes to standard output.
    tells: bool,
    dry_run: bool,
}

impl Deployer<'_> {
    fn run(&self, names: Vec<JobName>) -> anyhow::Result<Outcome> {
        let chronos = self.host.chronos()?;
        let pass = self.host.pass(&chronos, self.dry_run);
        let deployed = block_on(async { Ok(pass.deploy(names, &Zoned::now()).await) })?;
        if self.tells {
            let mut out = io::stdout().lock();
            for Written { name, is_new } in &deployed.written {
                let done = match (self.dry_run, is_new) {
                    (true, true) => "would create",
                    (true, false) => "would update",
                    (false, true) => "created",
                    (false, false) => "updated",
                };
                writeln!(out, "{done} {name}")?;
            }
        }
        deployed.complaints.iter().for_each(|line| complain(line));
        Ok(if deployed.is_fine { Outcome::Complete } else { Outcome::Incomplete })
    }
}
