//! `smartstack`: the agent and the commands that ask it. Start-up only; the work is in the library.

use std::{ffi::OsStr, path::Path, process::ExitCode, time::Duration};

use agent::{
    cli::{
        self, Args, Command, EXIT_FAILED, EXIT_USAGE,
        args::{DEFAULT_CONFIG, DEFAULT_SOCKET},
        client::Client,
        updown::{self, OldArgs},
    },
    config::{Config, Overrides},
    daemon, demo, logging,
    supervisor::{Exit, Signals},
};
use clap::Parser;
use hacheck::server::Inherited;

fn main() -> ExitCode {
    let job = match job() {
        Ok(job) => job,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    // Before there are other threads; see there.
    let inherited = Inherited::from_environment();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let code = runtime.block_on(run(job, inherited)).unwrap_or_else(|error| failed(&error));
    // Reads of files that hang must not keep a stopping process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// What is asked for: by our own arguments, or by those of the tool whose name we were called by.
enum Job {
    Ours(Args),
    Updown(OldArgs),
}

fn job() -> Result<Job, clap::Error> {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new("updown_service")) {
        return OldArgs::try_parse().map(Job::Updown);
    }
    Args::try_parse().map(Job::Ours)
}

async fn run(job: Job, inherited: Inherited) -> anyhow::Result<ExitCode> {
    let args = match job {
        Job::Ours(args) => args,
        Job::Updown(args) => {
            let socket = std::env::var_os("SMARTSTACK_SOCKET").unwrap_or(DEFAULT_SOCKET.into());
            return updown::run(&Client::new(Path::new(&socket)), &args.into()).await;
        }
    };
    match args.command {
        Command::Agent { config, soa_dir } => {
            let config = match load(config.as_deref(), soa_dir) {
                Ok(config) => config,
                Err(code) => return Ok(code),
            };
            logging::start(&config.log)?;
            finish(daemon::run(config, inherited, Signals::listen()?, |_| ()).await)
        }
        Command::CheckConfig { config, soa_dir } => match load(config.as_deref(), soa_dir) {
            Ok(config) => cli::check_config(&config),
            Err(code) => Ok(code),
        },
        Command::Demo { no_docker } => finish(demo::run(no_docker).await),
        Command::DemoService { name, port, linger_ms } => {
            demo::service::run(name, port, Duration::from_millis(linger_ms)).await?;
            Ok(ExitCode::SUCCESS)
        }
        command => cli::run(&Client::new(&args.socket), command).await,
    }
}

fn load(path: Option<&Path>, soa_dir: Option<std::path::PathBuf>) -> Result<Config, ExitCode> {
    let asked_for = path.is_some();
    let path = path.unwrap_or(Path::new(DEFAULT_CONFIG));
    Config::load(path, asked_for, &Overrides { soa_dir }).map_err(|error| {
        let _ = failed(&error.into());
        ExitCode::from(EXIT_USAGE)
    })
}

fn finish(exit: anyhow::Result<Exit>) -> anyhow::Result<ExitCode> {
    Ok(match exit? {
        Exit::Asked => ExitCode::SUCCESS,
        Exit::TaskEnded(_) => ExitCode::from(EXIT_FAILED),
    })
}

/// One line on standard error, with its causes.
fn failed(error: &anyhow::Error) -> ExitCode {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "smartstack: {error:#}");
    ExitCode::from(EXIT_FAILED)
}
