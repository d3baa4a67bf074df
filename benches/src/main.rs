//! Measures the main job on real parts: how long after a container's service answers do clients reach
//! it, how long after a drain do they not, how long does a record of another host take.
//!
//! docs/measurements.md says what each line means.

mod arguments;
mod conditions;
mod drain;
mod figures;
mod floor;
mod foreign;
mod load;
mod report;
mod scene;
mod stalls;
mod start;
mod usage;
mod znode;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

use self::{
    arguments::{Arguments, Measurement},
    conditions::Conditions,
    figures::Pace,
    report::{Line, Report},
    scene::Scene,
    stalls::Stalls,
    usage::Usage,
};

/// Why there are no numbers.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Of one measurement; a run that has begun is finished.
const SHARE: Duration = Duration::from_secs(30);
/// Of everything. All shares, the start and the end take less.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::select! {
        outcome = measure(&arguments) => outcome,
        // Ended by leaving, so that containers and processes go too.
        outcome = interrupted() => outcome,
        () = time::sleep(LIMIT) => Err("it takes too long; something hangs".into()),
    };
    let outcome = outcome.and_then(|report| {
        let text = if arguments.json { report.json() } else { report.text() };
        Ok(io::stdout().lock().write_all(text.as_bytes())?)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() -> Result<Report, Failure> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Err("interrupted".into())
}

async fn measure(arguments: &Arguments) -> Result<Report, Failure> {
    let measurements = arguments.measurements();
    progress("starting zookeeper, haproxy and the agent");
    let scene = Scene::set(&measurements).await?;
    let conditions = Conditions::of(&scene).await?;
    let (before, stalls) = (Usage::of(&scene)?, Stalls::watch());
    let floor = floor::measure(&scene).await?;
    let mut lines = Vec::new();
    for measurement in measurements {
        progress(measurement.title());
        lines.extend(one(&scene, measurement, arguments.runs.get()).await?);
    }
    let usage = Usage::of(&scene)?.since(before);
    let timer = stalls.figures().await?;
    Ok(Report { conditions: conditions.at_the_end(), floor, timer, lines, usage })
}

async fn one(scene: &Scene, measurement: Measurement, runs: usize) -> Result<Vec<Line>, Failure> {
    let pace = Pace::new(runs, SHARE);
    match measurement {
        Measurement::Start | Measurement::SlowStart => {
            start::measure(scene, measurement, pace).await
        }
        Measurement::Drain | Measurement::Spool => drain::measure(scene, measurement, pace).await,
        Measurement::Znode => znode::measure(scene, pace).await,
    }
}

/// What is going on, on standard error.
fn progress(what: &str) {
    let _ = writeln!(io::stderr(), "{what} ...");
}
