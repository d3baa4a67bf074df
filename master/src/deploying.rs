//! `paasta-master deploy`, and the old commands `deploy_marathon_services` and `setup_marathon_job`.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, Parser};
use futures_util::{StreamExt, stream};
use paasta_master::{
    deploy::{
        guard,
        pass::{Deployer, Emptied},
        sight::{self, Listing},
        verdict::Verdict,
    },
    events::Status,
};
use serde_json::{Value, json};
use soa_configs::tree;

use crate::{
    Outcome, complain,
    of_instances::{Gathered, OfInstances},
    planning,
};

/// As many as PaaSTA's driver script starts at once.
const AT_ONCE: &str = "5";

/// Bring Marathon one step nearer to what soa-configs ask.
///
/// Each pass moves each bounce by one step: apps are created and scaled, tasks of old versions drained,
/// killed when they have been down long enough, and empty apps removed. Run it again and again, from cron or
/// in a loop; the daemon (paasta-master run) does so by itself.
///
/// A task that cannot be drained, because its hacheck does not answer, goes on serving and is told of.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 the pass was made (an instance may still be wrong; Sensu and standard error say so), 1 of at
least one instance it was not, a file is broken, or more would be stopped than may be, 2 the arguments are
wrong or the cluster is not known.

Examples:
  paasta-master deploy
  paasta-master deploy web.main api.main
  paasta-master deploy --dry-run -d ./yelpsoa-configs")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfInstances,

    #[command(flatten)]
    how: How,

    /// Say what would be done, and do nothing; see also paasta-master plan
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Bring Marathon one step nearer to what soa-configs ask of these instances.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master deploy.
#[derive(Parser)]
#[command(name = "setup_marathon_job", version)]
pub(crate) struct Setup {
    /// Instances, as SERVICE.INSTANCE
    #[arg(value_name = "SERVICE.INSTANCE", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    as_before: AsBefore,
}

/// Bring Marathon one step nearer to what soa-configs ask of this cluster.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master deploy.
#[derive(Parser)]
#[command(name = "deploy_marathon_services", version)]
pub(crate) struct OfAll {
    #[command(flatten)]
    as_before: AsBefore,
}

#[derive(Args)]
struct AsBefore {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    #[command(flatten)]
    how: How,
}

#[derive(Args)]
struct How {
    /// Instances under way at once
    #[arg(long, value_name = "N", default_value = AT_ONCE)]
    at_once: NonZeroUsize,

    /// Of a whole cluster, do nothing when more than this share of all running tasks would be stopped with
    /// nothing in their place
    #[arg(long, value_name = "SHARE", default_value_t = guard::MOST, value_parser = crate::share)]
    most_stopped: f64,

    /// Stop them however many they are
    #[arg(long)]
    force: bool,

    /// Kill tasks that cannot be drained, as PaaSTA does: clients lose what they ask of them
    #[arg(long)]
    kill_undrained: bool,

    /// Say how it came out for each instance
    #[arg(short, long)]
    verbose: bool,
}

/// # Errors
/// When Marathon does not answer, or more would be stopped than may be.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    deploy(&arguments.of, &arguments.how, arguments.dry_run, arguments.json)
}

/// # Errors
/// See [`run`].
pub(crate) fn run_setup(Setup { names, as_before }: Setup) -> anyhow::Result<Outcome> {
    let AsBefore { soa_dir, how } = as_before;
    deploy(&OfInstances { names, soa_dir, cluster: None }, &how, false, false)
}

/// # Errors
/// See [`run`].
pub(crate) fn run_of_all(OfAll { as_before }: OfAll) -> anyhow::Result<Outcome> {
    let AsBefore { soa_dir, how } = as_before;
    deploy(&OfInstances { names: Vec::new(), soa_dir, cluster: None }, &how, false, false)
}

