//! The Chronos simulator by hand: it prints what happens.

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;
use end_to_end::{
    Chronos, by_hand,
    chronos::{Behaviour, Script, Settings},
};

/// A simulated Chronos 2.5 on this machine, to try jobs against.
///
/// It answers the REST interface of Chronos, refuses what Chronos refuses, and prints every change of state.
/// Schedules really fire, on a clock that may run faster, but nothing is run: a run takes as long as it is
/// told to and ends well, unless its job is among those that fail.
///
/// Patterns are those of names of jobs, and `*` stands for anything: `web *`.
///
/// Example:
///   chronos-sim --speed 60 --takes 90 --fail 'web broken'
#[derive(Debug, Parser)]
#[command(name = "chronos-sim", version, max_term_width = 100, verbatim_doc_comment)]
struct Arguments {
    /// Port of 127.0.0.1 to listen on; 0 for any.
    #[arg(long, default_value = "4400")]
    port: u16,
    /// How many seconds of its clock pass in one.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=86400))]
    speed: u32,
    /// How long a run takes by its clock.
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    takes: u32,
    /// Runs of jobs like this fail; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    fail: Vec<String>,
}

impl Arguments {
    fn script(&self) -> Script {
        let good = Behaviour { takes: Duration::from_secs(self.takes.into()), fails: false };
        let bad = Behaviour { fails: true, ..good };
        self.fail.iter().fold(Script::all(good), |script, pattern| script.with(pattern, bad))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    by_hand::ending("chronos-sim", run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    let settings =
        Settings { script: arguments.script(), speed: arguments.speed, ..Settings::default() };
    let chronos = Chronos::start_on(arguments.port, settings)
        .await
        .map_err(|error| by_hand::no_port(arguments.port, &error))?;
    let events = chronos.follow();
    introduce(&chronos)?;
    by_hand::print(events, |(at, event)| format!("{at:.3} {event}")).await
}

fn introduce(chronos: &Chronos) -> io::Result<()> {
    let url = chronos.url();
    by_hand::say(&format!(
        "Chronos (simulated): {url}\n\nTry, from another terminal:\n  \
         curl -s {url}/scheduler/iso8601 -H 'Content-Type: application/json' \\\n    \
         -d '{{\"name\": \"web job\", \"command\": \"run\", \"schedule\": \"* * * * *\"}}'\n  \
         curl -s {url}/scheduler/jobs\n  \
         curl -s -X PUT {url}/scheduler/job/web%20job\n  \
         curl -s {url}/scheduler/graph/csv\n  \
         curl -s -X DELETE {url}/scheduler/job/web%20job\n\nCtrl-C ends it. What happens:"
    ))
}
