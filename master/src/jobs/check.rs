//! `paasta-master chronos check`, and the old command `check_chronos_jobs`.

use std::io::{self, Write};

use clap::{Args, Parser};
use jiff::Timestamp;
use paasta_master::chronos::pass::Checked;

use super::{Host, SoaDir, Way};
use crate::{Outcome, block_on, complain};

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
    let checked = check(&host, *dry_run)?;
    for (_, finding) in &checked.findings {
        let first = finding.output.lines().next().unwrap_or_default();
        writeln!(io::stdout().lock(), "{first}")?;
    }
    let is_fine = checked.is_fine && host.is_sound();
    Ok(if is_fine { Outcome::Complete } else { Outcome::Incomplete })
}

pub(super) fn run_as_before(arguments: &AsBefore) -> anyhow::Result<Outcome> {
    let host = Host::load(&arguments.soa_dir, Way::as_before())?;
    let Some(host) = host else { return Ok(Outcome::Usage) };
    match check(&host, false) {
        Ok(_) => Ok(Outcome::Complete),
        Err(error) => {
            complain(&format!("CRITICAL: {error:#}"));
            Ok(Outcome::Critical)
        }
    }
}

/// Says what went wrong.
fn check(host: &Host, dry_run: bool) -> anyhow::Result<Checked> {
    let chronos = host.chronos()?;
    let pass = host.pass(&chronos, dry_run);
    let checked = block_on(async { Ok(pass.check(Timestamp::now()).await) })?;
    let checked = checked.map_err(|(error, complaints)| {
        complaints.iter().for_each(|line| complain(line));
        error
    })?;
    checked.complaints.iter().for_each(|line| complain(line));
    Ok(checked)
}
