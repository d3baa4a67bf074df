//! `paasta-master chronos start`, `stop` and `restart`: acting on Chronos at once, whatever soa-configs say of
//! when a job runs (chronos-sync.md §12).

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use jiff::Zoned;
use paasta_master::chronos::{
    Job, JobName,
    client::{Chronos, Definition},
    telling::Telling,
};

use super::{Host, SoaDir, Way, job_name};
use crate::{Outcome, block_on, complain};

#[derive(Args)]
struct What {
    /// The job, as SERVICE.JOB
    #[arg(value_name = "SERVICE.JOB", value_parser = job_name)]
    name: JobName,

    #[command(flatten)]
    soa_dir: SoaDir,

    #[command(flatten)]
    way: Way,
}

/// Run a job at once, besides its schedule (`paasta emergency-start`).
///
/// It is written to Chronos as soa-configs have it and started. A job that is disabled is left alone.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is started, 1 it is disabled, cannot be made, or Chronos does not take it, 2 the arguments are
wrong or the cluster is not known.

Example:
  paasta-master chronos start batch.nightly")]
pub(super) struct Start {
    #[command(flatten)]
    what: What,
}

/// Stop what runs of a job and of its reruns, and start it no more (`paasta emergency-stop`).
///
/// It stays disabled in Chronos until its definition changes, or until it is started.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is stopped, 1 Chronos does not have it or does not stop it, 2 the arguments are wrong or the
cluster is not known.

Example:
  paasta-master chronos stop batch.nightly")]
pub(super) struct Stop {
    #[command(flatten)]
    what: What,
}

/// Stop what runs of a job and run it anew (`paasta emergency-restart`). Reruns go on.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is started anew, 1 it is disabled, cannot be made, or Chronos does not take it, 2 the arguments
are wrong or the cluster is not known.

Example:
  paasta-master chronos restart batch.nightly")]
pub(super) struct Restart {
    #[command(flatten)]
    what: What,
}

pub(super) fn start(arguments: &Start) -> anyhow::Result<Outcome> {
    act(&arguments.what, async |hand| match hand.ready()? {
        Some(job) => hand.run(&job).await,
        None => Ok(Outcome::Incomplete),
    })
}

pub(super) fn stop(arguments: &Stop) -> anyhow::Result<Outcome> {
    act(&arguments.what, async |hand| hand.stop(true).await)
}

pub(super) fn restart(arguments: &Restart) -> anyhow::Result<Outcome> {
    act(&arguments.what, async |hand| {
        let Some(job) = hand.ready()? else { return Ok(Outcome::Incomplete) };
        // What is not there yet need not be stopped.
        hand.stop(false).await?;
        hand.run(&job).await
    })
}

fn act(
    what: &What,
    action: impl AsyncFnOnce(&mut Hand<'_>) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let What { name, soa_dir, way } = what;
    let host = Host::load_part(soa_dir, way.clone(), Some(&name.service))?;
    let Some(host) = host else { return Ok(Outcome::Usage) };
    let chronos = host.chronos()?;
    let telling = host.pass(&chronos, false).telling();
    let mut hand = Hand { host: &host, name, chronos: &chronos, telling };
    block_on(async {
        let outcome = action(&mut hand).await;
        hand.telling.send().await.iter().for_each(|problem| complain(problem));
        outcome
    })
}

struct Hand<'h> {
    host: &'h Host,
    name: &'h JobName,
    chronos: &'h Chronos,
    telling: Telling<'h>,
}

impl Hand<'_> {
    /// The job as soa-configs have it. `None`: it may not run, and that was said.
    fn ready(&self) -> anyhow::Result<Option<Job>> {
        let name = self.name;
        let job = self.host.soa().job(name, &Zoned::now()).with_context(|| name.dotted())?;
        if job.is_disabled() {
            complain("You cannot emergency start a disabled job. Run `paasta start` first.");
            return Ok(None);
        }
        Ok(Some(job))
    }

    async fn run(&mut self, job: &Job) -> anyhow::Result<Outcome> {
        let name = self.name;
        let listed = self.chronos.jobs().await?;
        let listed = listed.iter().find(|listed| listed.name == name.to_string());
        let past = listed.map(|listed| listed.past.fields()).unwrap_or_default();
        self.chronos.put(job.request(&past), job.is_dependent()).await?;
        self.chronos.run(&name.to_string()).await?;
        self.telling.log(name, &format!("EmergencyStart: {name} runs at once"), true);
        writeln!(io::stdout().lock(), "started {name}")?;
        Ok(Outcome::Complete)
    }

    async fn stop(&mut self, with_reruns: bool) -> anyhow::Result<Outcome> {
        let mut is_found = false;
        for job in self.chronos.definitions().await? {
            let Some((name, own)) = named(&job) else { continue };
            if !own.is_of(self.name) || own.is_temporary() && !with_reruns {
                continue;
            }
            is_found = true;
            self.chronos.disable(job).await.with_context(|| name.clone())?;
            self.chronos.kill_tasks(&name).await.with_context(|| name.clone())?;
            let line = format!("EmergencyStop: {name} is disabled, and its tasks are killed");
            self.telling.log(self.name, &line, true);
            writeln!(io::stdout().lock(), "stopped {name}")?;
        }
        if !is_found && with_reruns {
            complain(&format!("Chronos has no job {}", self.name));
            return Ok(Outcome::Incomplete);
        }
        Ok(Outcome::Complete)
    }
}

fn named(job: &Definition) -> Option<(String, JobName)> {
    let name = job.get("name")?.as_str()?;
    Some((name.to_owned(), JobName::parse(name)?))
}
