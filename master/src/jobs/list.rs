//! `paasta-master chronos list`, and the old command `list_chronos_jobs`.

use std::io::{self, Write};

use clap::{Args, Parser};
use soa_configs::{
    Cluster,
    documents::Documents,
    load::{self, Kind},
};

use super::SoaDir;
use crate::{Outcome, complain};

/// List every service.job that soa-configs ask of Chronos in one cluster.
///
/// Jobs are the top-level keys of SOA_DIR/SERVICE/chronos-CLUSTER.yaml; a key that begins with `_` is a
/// template and no job. One name a line, sorted. Nothing is asked of Chronos.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 a file is broken (it is shown on standard error, and everything else is
listed), 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master chronos list
  paasta-master chronos list --cluster norcal-devc --soa-dir ./yelpsoa-configs")]
pub(super) struct Arguments {
    #[command(flatten)]
    soa_dir: SoaDir,

    /// Cluster to list [default: `cluster` in /etc/paasta/*.json, or in the directory named by
    /// PAASTA_SYSTEM_CONFIG_DIR]
    #[arg(short, long)]
    cluster: Option<Cluster>,
}

/// List every service.job that soa-configs ask of Chronos in one cluster.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master chronos list.
#[derive(Parser)]
#[command(name = "list_chronos_jobs", version)]
pub(super) struct AsBefore {
    #[command(flatten)]
    soa_dir: SoaDir,

    /// Cluster to list [default: `cluster` in /etc/paasta/*.json]
    #[arg(short, long)]
    cluster: Option<Cluster>,
}

impl From<AsBefore> for Arguments {
    fn from(AsBefore { soa_dir, cluster }: AsBefore) -> Self {
        Self { soa_dir, cluster }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let cluster = match &arguments.cluster {
        Some(cluster) => cluster.clone(),
        None => match crate::own_cluster(&crate::settings()?) {
            Some(cluster) => cluster,
            None => return Ok(Outcome::Usage),
        },
    };
    let mut documents = Documents::new(&arguments.soa_dir.dir);
    documents.refresh()?;
    let mut lines: Vec<String> = documents
        .services()
        .flat_map(|(service, files)| {
            let names = load::names(files, Kind::Chronos, &cluster);
            names.map(move |name| format!("{service}.{name}\n"))
        })
        .collect();
    // Sorted as whole lines, as `sort` and `comm` expect them.
    lines.sort_unstable();
    let mut outcome = Outcome::Complete;
    for problem in documents.problems() {
        complain(&problem.message);
        outcome = Outcome::Incomplete;
    }
    io::stdout().lock().write_all(lines.concat().as_bytes())?;
    Ok(outcome)
}
