//! `paasta-master render`: what would be sent for one instance.

use std::io::{self, Write};

use anyhow::Context;
use clap::{Args, Subcommand};
use paasta_master::app::{App, Given};
use serde_json::Value;
use soa_configs::{json, load::Deployment};

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
    Marathon(Marathon),
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
    let What::Marathon(arguments) = &arguments.what;
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
