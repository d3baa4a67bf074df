//! `paasta-master chronos cleanup`, and the old command `cleanup_chronos_jobs`.

use std::io::{self, Write};

use clap::{Args, Parser};
use jiff::Timestamp;
use paasta_master::{
    chronos::{
        JobName, Listed,
        cleanup::{self, REMOVED, Rules, Stale, Standing, stale},
        client::{self, Chronos},
        telling::Telling,
    },
    events::Status,
};
use soa_configs::{
    chronos::JobConfig,
    load::{self, Kind},
    yaml::Map,
};

use super::{Host, SoaDir, Way, finish, length};
use crate::{Outcome, block_on, complain};

const CHECK: &str = "check_chronos_jobs";
/// So many questions in a row that no server answers mean that Chronos is gone.
const IN_A_ROW: usize = 2;

/// Remove the jobs of Chronos that stand no longer in soa-configs, and reruns a day after their run.
///
/// Jobs that PaaSTA did not make are left alone: its jobs have a name of a service and an instance, and their
/// description is a hash. When a file of a service cannot be read, its jobs stay. The parent of a job that
/// stays, stays: Chronos would give the child its schedule.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 more would be removed than may be, something could not be removed, or Chronos
does not answer, 2 the arguments are wrong or the cluster is not known.

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
    block_on(Cleaner { host: &host, how }.run(which))
}

struct Cleaner<'h> {
    host: &'h Host,
    how: How,
}

impl Cleaner<'_> {
    async fn run(&self, which: &Which) -> anyhow::Result<Outcome> {
        let chronos = self.host.chronos()?;
        let mut telling = self.host.telling();
        let listed = match self.host.listed(&chronos, &mut telling).await {
            Ok(listed) => listed,
            Err(error) => {
                finish(telling).await;
                return Err(error.into());
            }
        };
        let now = Timestamp::now();
        let rules = if which.as_before { Rules::AsBefore } else { Rules::Safe };
        let found = stale(&listed, |name| self.standing(name, now), rules, now);
        self.tell_what_stays(&found);
        if !which.force
            && let Err(error) = found.within(which.kill_threshold)
        {
            finish(telling).await;
            return Err(error.into());
        }
        let outcome = if self.how == How::DryRun {
            let mut out = io::stdout().lock();
            for job in &found.jobs {
                writeln!(out, "would remove {}", job.name)?;
            }
            Outcome::Complete
        } else {
            let standing = |name: &JobName| self.standing(name, now);
            self.remove(&found.jobs, &listed, standing, &chronos, &mut telling).await?
        };
        finish(telling).await;
        Ok(outcome)
    }

    fn tell_what_stays(&self, found: &Stale<'_>) {
        if self.how == How::AsBefore {
            return;
        }
        for name in &found.foreign {
            complain(&format!("{name} is no job that PaaSTA made; it is left alone"));
        }
        for (name, child) in &found.needed {
            complain(&format!("{name} is nobody's, but a parent of {child}; it is left alone"));
        }
    }

    /// What soa-configs say of an instance, as far as these can be read.
    fn standing(&self, name: &JobName, now: Timestamp) -> Standing {
        let Some(files) = self.host.documents.service(&name.service) else { return Standing::Gone };
        let mut names = load::names(files, Kind::Chronos, &self.host.cluster);
        if !names.any(|known| known == name.instance) {
            let is_known = files.problems().next().is_none();
            return if is_known { Standing::Gone } else { Standing::Unknown };
        }
        let config = self.host.soa().instance(name).ok();
        match config.and_then(|instance| JobConfig::read(&instance).ok()) {
            Some(config) => {
                let interval = self.host.interval(&config, now).and_then(length);
                Standing::Stands { interval }
            }
            None => Standing::Unknown,
        }
    }

    async fn remove(
        &self,
        jobs: &[&Listed],
        listed: &[Listed],
        standing: impl Fn(&JobName) -> Standing,
        chronos: &Chronos,
        telling: &mut Telling<'_>,
    ) -> anyhow::Result<Outcome> {
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        let tasks = each(&names, "tasks are not stopped", |name| chronos.kill_tasks(name)).await;
        let removed = each(&names, "it is not removed", |name| chronos.delete(name)).await;
        let done = removed.iter().filter(|(_, is_done)| *is_done).map(|(name, _)| *name);
        for name in cleanup::over(listed, &done.collect::<Vec<_>>(), standing) {
            let told = (Status::Ok, REMOVED);
            telling.event(&self.host.documents, CHECK, &name, told, &Map::default());
        }
        let mut out = io::stdout().lock();
        if self.how == How::AsBefore {
            out.write_all(cleanup::as_before(&tasks, &removed).as_bytes())?;
        } else {
            for (name, _) in removed.iter().filter(|(_, is_done)| *is_done) {
                writeln!(out, "removed {name}")?;
            }
        }
        let is_done = tasks.iter().chain(&removed).all(|(_, is_done)| *is_done);
        Ok(if is_done { Outcome::Complete } else { Outcome::Incomplete })
    }
}

/// Asks the same of all, and whether it was done; what fails stops no other, unless Chronos is gone.
async fn each<'n, F>(
    names: &[&'n str],
    otherwise: &str,
    ask: impl Fn(&'n str) -> F,
) -> Vec<(&'n str, bool)>
where
    F: Future<Output = Result<(), client::Error>>,
{
    let mut outcomes = Vec::new();
    let mut unanswered = 0;
    for name in names {
        if unanswered == IN_A_ROW {
            outcomes.push((*name, false));
            continue;
        }
        let result = ask(name).await;
        unanswered =
            if result.as_ref().is_err_and(client::Error::is_gone) { unanswered + 1 } else { 0 };
        outcomes.push((*name, result.is_ok()));
        if let Err(error) = result {
            complain(&format!("{name}: {otherwise}: {:#}", anyhow::Error::from(error)));
        }
    }
    outcomes
}
