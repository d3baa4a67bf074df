//! `paasta-master chronos deploy`, and the old commands `deploy_chronos_jobs` and `setup_chronos_job`.

use std::io::{self, Write};

use clap::{Args, Parser};
use jiff::Zoned;
use paasta_master::{
    chronos::{
        JobName, Listed,
        client::Chronos,
        pass::{Report, Wanted, carry_out},
        sync::{self, Done, Plan},
        telling::Telling,
    },
    events::Status,
};
use soa_configs::ids::JobId;

use super::{Host, SoaDir, Way, finish, job_name};
use crate::{Outcome, block_on, complain};

const CHECK: &str = "setup_chronos_job";

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
    let pass = Pass { host: &host, tells: true, dry_run: *dry_run };
    let outcome = block_on(pass.run(which))?;
    let is_sound = !names.is_empty() || host.is_sound();
    Ok(if is_sound { outcome } else { Outcome::Incomplete })
}

pub(super) fn run_as_before(arguments: &OfAll) -> anyhow::Result<Outcome> {
    let OfAll { soa_dir, verbose } = arguments;
    let Some(host) = Host::load(soa_dir, Way::as_before())? else { return Ok(Outcome::Usage) };
    let pass = Pass { host: &host, tells: *verbose, dry_run: false };
    let outcome = block_on(pass.run(host.soa().names().collect()))?;
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
    let pass = Pass { host: &host, tells: *verbose, dry_run: false };
    block_on(pass.run(vec![JobName::new(&service, &instance)]))
}

struct Pass<'h> {
    host: &'h Host,
    /// What is done goes to standard output.
    tells: bool,
    dry_run: bool,
}

impl Pass<'_> {
    async fn run(&self, names: Vec<JobName>) -> anyhow::Result<Outcome> {
        let host = self.host;
        let chronos = host.chronos()?;
        let mut telling = host.telling();
        let wanted = host.soa().make(names, &Zoned::now());
        // What makes no job needs no Chronos.
        let listed = if wanted.jobs.is_empty() {
            Vec::new()
        } else {
            match host.listed(&chronos, &mut telling).await {
                Ok(listed) => listed,
                Err(error) => {
                    finish(telling).await;
                    return Err(error.into());
                }
            }
        };
        let plan = sync::plan(&wanted.jobs, &listed);
        if self.dry_run {
            return self.foresee(&plan, &wanted);
        }
        let report = self.carry_out(&plan, &listed, &chronos, &mut telling).await?;
        let unmade = wanted.unmade.into_iter().map(|(name, error)| (name, Done::NotMade(error)));
        let report = report.into_iter().chain(unmade).collect();
        let outcome = self.announce(&report, &mut telling);
        finish(telling).await;
        Ok(outcome)
    }

    async fn carry_out(
        &self,
        plan: &Plan<'_>,
        listed: &[Listed],
        chronos: &Chronos,
        telling: &mut Telling<'_>,
    ) -> anyhow::Result<Report> {
        let report = carry_out(plan, listed, chronos, telling).await;
        if self.tells {
            let mut out = io::stdout().lock();
            for write in &plan.writes {
                if report.get(&write.job.name) == Some(&Done::Written) {
                    let done = if write.past.is_some() { "updated" } else { "created" };
                    writeln!(out, "{done} {}", write.job.name)?;
                }
            }
        }
        Ok(report)
    }

    fn foresee(&self, plan: &Plan<'_>, wanted: &Wanted) -> anyhow::Result<Outcome> {
        let mut out = io::stdout().lock();
        for write in &plan.writes {
            let what = if write.past.is_some() { "update" } else { "create" };
            writeln!(out, "would {what} {}", write.job.name)?;
        }
        let mut outcome = Outcome::Complete;
        for cycle in &plan.cycles {
            let names: Vec<JobName> = cycle.iter().map(|name| (*name).clone()).collect();
            complain(&Done::Cycle(names).reason());
            outcome = Outcome::Incomplete;
        }
        for (name, error) in &wanted.unmade {
            complain(&format!("{}: {error}", name.dotted()));
            if !error.is_not_deployed() {
                outcome = Outcome::Incomplete;
            }
        }
        Ok(outcome)
    }

    /// One line for each job that is not as it should be, and an event for each job; of a Chronos that is
    /// gone, one line for all.
    fn announce(&self, report: &Report, telling: &mut Telling<'_>) -> Outcome {
        let soa = self.host.soa();
        let mut outcome = Outcome::Complete;
        let mut left = 0;
        let mut gone = None;
        for (name, done) in report {
            if !done.is_fine() {
                outcome = Outcome::Incomplete;
            }
            match done.event(name, self.host.cluster.as_str()) {
                Some((status, output)) => {
                    if !matches!(done, Done::Unchanged | Done::Written) {
                        let reason = done.reason().replace('\n', "; ");
                        complain(&format!("{}: {reason}", name.dotted()));
                    }
                    let overrides = sync::overrides(soa.instance(name).ok().as_ref());
                    telling.event(soa.documents, CHECK, name, (status, &output), &overrides);
                }
                None => {
                    left += 1;
                    gone = Some(done.reason()).filter(|_| matches!(done, Done::Gone(_))).or(gone);
                }
            }
        }
        if let Some(reason) = gone {
            complain(&format!("{reason}; {left} jobs are left for the next pass"));
            if let Some(team) = &self.host.way.team {
                let output = format!("Chronos does not answer: {reason}");
                telling.event_of_chronos(team, (Status::Critical, &output));
            }
        }
        outcome
    }
}
