//! Measures discovery as synapse was measured: how soon a record of another host is served, how long a
//! start takes, and what a large fleet costs.
//!
//! docs/measurements.md says what each line means.

mod fleet;
#[path = "../outcome.rs"]
mod outcome;
mod stub;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use serde_json::json;
use tokio::time;

use self::{fleet::Fleet, outcome::Failure};

/// Of a measurement at rest.
const REST: Duration = Duration::from_secs(20);
/// Of everything.
const LIMIT: Duration = Duration::from_secs(900);
/// In one change.
const MANY: usize = 1000;

/// Measures how records become servers.
///
/// Starts a ZooKeeper, a HAProxy and an agent of its own on free ports of 127.0.0.1, with so many
/// namespaces and ten records in each, and prints a line for each number of namespaces.
#[derive(Debug, Parser)]
#[command(name = "bench-discovery", version, max_term_width = 100)]
struct Arguments {
    /// Numbers of namespaces.
    #[arg(default_values = ["100", "500", "3000"])]
    namespaces: Vec<usize>,
    /// How often a record comes and goes.
    #[arg(long, default_value_t = 100)]
    turns: usize,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

/// All times in milliseconds.
struct Line {
    namespaces: usize,
    cold: f64,
    haproxy: f64,
    created: Vec<f64>,
    deleted: Vec<f64>,
    many: f64,
    cpu_idle: f64,
    cpu_per_change: f64,
    resident_mib: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    outcome::print("bench-discovery", LIMIT, async {
        let lines = measure(&arguments).await?;
        Ok(if arguments.json { document(&lines) } else { table(&lines) })
    })
    .await
}

async fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for namespaces in &arguments.namespaces {
        let _ = writeln!(io::stderr(), "{namespaces} namespaces ...");
        lines.push(line(*namespaces, arguments.turns).await?);
    }
    Ok(lines)
}

async fn line(namespaces: usize, turns: usize) -> Result<Line, Failure> {
    let mut fleet = Fleet::set(namespaces).await?;
    let cold = fleet.start().await?;
    let haproxy = fleet.plain_reload().await?;
    let (before, idle) = (fleet.cpu()?, time::Instant::now());
    time::sleep(REST).await;
    let cpu_idle = (fleet.cpu()? - before).as_secs_f64() / idle.elapsed().as_secs_f64() * 100.0;
    let (mut created, mut deleted) = (Vec::new(), Vec::new());
    let (before, begun) = (fleet.cpu()?, time::Instant::now());
    for _ in 0..turns {
        let (first, last) = fleet.turn().await?;
        created.push(first.as_secs_f64() * 1000.0);
        deleted.push(last.as_secs_f64() * 1000.0);
    }
    let spent = (fleet.cpu()? - before).as_secs_f64();
    let at_rest = begun.elapsed().as_secs_f64() * cpu_idle / 100.0;
    let changes = f64::from(u32::try_from(2 * turns)?);
    let many = fleet.many(MANY).await?;
    Ok(Line {
        namespaces,
        cold: cold.as_secs_f64() * 1000.0,
        haproxy: haproxy.as_secs_f64() * 1000.0,
        created,
        deleted,
        many: many.as_secs_f64() * 1000.0,
        cpu_idle,
        cpu_per_change: (spent - at_rest) / changes * 1000.0,
        resident_mib: fleet.resident_mib()?,
    })
}

/// By nearest rank.
fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

fn figures(line: &Line) -> [f64; 10] {
    [
        percentile(&line.created, 50),
        percentile(&line.created, 99),
        percentile(&line.deleted, 50),
        percentile(&line.deleted, 99),
        line.many,
        line.cold,
        line.haproxy,
        line.cpu_idle,
        line.cpu_per_change,
        line.resident_mib,
    ]
}

const COLUMNS: [&str; 10] = [
    "created",
    "p99",
    "deleted",
    "p99",
    "1000 more",
    "cold",
    "reload",
    "idle %",
    "a change",
    "MiB",
];

fn table(lines: &[Line]) -> String {
    let head: Vec<String> = COLUMNS.iter().map(|column| format!("{column:>10}")).collect();
    let mut text = format!("{:<12}{}\n", "namespaces", head.concat());
    for line in lines {
        let cells = figures(line).map(|figure| format!("{figure:>10.1}"));
        text.push_str(&format!("{:<12}{}\n", line.namespaces, cells.concat()));
    }
    text.push_str(
        "Times in ms. created: znode created -> first request served by it; deleted: znode deleted -> out of\n\
         service in HAProxy; 1000 more: written in one transaction -> all in HAProxy; cold: agent started -> HAProxy\n\
         serves all; reload: a plain reload of that HAProxy; a change: CPU time of the agent.\n",
    );
    text
}

fn document(lines: &[Line]) -> String {
    let keys = [
        "created_median_ms",
        "created_p99_ms",
        "deleted_median_ms",
        "deleted_p99_ms",
        "thousand_more_ms",
        "cold_start_ms",
        "plain_reload_ms",
        "cpu_idle_percent",
        "cpu_per_change_ms",
        "resident_mib",
    ];
    let line = |line: &Line| {
        let pairs =
            keys.iter().zip(figures(line)).map(|(key, figure)| ((*key).to_owned(), json!(figure)));
        let mut object: serde_json::Map<String, serde_json::Value> = pairs.collect();
        object.insert("namespaces".to_owned(), json!(line.namespaces));
        serde_json::Value::Object(object)
    };
    format!("{:#}\n", serde_json::Value::Array(lines.iter().map(line).collect()))
}
