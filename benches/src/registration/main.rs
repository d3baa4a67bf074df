//! Measures registration as nerve was measured: how soon a healthy service has its znode and a sick one
//! has none, how long a start takes, and what checking costs.
//!
//! docs/measurements.md says what each line means.

mod fleet;
#[path = "../outcome.rs"]
mod outcome;
mod responder;

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time;

use self::{
    fleet::{Fleet, Usage},
    outcome::Failure,
};

/// So many services are turned at the same time.
const AT_ONCE: usize = 5;
/// Of each measurement at rest.
const REST: Duration = Duration::from_secs(20);
/// Of everything.
const LIMIT: Duration = Duration::from_secs(600);

/// Measures how services get and lose their znodes.
///
/// Starts a ZooKeeper and an agent of its own on free ports of 127.0.0.1; every service is checked once
/// a second. Prints one line for each number of services, beside what was measured of nerve 0.9.3 on two
/// such processors.
#[derive(Debug, Parser)]
#[command(name = "bench-registration", version, max_term_width = 100)]
struct Arguments {
    /// Numbers of services.
    #[arg(default_values = ["50", "200", "500", "2000"])]
    services: Vec<NonZeroUsize>,
    /// How often services are made sick and well again.
    #[arg(long, default_value_t = 25)]
    turns: usize,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

/// nerve 0.9.3: services, CPU %, MiB, start, healthy mean and max, sick mean and max, stop; seconds.
const NERVE: [[f64; 9]; 3] = [
    [50.0, 4.1, 38.9, 0.63, 0.52, 1.00, 1.46, 1.99, 0.50],
    [200.0, 14.5, 48.6, 0.74, 0.55, 1.06, 1.50, 1.94, 0.86],
    [500.0, 40.6, 79.6, 1.45, 0.55, 1.02, 1.52, 2.00, 0.97],
];

struct Line {
    services: usize,
    usage: Usage,
    start: Duration,
    healthy: Vec<Duration>,
    sick: Vec<Duration>,
    stop: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    outcome::print("bench-registration", LIMIT, async {
        let lines = measure(&arguments).await?;
        Ok(if arguments.json { document(&lines) } else { table(&lines) })
    })
    .await
}

async fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for services in &arguments.services {
        let _ = writeln!(io::stderr(), "{services} services ...");
        lines.push(line(services.get(), arguments.turns).await?);
    }
    Ok(lines)
}

async fn line(services: usize, turns: usize) -> Result<Line, Failure> {
    let mut fleet = Fleet::set(services).await?;
    let start = fleet.start().await?;
    fleet.settle().await;
    let usage = fleet.rest(REST).await?;
    let (mut healthy, mut sick, mut picked) = (Vec::new(), Vec::new(), 0);
    while sick.len() < turns {
        // A stride that meets them all, at moments that do not keep step with any check.
        let chosen: Vec<usize> = (0..AT_ONCE).map(|n| (picked + n * 7919) % services).collect();
        picked = (picked + 104_729) % services;
        time::sleep(Duration::from_millis(u64::try_from(picked * 37 % 1000)?)).await;
        for (well, times) in [(false, &mut sick), (true, &mut healthy)] {
            let turned = chosen.iter().map(|service| fleet.turn(*service, well));
            times.extend(try_join_all(turned).await?);
        }
    }
    let stop = fleet.stop().await?;
    Ok(Line { services, usage, start, healthy, sick, stop })
}

fn mean(times: &[Duration]) -> f64 {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    (times.iter().sum::<Duration>() / count).as_secs_f64()
}

fn most(times: &[Duration]) -> f64 {
    times.iter().max().copied().unwrap_or_default().as_secs_f64()
}

fn figures(line: &Line) -> [f64; 8] {
    [
        line.usage.cpu,
        line.usage.resident_mib,
        line.start.as_secs_f64(),
        mean(&line.healthy),
        most(&line.healthy),
        mean(&line.sick),
        most(&line.sick),
        line.stop.as_secs_f64(),
    ]
}

const COLUMNS: [&str; 8] =
    ["CPU %", "MiB", "start s", "healthy s", "worst", "sick s", "worst", "stop s"];

fn table(lines: &[Line]) -> String {
    let head: Vec<String> = COLUMNS.iter().map(|column| format!("{column:>10}")).collect();
    let mut text = format!("{:<22}{}\n", "services", head.concat());
    for line in lines {
        let ours = figures(line);
        text.push_str(&row(&format!("{} smartstack", line.services), &ours));
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let services = line.services as f64;
        if let Some([_, nerve @ ..]) = NERVE.iter().find(|nerve| (nerve[0] - services).abs() < 0.5)
        {
            text.push_str(&row(&format!("{} nerve 0.9.3", line.services), nerve));
            let ratios: Vec<f64> =
                nerve.iter().zip(ours).map(|(nerve, ours)| nerve / ours).collect();
            text.push_str(&row("  nerve / smartstack", &ratios));
        }
    }
    text.push_str(
        "start: process started -> all registered; healthy, sick: the service's answer changes -> its\n\
         znode is there or gone (mean, worst); stop: SIGTERM -> all gone. Checked once a second.\n\
         nerve's lines were measured before, on two processors of another machine.\n",
    );
    text
}

fn row(name: &str, figures: &[f64]) -> String {
    let cells: Vec<String> = figures.iter().map(|figure| format!("{figure:>10.2}")).collect();
    format!("{name:<22}{}\n", cells.concat())
}

fn document(lines: &[Line]) -> String {
    let keys = [
        "cpu_percent",
        "resident_mib",
        "start_s",
        "healthy_mean_s",
        "healthy_worst_s",
        "sick_mean_s",
        "sick_worst_s",
        "stop_s",
    ];
    let line = |line: &Line| {
        let pairs =
            keys.iter().zip(figures(line)).map(|(key, figure)| ((*key).to_owned(), json!(figure)));
        let mut object: serde_json::Map<String, Value> = pairs.collect();
        object.insert("services".to_owned(), json!(line.services));
        Value::Object(object)
    };
    let lines: Vec<Value> = lines.iter().map(line).collect();
    format!("{:#}\n", Value::Array(lines))
}
