//! How long the commands around Chronos take, for a thousand jobs, beside what PaaSTA's took on a machine of the
//! same kind (chronos-sync.md §15). Chronos is simulated in this process.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

#[path = "../run.rs"]
mod run;

use std::{collections::HashMap, time::Duration};

use clap::Parser;
use end_to_end::{
    Chronos, Place,
    chronos::{Call, Settings},
};
use serde_json::{Map, Value, json};

use self::run::{Took, run};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SERVICES: usize = 100;
const JOBS: usize = 10;

/// What PaaSTA's commands took on two processors: to list; and ten times what a pass over a hundred jobs took,
/// by five processes at once. Each job asks for all jobs twice, so a thousand take longer than that.
const THEIR_LIST: Duration = Duration::from_millis(270);
const THEIR_LIST_KIB: u64 = 30 << 10;
const THEIR_STEADY: Duration = Duration::from_secs(190);
const THEIR_CREATION: Duration = Duration::from_secs(260);

/// Measures the commands around Chronos.
#[derive(Debug, Parser)]
#[command(name = "bench-chronos", version)]
struct Arguments {
    /// How often each is run; of starts, so often and tenfold.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let runs = Arguments::parse().runs;
    let chronos = Chronos::start(Settings::default()).await?;
    let place = Place::new()?;
    lay_out(&place, &chronos)?;
    println!("medians, of {runs} runs each; {} jobs of {SERVICES} services", SERVICES * JOBS);

    let start = median(&place, &["chronos", "deploy", "--help"], runs * 10).await?;
    println!("start (--help): {:.1?}", start.wall);
    let list = median(&place, &["chronos", "list", "-d", "soa"], runs).await?;
    show("list", list, THEIR_LIST);
    let less = THEIR_LIST_KIB as f64 / list.most_kib.max(1) as f64;
    println!("  theirs 30.0 MiB: {less:.1} times as much memory");

    let mut creations = Vec::new();
    for _ in 0..runs {
        forget(&chronos);
        creations.push(run(&place, &["chronos", "deploy", "-d", "soa"]).await?);
        check_creation(&chronos.calls())?;
    }
    // Much of it is the simulated Chronos'.
    show("all created, parents first", middle(creations), THEIR_CREATION);
    chronos.forget_calls();
    let steady = median(&place, &["chronos", "deploy", "-d", "soa"], runs).await?;
    show("nothing to change", steady, THEIR_STEADY);
    let calls = chronos.calls();
    let writes = calls.iter().filter(|call| call.is_write()).count();
    println!("  {} listings and {writes} writes in {runs} passes", calls.len() - writes);
    chronos.forget_calls();
    let check = median(&place, &["chronos", "check", "-d", "soa"], runs).await?;
    println!("check: {:.1?}, {:.1} MiB at most", check.wall, check.mebibytes());
    Ok(())
}

/// A hundred services of ten jobs: the first of each has a schedule, the others have one or two parents among
/// those before them, of another service, too.
fn lay_out(place: &Place, chronos: &Chronos) -> Result<(), Failure> {
    let system = json!({
        "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
        "chronos_config": {"url": [chronos.url()], "user": "u", "password": "p"},
        "sensu_host": null, "log_writer": {"driver": "null"},
    });
    place.file("etc/all.json", &system.to_string())?;
    for service in 0..SERVICES {
        let mut jobs = Map::new();
        let mut deployed = Map::new();
        for number in 0..JOBS {
            let body = if number == 0 {
                json!({"schedule": "R/2030-01-01T00:00:00Z/PT1H", "cmd": "run"})
            } else {
                let other = (service + 37) % SERVICES;
                let parents =
                    [format!("s{service}.j{}", number - 1), format!("s{other}.j{}", number / 2)];
                json!({"parents": parents, "cmd": "run"})
            };
            jobs.insert(format!("j{number}"), body);
            let image = format!("services-s{service}:paasta-0123456789abcdef");
            let entry =
                json!({"docker_image": image, "desired_state": "start", "force_bounce": null});
            deployed.insert(format!("s{service}:paasta-c1.j{number}"), entry);
        }
        let jobs = Value::Object(jobs).to_string();
        place.file(&format!("soa/s{service}/chronos-c1.yaml"), &jobs)?;
        let deployed = json!({"v1": deployed}).to_string();
        place.file(&format!("soa/s{service}/deployments.json"), &deployed)?;
    }
    Ok(())
}

/// Chronos is as at first.
fn forget(chronos: &Chronos) {
    chronos.change(|machine| machine.clear());
    chronos.forget_calls();
}

fn check_creation(calls: &[Call]) -> Result<(), Failure> {
    let writes: Vec<&Call> = calls.iter().filter(|call| call.is_write()).collect();
    if writes.len() != SERVICES * JOBS || calls.len() != writes.len() + 1 {
        return Err(format!("{} writes of {} calls", writes.len(), calls.len()).into());
    }
    let place: HashMap<String, usize> =
        writes.iter().enumerate().map(|(at, call)| (call.job(), at)).collect();
    for (at, call) in writes.iter().enumerate() {
        let body: Value = serde_json::from_str(&call.body)?;
        for parent in body["parents"].as_array().into_iter().flatten() {
            let before = parent.as_str().and_then(|parent| place.get(parent));
            if before.is_none_or(|before| *before > at) {
                return Err(format!("{} comes before its parent {parent}", call.job()).into());
            }
        }
    }
    Ok(())
}

fn show(what: &str, took: Took, theirs: Duration) {
    let ratio = theirs.as_secs_f64() / took.wall.as_secs_f64();
    println!(
        "{what}: {:.1?}, {:.1} MiB at most\n  \
         PaaSTA's on another machine {theirs:.1?} at least: {ratio:.0} times faster",
        took.wall,
        took.mebibytes(),
    );
}

async fn median(place: &Place, words: &[&str], runs: u32) -> Result<Took, Failure> {
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(run(place, words).await?);
    }
    Ok(middle(all))
}

/// By time, with the most memory that any took.
fn middle(mut all: Vec<Took>) -> Took {
    all.sort_unstable_by_key(|took| took.wall);
    let wall = all.get(all.len() / 2).map_or(Duration::ZERO, |took| took.wall);
    Took { wall, most_kib: all.iter().map(|took| took.most_kib).max().unwrap_or(0) }
}
