//! `paasta-master instances`: what soa-configs ask of Marathon in one cluster.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Parser};
use serde_json::{Value, json};
use soa_configs::{Cluster, Snapshot, Tree, paasta, tree};

use crate::{Outcome, complain, minimal};

/// List every service.instance that soa-configs ask of Marathon in this cluster.
///
/// Instances are the top-level keys of SOA_DIR/SERVICE/marathon-CLUSTER.yaml; a key that begins with
/// `_` is a template and no instance. One name a line, sorted.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 a file is broken (it is shown on standard error, and everything else
is listed) or Marathon or ZooKeeper does not answer (nothing is listed), 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master instances
  paasta-master instances --minimal
  paasta-master instances --cluster norcal-devc --soa-dir ./yelpsoa-configs
  paasta-master instances --json | jq -r '.instances[].deploy_group' | sort -u")]
pub(crate) struct Arguments {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Cluster to list [default: `cluster` in /etc/paasta/*.json, or in the directory named by
    /// PAASTA_SYSTEM_CONFIG_DIR]
    #[arg(short, long)]
    cluster: Option<Cluster>,

    /// Only those that need work: an app is missing in Marathon, is one too many, or has another count.
    /// Asks all of `marathon_servers` and `previous_marathon_servers`, and ZooKeeper for autoscaled counts
    #[arg(short, long, conflicts_with = "json")]
    minimal: bool,

    /// Print one JSON object: cluster, instances with their registrations, broken files
    #[arg(long)]
    json: bool,
}

/// List every service.instance that soa-configs ask of Marathon in this cluster.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master instances.
#[derive(Parser)]
#[command(name = "list_marathon_service_instances", version)]
pub(crate) struct AsBefore {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Cluster to list [default: `cluster` in /etc/paasta/*.json]
    #[arg(short, long)]
    cluster: Option<Cluster>,

    /// Only those that need work
    #[arg(short, long)]
    minimal: bool,
}

impl From<AsBefore> for Arguments {
    fn from(AsBefore { soa_dir, cluster, minimal }: AsBefore) -> Self {
        Self { soa_dir, cluster, minimal, json: false }
    }
}

/// # Errors
/// When the system configuration is broken, or standard output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Some(cluster) = cluster(arguments)? else { return Ok(Outcome::Usage) };
    if arguments.minimal {
        let settings = crate::settings()?;
        let (names, outcome) = minimal::names(&arguments.soa_dir, &cluster, &settings)?;
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        io::stdout().lock().write_all(lines.as_bytes())?;
        return Ok(outcome);
    }
    let mut tree = Tree::new(&arguments.soa_dir);
    tree.set_cluster(Some(cluster.clone()));
    tree.refresh();
    let snapshot = tree.snapshot();
    let text = if arguments.json {
        format!("{:#}\n", as_json(&cluster, &snapshot))
    } else {
        lines(&snapshot)
    };
    for problem in &snapshot.problems {
        complain(&problem.message);
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if snapshot.problems.is_empty() { Outcome::Complete } else { Outcome::Incomplete })
}

/// The cluster that is asked for, else that of this host. `None`: it is not known, and that was said.
fn cluster(arguments: &Arguments) -> anyhow::Result<Option<Cluster>> {
    if let Some(cluster) = &arguments.cluster {
        return Ok(Some(cluster.clone()));
    }
    let dir = crate::system_dir();
    let config = paasta::load(&dir)?;
    for problem in config.iter().flat_map(|config| &config.unread) {
        complain(&problem.message);
    }
    let cluster = config.and_then(|config| config.cluster);
    if cluster.is_none() {
        let dir = dir.display();
        complain(&format!(
            "the cluster is not known: `cluster` is not set in {dir}/*.json\n\n\
             Name it with --cluster NAME."
        ));
    }
    Ok(cluster)
}

fn lines(snapshot: &Snapshot) -> String {
    let mut names: Vec<String> = snapshot
        .instances
        .keys()
        .map(|(service, instance)| format!("{service}.{instance}\n"))
        .collect();
    // Sorted as whole lines, as `sort` and `comm` expect them.
    names.sort_unstable();
    names.concat()
}

fn as_json(cluster: &Cluster, snapshot: &Snapshot) -> Value {
    let instances: Vec<Value> = snapshot
        .instances
        .iter()
        .map(|((service, instance), config)| {
            json!({
                "service": service,
                "instance": instance,
                "registrations": config.registrations,
                "deploy_group": config.deploy_group,
            })
        })
        .collect();
    let problems: Vec<Value> = snapshot
        .problems
        .iter()
        .map(|problem| json!({"file": problem.file.to_string_lossy(), "problem": problem.one_line}))
        .collect();
    json!({"cluster": cluster.as_str(), "instances": instances, "problems": problems})
}