fn deploy(of: &OfInstances, how: &How, dry_run: bool, as_json: bool) -> anyhow::Result<Outcome> {
    let Some(gathered) = of.gather()? else { return Ok(Outcome::Usage) };
    if dry_run {
        return crate::block_on(planning::print(&gathered, as_json));
    }
    let Passed { verdicts, refused, untold } = crate::block_on(pass(&gathered, how))?;
    let failed = verdicts.iter().filter(|(_, verdict)| verdict.has_failed).count();
    for (name, verdict) in &verdicts {
        verdict.complaints.iter().for_each(|line| complain(&format!("{name}: {line}")));
    }
    untold.iter().for_each(|line| complain(line));
    let mut out = io::stdout().lock();
    if as_json {
        let all: Vec<Value> =
            verdicts.iter().map(|(name, verdict)| in_json(name, verdict)).collect();
        writeln!(out, "{:#}", json!({"cluster": gathered.cluster.as_str(), "instances": all}))?;
    } else if how.verbose {
        for (name, verdict) in &verdicts {
            writeln!(out, "{name}: {}", in_words(verdict))?;
        }
    }
    if let Some(refused) = refused {
        complain(&refused.to_string());
        return Ok(Outcome::Incomplete);
    }
    let is_complete = failed == 0 && gathered.is_whole;
    Ok(if is_complete { Outcome::Complete } else { Outcome::Incomplete })
}

struct Passed {
    verdicts: Vec<(String, Verdict)>,
    refused: Option<guard::TooMuch>,
    /// What Sensu did not hear.
    untold: Vec<String>,
}

async fn pass(gathered: &Gathered, how: &How) -> anyhow::Result<Passed> {
    let deployer = Deployer::new(&gathered.settings, &gathered.cluster, how.kill_undrained);
    let owned = deployer.context("synapse_haproxy_url_format")?;
    let deployer = &owned;
    let (emptied, apps) =
        tokio::join!(Emptied::ask(&gathered.settings), sight::all_apps(&deployer.shards));
    let apps = Listing::of(apps?);
    let at_once = how.at_once.get();
    let wanted = stream::iter(&gathered.instances).map(async |(service, name)| {
        let files = gathered.files(service);
        let wanted = deployer.wanted(files, service, name).await;
        let own = wanted.map(|wanted| (apps.apps(&wanted), wanted));
        ((service.as_str(), name.as_str()), own)
    });
    let wanted: Vec<_> = wanted.buffered(at_once).collect().await;
    if gathered.are_all && !how.force {
        let before = wanted.iter().filter_map(|(_, own)| own.as_ref().ok());
        let before = before
            .map(|(apps, wanted)| guard::Before { running: apps.running(), want: wanted.count });
        if let Err(refused) = guard::within(before, how.most_stopped) {
            let (verdicts, untold) = (Vec::new(), Vec::new());
            return Ok(Passed { verdicts, refused: Some(refused), untold });
        }
    }
    let emptied = &emptied;
    let passes = stream::iter(wanted).map(async |((service, name), own)| {
        let files = gathered.files(service);
        let verdict = match own {
            Ok((apps, wanted)) => match deployer.steady(files, (wanted, apps), emptied).await {
                Some(verdict) => verdict,
                None => deployer.pass(files, (service, name), emptied).await,
            },
            // Whatever is wrong, the whole pass says it in full.
            Err(_) => deployer.pass(files, (service, name), emptied).await,
        };
        (format!("{service}.{name}"), verdict)
    });
    let verdicts = passes.buffered(at_once).collect().await;
    let untold = owned.journal.finish().await;
    Ok(Passed { verdicts, refused: None, untold })
}

fn in_words(verdict: &Verdict) -> String {
    let came_out = match (verdict.has_failed, &verdict.event) {
        (true, _) => "failed",
        (false, None) => "nothing to do",
        (false, Some((Status::Ok, _))) => "deployed",
        (false, Some(_)) => "wrong",
    };
    let again = verdict.again.map(|again| format!(", again in {} s", again.as_secs()));
    format!("{came_out}{}", again.unwrap_or_default())
}

fn in_json(name: &str, verdict: &Verdict) -> Value {
    let event = verdict.event.as_ref();
    json!({
        "instance": name,
        "failed": verdict.has_failed,
        "again_in_seconds": verdict.again.map(|again| again.as_secs()),
        "status": event.map(|(status, _)| *status as u8),
        "output": event.map(|(_, output)| output),
        "complaints": verdict.complaints,
    })
}
