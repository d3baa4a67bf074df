//! `paasta-master render`: what would be sent for one instance.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use paasta_master::app::{App, Given};
use serde_json::Value;
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    ids::JobId,
    json,
    load::{self, Deployment, Kind},
    paasta::Settings,
    tree,
};

use crate::{Outcome, complain};

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
    /// The instance, as SERVICE.INSTANCE
    #[arg(value_name = "SERVICE.INSTANCE")]
    name: String,

    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Cluster of the instance [default: `cluster` in /etc/paasta/*.json, or in the directory named by
    /// PAASTA_SYSTEM_CONFIG_DIR]
    #[arg(short, long)]
    cluster: Option<Cluster>,

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
    let Ok(JobId { service, instance, .. }) = JobId::parse(&arguments.name) else {
        complain(&format!("`{}` is not SERVICE.INSTANCE", arguments.name));
        return Ok(Outcome::Usage);
    };
    let settings = crate::settings()?;
    let Some(cluster) = arguments.cluster.as_ref().or(settings.cluster().ok()) else {
        let missing = settings.cluster().err().map(|error| error.to_string()).unwrap_or_default();
        complain(&format!("{missing}\n\nName the cluster with --cluster NAME."));
        return Ok(Outcome::Usage);
    };
    let mut documents = Documents::new(&arguments.soa_dir);
    documents.refresh_service(&service);
    let nothing = ServiceDocuments::default();
    let files = documents.service(&service).unwrap_or(&nothing);
    let app = app(files, &service, &instance, cluster, &settings, arguments.instances)
        .with_context(|| format!("{} in {}", arguments.name, arguments.soa_dir.display()))?;
    let text = if arguments.hash_input {
        format!("{}\n", app.hash_input)
    } else {
        let body = app.request().with_context(|| arguments.name.clone())?;
        let body: Value = serde_json::from_str(&json::canonical(&body)?)?;
        format!("{:#}\n", serde_json::json!({"id": app.id, "app": body}))
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Complete)
}

fn app(
    files: &ServiceDocuments,
    service: &str,
    instance: &str,
    cluster: &Cluster,
    settings: &Settings,
    scaled: Option<i64>,
) -> anyhow::Result<App> {
    let instance = load::instance(files, Kind::Marathon, service, instance, cluster)?;
    let deployment = Deployment::v1(files, &instance)?;
    let given = Given { files, instance: &instance, deployment: &deployment, settings, scaled };
    Ok(App::make(given)?)
}
