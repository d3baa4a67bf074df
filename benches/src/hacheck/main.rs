//! Measures hacheck alone: beside a bare hyper server that answers the same bytes, and beside the
//! Python program where it is at hand; with ten thousand targets; and with a hundred that hang.
//!
//! docs/measurements.md says what each line means.

mod bare;
mod client;
mod isolation;
mod many;
mod program;
mod throughput;
mod wrk;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use tokio::time;

/// Why there are no numbers.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Of everything.
const LIMIT: Duration = Duration::from_secs(420);

/// Measures hacheck: throughput and latency as ratios to a bare hyper server, 10,000 targets, and
/// what hanging targets do to others.
///
/// Everything runs on free ports of 127.0.0.0/8 and ends with the program. Nothing is asserted.
#[derive(Debug, Parser)]
#[command(name = "bench-hacheck", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// A shell command that runs the Python hacheck on port $PORT with the spool $SPOOL, to be
    /// measured beside ours.
    #[arg(long, value_name = "COMMAND", env = "OLD_HACHECK")]
    old: Option<String>,
    /// Rounds of each measurement; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Seconds of each round.
    #[arg(long, value_name = "S", default_value_t = 3)]
    seconds: u64,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Role {
    /// A bare hyper server.
    #[command(hide = true)]
    Bare { port: u16 },
    /// A service on every address of 127.0.0.0/8.
    #[command(hide = true)]
    Service { port: u16 },
    /// One that accepts and says nothing.
    #[command(hide = true)]
    Hung { port: u16 },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match arguments.role {
        Some(_) => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        None => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    };
    let outcome = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            match arguments.role {
                Some(Role::Bare { port }) => bare::serve(port, false).await,
                Some(Role::Service { port }) => bare::serve(port, true).await,
                Some(Role::Hung { port }) => bare::hang(port).await,
                None => time::timeout(LIMIT, measure(&arguments)).await?,
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench-hacheck: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    say("hacheck\n")?;
    throughput::measure(arguments).await?;
    many::measure().await?;
    isolation::measure().await
}

/// A piece of the report, on standard output as it comes.
fn say(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
