//! `paasta-master chronos rerun`, and the old command `chronos_rerun`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anyhow::Context;
use clap::{Args, Parser};
use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};
use paasta_master::chronos::{JobName, parents, rerun::Rerun};
use soa_configs::chronos::JobConfig;

use super::{Host, SoaDir, Way, job_name};
use crate::{Outcome, block_on};

/// Run a job once more, as if it were another date.
///
/// A copy of the job is sent to Chronos and starts at once; time variables in its command stand for the date.
/// The job itself is left alone. `paasta-master chronos cleanup` removes the copy a day after its run.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 the copies are in Chronos, 1 a job cannot be made or Chronos does not take it, 2 the arguments
are wrong or the cluster is not known.

Examples:
  paasta-master chronos rerun batch.nightly 2018-03-14T00:00:00
  paasta-master chronos rerun --run-all-related-jobs batch.report 2018-03-14T00:00:00")]
pub(super) struct Arguments {
    #[command(flatten)]
    what: What,

    #[command(flatten)]
    way: Way,
}

/// Run a job once more, as if it were another date.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master chronos rerun.
#[derive(Parser)]
#[command(name = "chronos_rerun", version)]
pub(super) struct AsBefore {
    #[command(flatten)]
    what: What,

    /// Say what is sent
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Args)]
struct What {
    /// The job, as SERVICE.JOB or "SERVICE JOB"
    #[arg(value_name = "JOB", value_parser = job_name)]
    name: JobName,

    /// The date, as 2018-03-14T00:00:00 by the clock of this host
    #[arg(value_name = "DATE", value_parser = date)]
    date: DateTime,

    #[command(flatten)]
    soa_dir: SoaDir,

    /// Run all jobs that are connected with it through parents, too, each after its parents
    #[arg(short = 'a', long)]
    run_all_related_jobs: bool,

    /// Run it also when it is disabled
    #[arg(short, long)]
    force_disabled: bool,
}

fn date(text: &str) -> Result<DateTime, String> {
    DateTime::strptime("%Y-%m-%dT%H:%M:%S", text)
        .map_err(|_| "expected a date such as 2018-03-14T00:00:00".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Arguments { what, way } = arguments;
    rerun(what, way.clone(), true)
}

pub(super) fn run_as_before(arguments: &AsBefore) -> anyhow::Result<Outcome> {
    rerun(&arguments.what, Way::as_before(), arguments.verbose)
}

fn rerun(what: &What, way: Way, tells: bool) -> anyhow::Result<Outcome> {
    let What { name, date, soa_dir, run_all_related_jobs, force_disabled } = what;
    let Some(host) = Host::load(soa_dir, way)? else { return Ok(Outcome::Usage) };
    let soa = host.soa();
    let (now, date) = (Zoned::now(), date.to_zoned(TimeZone::system())?);
    let rerun = Rerun::new(Timestamp::now(), *run_all_related_jobs, *force_disabled);
    // A job that cannot be read is no obstacle to others.
    let parents: BTreeMap<JobName, Vec<JobName>> = soa
        .names()
        .map(|name| {
            let config = soa.instance(&name).ok().and_then(|job| JobConfig::read(&job).ok());
            (name, config.map(|config| parents(&config)).unwrap_or_default())
        })
        .collect();
    let graph = parents.iter().map(|(name, parents)| (name, parents.as_slice())).collect();
    let mut copies = Vec::new();
    for name in rerun.order(&graph, name)? {
        let make = |at: &Zoned| soa.job(name, at).with_context(|| name.dotted());
        copies.push(rerun.copy(&make(&now)?, &make(&date)?));
    }
    let chronos = host.chronos()?;
    block_on(async {
        for copy in copies {
            chronos
                .post(copy.body, copy.is_dependent)
                .await
                .with_context(|| copy.name.to_string())?;
            if tells {
                writeln!(io::stdout().lock(), "created {}", copy.name)?;
            }
        }
        Ok(Outcome::Complete)
    })
}
