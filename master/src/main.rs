//! `paasta-master`: beside Marathon and Chronos, what soa-configs ask of this cluster.

mod autoscale;
mod clean;
mod deploying;
mod generate;
mod instances;
mod jobs;
mod minimal;
mod of_instance;
mod of_instances;
mod planning;
mod render;
mod replicate;
mod running;
mod validate;

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use generate::{OfAll, OfService};
use instances::AsBefore;
use soa_configs::{
    Cluster,
    documents::Documents,
    paasta::{self, Settings},
};

/// What soa-configs ask of Marathon and Chronos in this cluster.
#[derive(Parser)]
#[command(name = "paasta-master", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Autoscale(autoscale::Arguments),
    CheckReplication(replicate::Arguments),
    Chronos(jobs::Arguments),
    Cleanup(clean::Arguments),
    Deploy(deploying::Arguments),
    GenerateDeployments(generate::Arguments),
    Instances(instances::Arguments),
    Plan(planning::Arguments),
    Render(render::Arguments),
    Run(running::Arguments),
    Validate(validate::Arguments),
}

/// How a command ended, for whoever runs it from a script.
#[derive(Clone, Copy)]
enum Outcome {
    Complete,
    /// Something was broken; the rest was done.
    Incomplete,
    /// What a check asks is out of reach, in Nagios' words.
    Critical,
    /// It cannot be done without another argument or setting.
    Usage,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => Self::SUCCESS,
            Outcome::Incomplete => Self::from(1),
            Outcome::Critical | Outcome::Usage => Self::from(2),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(outcome) => outcome.into(),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            Outcome::Incomplete.into()
        }
    }
}

/// What is asked for: by our own arguments, or by those of the command whose name we were called by.
fn run() -> anyhow::Result<Outcome> {
    let name = env::args_os().next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(OsStr::to_str) {
        Some("autoscale_all_services") => autoscale::run_as_before(autoscale::AsBefore::parse()),
        Some("check_marathon_services_replication") => {
            replicate::run_as_before(&replicate::AsBefore::parse())
        }
        Some("cleanup_marathon_jobs") => clean::run_as_before(&clean::AsBefore::parse()),
        Some("deploy_marathon_services") => deploying::run_of_all(deploying::OfAll::parse()),
        Some("setup_marathon_job") => deploying::run_setup(deploying::Setup::parse()),
        Some("generate_deployments_for_service") => generate::run_as_before(OfService::parse()),
        Some("generate_all_deployments") => generate::run_as_before(OfAll::parse()),
        Some("list_marathon_service_instances") => instances::run(&AsBefore::parse().into()),
        Some(name) if jobs::is_old_name(name) => jobs::run_as_before(name),
        _ => match Arguments::parse().command {
            Command::Autoscale(arguments) => autoscale::run(&arguments),
            Command::CheckReplication(arguments) => replicate::run(&arguments),
            Command::Chronos(arguments) => jobs::run(&arguments),
            Command::Cleanup(arguments) => clean::run(&arguments),
            Command::Deploy(arguments) => deploying::run(&arguments),
            Command::GenerateDeployments(arguments) => generate::run(&arguments),
            Command::Instances(arguments) => instances::run(&arguments),
            Command::Plan(arguments) => planning::run(&arguments),
            Command::Render(arguments) => render::run(&arguments),
            Command::Run(arguments) => running::run(&arguments),
            Command::Validate(arguments) => validate::run(&arguments),
        },
    }
}

/// Where the system configuration of this host is.
fn system_dir() -> PathBuf {
    let named = env::var_os(paasta::DIR_VARIABLE).filter(|dir| !dir.is_empty());
    named.map_or_else(|| PathBuf::from(paasta::DEFAULT_DIR), PathBuf::from)
}

/// Does work to its end, on this thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The system configuration of this host.
fn settings() -> anyhow::Result<Settings> {
    let dir = system_dir();
    let Some(system) = paasta::load(&dir)? else {
        let dir = dir.display();
        return Err(anyhow::anyhow!("Could not find system paasta configuration directory: {dir}"));
    };
    for problem in &system.unread {
        complain(&problem.message);
    }
    Ok(Settings::read(&system, &dir)?)
}

/// Tells what is broken in soa-configs; returns whether nothing is.
fn is_sound(documents: &Documents) -> bool {
    documents.problems().map(|problem| complain(&problem.message)).count() == 0
}

/// The cluster of this host. `None`: it is not known, and that was said.
fn own_cluster(settings: &Settings) -> Option<Cluster> {
    let cluster = settings.cluster().map_err(|error| complain(&error.to_string()));
    cluster.ok().cloned()
}

/// A share of something, as an argument.
fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// The reader of a pipe, such as `head`, has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Says on standard error what is wrong.
fn complain(message: &str) {
    // Names and reasons of others are in it: none of them moves the cursor of a terminal.
    let is_odd = |c: char| c.is_control() && c != '\n';
    let message = message.replace(is_odd, " ");
    // Nobody is left to be told when this fails.
    let _ = writeln!(io::stderr(), "error: {message}");
}
