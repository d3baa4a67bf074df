//! `paasta-master render`: what would be sent for one instance.

use std::io::{self, Write};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Zoned;
use paasta_master::{
    app::{App, Given},
    chronos::{self, Job},
};
use serde_json::Value;
use soa_configs::{
    json,
    load::{Deployment, Kind},
    yaml::{Map, Node},
};

use crate::{
    Outcome,
    of_instance::{Found, OfInstance},
};

/// Print what would be sent for one instance, and send nothing.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Chronos(Chronos),
    Marathon(Marathon),
}

/// Print the Chronos job of an instance: one JSON object, the body of PUT /scheduler/iso8601, or of PUT
/// /scheduler/dependency when it has parents.
///
/// `description` is a hash of all else: another one means that Chronos is sent the job anew. Time variables
/// in `cmd` stand for this moment. Nothing is asked of Chronos.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is printed, 1 the instance makes no job (the reason is on standard error), 2 the
arguments are wrong or the cluster is not known.

Examples:
  paasta-master render chronos batch.nightly
  paasta-master render chronos batch.nightly -d ./yelpsoa-configs -c norcal-devc | jq .constraints")]
struct Chronos {
    #[command(flatten)]
    of: OfInstance,

    /// Print the text that is hashed for `description` instead, without a token of force_bounce
    #[arg(long)]
    hash_input: bool,
}

/// Print the Marathon app of an instance: one JSON object with its id and the body of POST /v2/apps.
///
/// The id ends in a hash of the definition: another one means that all its tasks are started anew. Nothing
/// is asked of Marathon, Mesos or ZooKeeper.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is printed, 1 the instance makes no app (the reason is on standard error), 2 the
arguments are wrong or the cluster is not known.

Examples:
  paasta-master render marathon web.main
  paasta-master render marathon web.main -d ./yelpsoa-configs -c norcal-devc | jq .app.env
  diff <(paasta-master render marathon web.main -d old --hash-input) \\
       <(paasta-master render marathon web.main -d new --hash-input)")]
struct Marathon {
    #[command(flatten)]
    of: OfInstance,

    /// For an autoscaled instance, the count that the autoscaler wanted [default: max_instances, as when
    /// it has not written one yet]
    #[arg(long, value_name = "COUNT")]
    instances: Option<i64>,

    /// Print the text that is hashed for the id instead, without a token of force_bounce
    #[arg(long)]
    hash_input: bool,
}

/// # Errors
/// When the instance makes no app, or standard output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    match &arguments.what {
        What::Chronos(arguments) => chronos(arguments),
        What::Marathon(arguments) => marathon(arguments),
    }
}

fn chronos(arguments: &Chronos) -> anyhow::Result<Outcome> {
    let Some(found) = arguments.of.find_of(Kind::Chronos)? else { return Ok(Outcome::Usage) };
    let OfInstance { name, soa_dir, .. } = &arguments.of;
    let job = job(&found).with_context(|| format!("{name} in {}", soa_dir.display()))?;
    let text = if arguments.hash_input {
        format!("{}\n", job.hash_input()?)
    } else {
        let body = json::canonical(&Node::made(job.request(&Map::default())))?;
        format!("{:#}\n", serde_json::from_str::<Value>(&body)?)
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Complete)
}

fn job(found: &Found) -> anyhow::Result<Job> {
    let Found { settings, files, instance } = found;
    let instance = instance.as_ref().map_err(Clone::clone)?;
    Ok(Job::make(chronos::Given { files, instance, settings, now: &Zoned::now() })?)
}

fn marathon(arguments: &Marathon) -> anyhow::Result<Outcome> {
    let Some(found) = arguments.of.find()? else { return Ok(Outcome::Usage) };
    let OfInstance { name, soa_dir, .. } = &arguments.of;
    let app = app(found, arguments.instances)
        .with_context(|| format!("{name} in {}", soa_dir.display()))?;
    let text = if arguments.hash_input {
        format!("{}\n", app.hash_input)
    } else {
        let body = app.request().with_context(|| name.clone())?;
        let body: Value = serde_json::from_str(&json::canonical(&body)?)?;
        format!("{:#}\n", serde_json::json!({"id": app.id, "app": body}))
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Complete)
}

fn app(found: Found, scaled: Option<i64>) -> anyhow::Result<App> {
    let Found { settings, files, instance } = found;
    let instance = instance?;
    let deployment = Deployment::v1(&files, &instance)?;
    let (settings, files, instance, deployment) = (&settings, &files, &instance, &deployment);
    Ok(App::make(Given { files, instance, deployment, settings, scaled })?)
}
