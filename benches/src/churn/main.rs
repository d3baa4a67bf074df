//! Two hundred containers come and go on one host; afterwards ZooKeeper must equal `docker ps`.
//!
//! docs/measurements.md says what each line means.

#[path = "../outcome.rs"]
mod outcome;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use end_to_end::{Churned, Crowd, Network, Scene, ZooKeeper, processes};
use tokio::{task::spawn_blocking, time::Instant};

use self::outcome::Failure;

/// Making and removing containers included.
const LIMIT: Duration = Duration::from_secs(900);

/// Starts and kills containers, and compares ZooKeeper with `docker ps` afterwards.
///
/// Starts a ZooKeeper, a HAProxy and an agent of its own on free ports of 127.0.0.1, and containers on
/// this machine's Docker, which are removed at the end.
#[derive(Debug, Parser)]
#[command(name = "bench-churn", version, max_term_width = 100)]
struct Arguments {
    /// So many containers.
    #[arg(long, default_value_t = 200)]
    containers: usize,
    /// Starts and kills a second, if Docker is fast enough.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// For so long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

struct Figures {
    churned: Churned,
    equal_after: Duration,
    running: usize,
    /// Of one processor.
    cpu: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    outcome::print("bench-churn", LIMIT, async { Ok(text(&measure(&arguments).await?)) }).await
}

async fn measure(arguments: &Arguments) -> Result<Figures, Failure> {
    let zookeeper = ZooKeeper::start().await?;
    let client = zookeeper.client().await?;
    let scene = Scene::on(&zookeeper)?;
    let _ = writeln!(io::stderr(), "{} containers ...", arguments.containers);
    let crowd = Arc::new(Crowd::create(&scene, arguments.containers, Network::Host)?);
    crowd.until_registered(&client).await;
    let pid = scene.agent_pid().ok_or("the agent does not run")?;
    let cpu = || processes::cpu_time(pid).ok_or("the kernel shows no CPU time");
    let before = cpu()?;
    let (many, rate) = (Arc::clone(&crowd), arguments.rate);
    let length = Duration::from_secs(arguments.seconds);
    let churned = spawn_blocking(move || many.churn(length, rate)).await??;
    let ended = Instant::now();
    crowd.until_registered(&client).await;
    let equal_after = ended.elapsed();
    let cpu = (cpu()? - before).as_secs_f64() / (churned.took + equal_after).as_secs_f64();
    Ok(Figures { churned, equal_after, running: crowd.running()?.len(), cpu })
}

fn text(figures: &Figures) -> String {
    let Churned { starts, kills, took } = figures.churned;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let rate = (starts + kills) as f64 / took.as_secs_f64();
    format!(
        "starts {starts}, kills {kills} in {:.1} s: {rate:.1} a second\n\
         after the last of them ZooKeeper equals docker ps ({} run) within {:.2} s, the time of docker ps included\n\
         agent: {:.1} % of one processor\n",
        took.as_secs_f64(),
        figures.running,
        figures.equal_after.as_secs_f64(),
        figures.cpu * 100.0,
    )
}
