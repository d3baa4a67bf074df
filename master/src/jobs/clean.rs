//! `paasta-master chronos cleanup`, and the old command `cleanup_chronos_jobs`.

use std::io::{self, Write};

use clap::{Args, Parser};
use jiff::Timestamp;
use paasta_master::chronos::{
    cleanup::{Rules, as_before},
    pass::Allowed,
};

use super::{Host, SoaDir, Way};
use crate::{Outcome, block_on, complain};

/// Remove the jobs of Chronos that stand no longer in soa-configs, and reruns a day after their run.
///
/// Jobs that PaaSTA did not make are left alone: its jobs have a name of a service and an instance, and their
/// description is a hash. When a file of a service cannot be read, its jobs stay. The parent of a job that
/// stays, stays: Chronos would give the child its schedule.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 more would be removed than may be, something could not be removed, a file is
broken, or Chronos does not answer, 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master chronos cleanup --dry-run
  paasta-master chronos cleanup --kill-threshold 0.1")]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    way: Way,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Remove the jobs of Chronos that stand no longer in soa-configs.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master chronos cleanup.
#[derive(Parser)]
#[command(name = "cleanup_chronos_jobs", version)]
pub(super) struct AsBefore {
    #[command(flatten)]
    which: Which,
}

/// What counts as nobody's, and how much of it may go.
#[derive(Args)]
struct Which {
    #[command(flatten)]
    soa_dir: SoaDir,

    /// Remove nothing when more than this share of all jobs is to be removed; reruns do not count
    #[arg(short = 't', long, value_name = "SHARE", default_value_t = 0.5, value_parser = crate::share)]
    kill_threshold: f64,

    /// Remove them however many they are
    #[arg(short, long)]
    force: bool,

    /// Remove what PaaSTA's own clean-up removes: also jobs that PaaSTA never made, parents of jobs that
    /// stay, and all reruns of a job as soon as one of them is due
    #[arg(long)]
    as_before: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Arguments { which, way, dry_run } = arguments;
    let how = if *dry_run { How::DryRun } else { How::Telling };
    clean(which, way.clone(), how)
}

pub(super) fn run_as_before(arguments: &AsBefore) -> anyhow::Result<Outcome> {
    clean(&arguments.which, Way::as_before(), How::AsBefore)
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    DryRun,
    Telling,
    /// In the words of PaaSTA's own command.
    AsBefore,
}

fn clean(which: &Which, way: Way, how: How) -> anyhow::Result<Outcome> {
    let Some(host) = Host::load(&which.soa_dir, way)? else { return Ok(Outcome::Usage) };
    let chronos = host.chronos()?;
    let rules = if which.as_before { Rules::AsBefore } else { Rules::Safe };
    let most = (!which.force).then_some(which.kill_threshold);
    let pass = host.pass(&chronos, how == How::DryRun);
    let cleaned =
        block_on(async { Ok(pass.clean_up(Allowed { rules, most }, Timestamp::now()).await) })?;
    let staying = cleaned.staying.iter().filter(|_| how != How::AsBefore);
    staying.chain(&cleaned.complaints).for_each(|line| complain(line));
    let mut out = io::stdout().lock();
    let done = cleaned.jobs.iter().filter(|(_, is_done)| *is_done).map(|(name, _)| name);
    match how {
        How::AsBefore if cleaned.is_known => {
            out.write_all(as_before(&cleaned.tasks, &cleaned.jobs).as_bytes())?;
        }
        How::AsBefore => {}
        How::DryRun => {
            done.into_iter().try_for_each(|name| writeln!(out, "would remove {name}"))?
        }
        How::Telling => done.into_iter().try_for_each(|name| writeln!(out, "removed {name}"))?,
    }
    // Jobs of a service with a broken file stay, whatever becomes of it.
    Ok(if host.is_sound() && cleaned.is_fine { Outcome::Complete } else { Outcome::Incomplete })
}
