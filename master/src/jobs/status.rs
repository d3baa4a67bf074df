//! `paasta-master chronos status`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anyhow::Context;
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use paasta_master::chronos::{
    JobName, Listed,
    status::{UNDEPLOYED, text},
};

use super::{Host, SoaDir, Way, job_name};
use crate::{Outcome, block_on, complain};

/// Show how jobs stand: what is deployed, when they ran last and how, what they do now.
///
/// Reruns of a job are shown with it, the one that ran last first. Chronos is asked once for all jobs and once
/// for what they do; times are those of the clock of this host.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is shown, 1 a job does not stand in soa-configs or cannot be read (it is told on standard
error), or Chronos does not answer, 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master chronos status batch.nightly
  paasta-master chronos status")]
pub(super) struct Arguments {
    /// Only these jobs [default: all of this cluster]
    #[arg(value_name = "SERVICE.JOB", value_parser = job_name)]
    names: Vec<JobName>,

    #[command(flatten)]
    soa_dir: SoaDir,

    #[command(flatten)]
    way: Way,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Arguments { names, soa_dir, way } = arguments;
    let Some(host) = Host::load(soa_dir, way.clone())? else { return Ok(Outcome::Usage) };
    let chronos = host.chronos()?;
    let (listed, states) =
        block_on(async { Ok((chronos.jobs().await?, chronos.states().await?)) })?;
    let which = if names.is_empty() { host.soa().names().collect() } else { names.clone() };
    let mut outcome = Outcome::Complete;
    let mut out = io::stdout().lock();
    for (at, name) in which.iter().enumerate() {
        match of_instance(&host, name, &listed, &states) {
            Ok(text) => {
                let between = if at == 0 { "" } else { "\n" };
                write!(out, "{between}instance: {}\n{text}", name.dotted())?;
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                outcome = Outcome::Incomplete;
            }
        }
    }
    Ok(outcome)
}

fn of_instance(
    host: &Host,
    name: &JobName,
    listed: &[Listed],
    states: &BTreeMap<String, String>,
) -> anyhow::Result<String> {
    let Some(wish) = host.soa().wish(name).with_context(|| name.dotted())? else {
        return Ok(UNDEPLOYED.to_owned());
    };
    let own = listed.iter().filter(|job| job.paasta_name().is_some_and(|own| own.is_of(name)));
    let own: Vec<_> = own.map(|job| (job, states.get(&job.name).map(String::as_str))).collect();
    Ok(text(&wish, &own, Timestamp::now(), &TimeZone::system()))
}
