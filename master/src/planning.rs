//! `paasta-master plan`: what the next pass of a deployment would do.

mod apps;
mod jobs;
mod show;

use std::io::{self, Write};

use clap::Args;
use paasta_master::chronos::{JobName, soa::Soa};
use serde_json::json;
use soa_configs::load::{self, Kind};

use crate::{
    Outcome, complain,
    of_instances::{Gathered, OfInstances},
};

/// Say what the next pass of a deployment would do, and do nothing: to Marathon, and where chronos_config is in
/// /etc/paasta, to Chronos.
///
/// Asks Marathon for its apps and tasks, Mesos for hosts that are to be emptied, the HAProxy of each task's
/// host whether it sends there, and hacheck (or whoever drain_method names) whether the task is drained.
/// Each field in which the wanted app or job differs from the one that is there is told with where its value comes from:
/// the line of a file, a key of the system configuration, the autoscaler, or a default. Of a whole cluster,
/// instances that need nothing are left out.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is printed, 1 an instance makes no app, a file is broken, or somebody does not answer (of
whom --json says null), 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master plan
  paasta-master plan web.main
  paasta-master plan web.main -d ./yelpsoa-configs --json | jq .instances[0].differences")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfInstances,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Some(gathered) = arguments.of.gather()? else { return Ok(Outcome::Usage) };
    crate::block_on(of_both(&gathered, arguments.json))
}

async fn of_both(gathered: &Gathered, as_json: bool) -> anyhow::Result<Outcome> {
    let (of_chronos, instances) = divided(gathered);
    let planned = if instances.is_empty() && !of_chronos.is_empty() && !gathered.are_all {
        Ok(apps::Planned::nothing())
    } else {
        apps::plan(gathered, &instances).await
    };
    // Who does not answer hides nothing of what the other one says.
    let of_apps = planned.map_err(|error| complain(&format!("{error:#}"))).ok();
    let Gathered { documents, settings, cluster, .. } = gathered;
    let soa = Soa { documents, settings, cluster };
    let planned = match &settings.chronos {
        Some(servers) => jobs::plan(soa, servers, of_chronos, gathered.are_all).await,
        None => Ok(jobs::Planned::default()),
    };
    let of_jobs = planned.map_err(|error| complain(&format!("{error:#}"))).ok();
    let complaints = of_jobs.iter().flat_map(|planned| &planned.complaints);
    let complained = complaints.inspect(|line| complain(line)).count();
    let (apps, jobs) = (of_apps.as_ref(), of_jobs.as_ref());
    let object = json!({
        "cluster": cluster.as_str(), "instances": apps.map(|planned| &planned.objects),
        "jobs": jobs.map(|planned| &planned.jobs), "remove_jobs": jobs.map(|planned| &planned.remove),
    });
    let words = [apps.map(|planned| &planned.words), jobs.map(|planned| &planned.words)];
    let words = words.into_iter().flatten().map(String::as_str).collect();
    let text = if as_json { format!("{object:#}\n") } else { words };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(match apps {
        Some(planned) if jobs.is_some() && complained == 0 => planned.outcome,
        _ => Outcome::Incomplete,
    })
}

/// The jobs of Chronos, and what else is an instance of Marathon, or nothing.
fn divided(gathered: &Gathered) -> (Vec<JobName>, Vec<(String, String)>) {
    let Gathered { documents, settings, cluster, .. } = gathered;
    if gathered.are_all {
        let jobs = Soa { documents, settings, cluster }.names().collect();
        return (jobs, gathered.instances.clone());
    }
    let is = |(service, name): &(String, String), kind| {
        load::names(gathered.files(service), kind, cluster).any(|known| known == name)
    };
    let has_chronos = settings.chronos.is_some();
    let all = gathered.instances.iter().cloned();
    let (jobs, others): (Vec<_>, Vec<_>) =
        all.partition(|name| has_chronos && is(name, Kind::Chronos) && !is(name, Kind::Marathon));
    (jobs.iter().map(|(service, name)| JobName::new(service, name)).collect(), others)
}

/// Of Marathon alone.
///
/// # Errors
/// When Marathon does not answer, or standard output cannot be written.
pub(crate) async fn print(gathered: &Gathered, as_json: bool) -> anyhow::Result<Outcome> {
    let planned = apps::plan(gathered, &gathered.instances).await?;
    let object = json!({"cluster": gathered.cluster.as_str(), "instances": planned.objects});
    let text = if as_json { format!("{object:#}\n") } else { planned.words };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(planned.outcome)
}
