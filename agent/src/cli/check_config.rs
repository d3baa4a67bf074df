//! `smartstack check-config`: the settings and everything they point to.

use std::process::ExitCode;

use soa_configs::{Tree, paasta};

use super::output::print;
use crate::{config::Config, synapse::haproxy::template};

/// Says what was found. Broken soa-configs are told but do not fail the check: the agent goes on
/// without them, and this runs before every start.
///
/// # Errors
/// When standard output is gone.
pub fn check_config(config: &Config) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    for assumption in &config.assumptions {
        print(&format!("assumed: {assumption}\n"))?;
    }
    let mut tree = Tree::new(&config.soa_dir);
    match paasta::load(&config.paasta_dir) {
        Ok(system) => {
            let cluster = system.and_then(|system| system.cluster);
            tree.set_cluster(config.cluster.clone().or(cluster));
        }
        Err(error) => problems.push(error.to_string()),
    }
    tree.refresh();
    let snapshot = tree.snapshot();
    problems.extend(snapshot.problems.iter().map(|problem| problem.message.clone()));
    if let Err(error) = template::source(&config.haproxy)
        .and_then(|source| template::Template::parse(&source.file, source.text))
    {
        problems.push(error.to_string());
    }
    for problem in &problems {
        print(&format!("{}\n\n", problem.trim_end()))?;
    }
    print(&format!(
        "settings are valid; {} namespaces, {} instances, {} problems in files they point to\n",
        snapshot.namespaces.len(),
        snapshot.instances.len(),
        problems.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}
