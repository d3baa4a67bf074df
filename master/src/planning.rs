//! `paasta-master plan`: what the next pass of a deployment would do.

mod show;

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use futures_util::{StreamExt, stream};
use paasta_master::{
    deploy::{
        guard,
        pass::{Deployer, Emptied, Looked},
        sight::{self, Listing},
    },
    difference::{Difference, differences},
};
use serde_json::json;
use soa_configs::documents::ServiceDocuments;

use self::show::Shown;
use crate::{
    Outcome, complain,
    of_instances::{Gathered, OfInstances},
};

/// Instances that are looked at at once.
const AT_ONCE: usize = 8;

/// Say what the next pass of a deployment would do, and do nothing.
///
/// Asks Marathon for its apps and tasks, Mesos for hosts that are to be emptied, the HAProxy of each task's
/// host whether it sends there, and hacheck (or whoever drain_method names) whether the task is drained.
/// Each field in which the wanted app differs from the one that runs is told with where its value comes from:
/// the line of a file, a key of the system configuration, the autoscaler, or a default. Of a whole cluster,
/// instances that need nothing are left out.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is printed, 1 an instance makes no app, or somebody does not answer, 2 the arguments
are wrong or the cluster is not known.

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
/// When Marathon does not answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Some(gathered) = arguments.of.gather()? else { return Ok(Outcome::Usage) };
    crate::block_on(print(&gathered, arguments.json))
}

/// # Errors
/// When Marathon does not answer, or standard output cannot be written.
pub(crate) async fn print(gathered: &Gathered, as_json: bool) -> anyhow::Result<Outcome> {
    let deployer = Deployer::new(&gathered.settings, &gathered.cluster, false);
    let deployer = deployer.context("synapse_haproxy_url_format")?;
    let emptied = Emptied::ask(&gathered.settings).await;
    let apps = Listing::of(sight::all_apps(&deployer.shards).await?);
    let looks = stream::iter(&gathered.instances).map(async |(service, name)| {
        let files = gathered.files(service);
        let looked = match deployer.wanted(files, service, name).await {
            Ok(wanted) => {
                let own = apps.apps(&wanted);
                deployer.look(wanted, own, &emptied).await
            }
            Err(verdict) => Err(verdict),
        };
        let compared = match &looked {
            // Of a whole cluster, most are as they should be, and each comparison is a request.
            Ok(looked) if !gathered.are_all || !looked.is_steady() => {
                Some(compared(&deployer, looked, files).await)
            }
            _ => None,
        };
        (format!("{service}.{name}"), looked, compared)
    });
    let looks: Vec<_> = looks.buffered(AT_ONCE).collect().await;
    let mut outcome = if gathered.unnamed == 0 { Outcome::Complete } else { Outcome::Incomplete };
    let (mut words, mut objects, mut before) = (String::new(), Vec::new(), Vec::new());
    for (name, looked, compared) in looks {
        let looked = match looked {
            Ok(looked) => looked,
            Err(verdict) => {
                if verdict.has_failed || verdict.event.is_some() {
                    outcome = Outcome::Incomplete;
                }
                verdict.complaints.iter().for_each(|line| complain(&format!("{name}: {line}")));
                continue;
            }
        };
        looked.unheard.iter().for_each(|line| complain(line));
        before.push(looked.before());
        let is_told = compared.is_some();
        let compared = compared.transpose().unwrap_or_else(|error| {
            complain(&format!("{name}: cannot be compared with what runs: {error:#}"));
            outcome = Outcome::Incomplete;
            None
        });
        let (beside, differences) = compared.unzip();
        let beside = beside.flatten();
        let (name, looked) = (name.as_str(), &looked);
        let (beside, differences) = (beside.as_deref(), differences.as_deref());
        let shown = Shown { name, looked, beside, differences };
        if is_told {
            words.push_str(&looked.decided(|seen, step| shown.in_words(seen, step)));
        }
        objects.push(looked.decided(|seen, step| shown.in_json(seen, step)));
    }
    if gathered.are_all
        && let Err(refused) = guard::within(before, guard::MOST)
    {
        complain(&refused.to_string());
        outcome = Outcome::Incomplete;
    }
    let text = if as_json {
        format!("{:#}\n", json!({"cluster": gathered.cluster.as_str(), "instances": objects}))
    } else {
        words
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(outcome)
}

/// The app that the wanted one is compared with, and how they differ.
async fn compared(
    deployer: &Deployer<'_>,
    looked: &Looked,
    files: &ServiceDocuments,
) -> anyhow::Result<(Option<String>, Vec<Difference>)> {
    let found = sight::definition(&deployer.shards, &looked.apps).await?;
    let differences = differences(found.as_ref(), &looked.wanted, files, deployer.settings)?;
    let id = found.and_then(|found| found.get("id")?.as_str().map(str::to_owned));
    Ok((id, differences))
}
