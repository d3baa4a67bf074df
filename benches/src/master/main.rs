//! How long the commands beside Marathon take, for a thousand instances, beside what PaaSTA's took on a machine
//! of the same kind (marathon-sync.md §28). Marathon and Mesos are simulated in this process; ZooKeeper is real.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

#[path = "../run.rs"]
mod run;

use std::time::Duration;

use end_to_end::{
    Marathon, MesosMaster, Place, ZooKeeper,
    marathon::{Host, Settings},
};
use serde_json::json;

use self::run::{Took, run};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SERVICES: usize = 100;
const INSTANCES: usize = 10;
const STARTS: usize = 20;
const COMMANDS: [&str; 10] = [
    "autoscale",
    "check-replication",
    "chronos deploy",
    "cleanup",
    "deploy",
    "generate-deployments",
    "instances",
    "plan",
    "render marathon",
    "run",
];

/// What PaaSTA's commands took: to start, for each of a thousand instances on two processors, and to render
/// all of them in one process.
const THEIR_START: Duration = Duration::from_millis(430);
const THEIR_PASS: Duration = Duration::from_secs(215);
const THEIR_RENDER: Duration = Duration::from_millis(563);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let hosts = Host::some(20);
    let mesos = MesosMaster::start(&hosts).await?;
    let marathon = Marathon::start(Settings { hosts, ..Settings::default() }).await?;
    let zookeeper = ZooKeeper::start().await?;
    let place = Place::new()?;
    let master = json!({"profile": "default", "default": {"master": mesos.leader()}});
    place.file("mesos.json", &master.to_string())?;
    let system = json!({
        "cluster": "c1", "docker_registry": "reg.example.net", "volumes": [],
        "zookeeper": zookeeper.hosts(), "sensu_host": null, "log_writer": {"driver": "null"},
        "marathon_servers": [{"url": [marathon.url()], "user": "u", "password": "p"}],
        "mesos_config": {"path": place.path().join("mesos.json")},
    });
    place.file("etc/all.json", &system.to_string())?;
    for service in 0..SERVICES {
        let names: Vec<String> = (0..INSTANCES).map(|number| format!("i{number}")).collect();
        let lines: String = names.iter().map(|name| format!("{name}: {{cpus: 0.1}}\n")).collect();
        place.file(&format!("soa/s{service}/marathon-c1.yaml"), &lines)?;
        let image = json!({"docker_image": format!("services-s{service}:paasta-0123456789abcdef")});
        let v1: serde_json::Map<_, _> =
            names.iter().map(|n| (format!("s{service}:paasta-c1.{n}"), image.clone())).collect();
        place.file(&format!("soa/s{service}/deployments.json"), &json!({"v1": v1}).to_string())?;
    }
    println!("start of each command (--help), median of {STARTS}");
    for command in COMMANDS {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(run(&place, &words).await?.wall);
        }
        starts.sort_unstable();
        row(command, starts[STARTS / 2], THEIR_START);
    }
    let took = run(&place, &["instances", "-d", "soa", "--minimal"]).await?;
    show("1,000 apps rendered and compared with an empty Marathon", &took, THEIR_RENDER);
    let took = run(&place, &["plan", "-d", "soa", "--json"]).await?;
    println!("a plan of all their fields: {:.1?}, {:.1} MiB at most", took.wall, took.mebibytes());
    let took = run(&place, &["deploy", "-d", "soa"]).await?;
    // Most of it is the simulated Marathon's.
    println!("a pass that creates 1,000 apps: {:.1?}", took.wall);
    let took = run(&place, &["deploy", "-d", "soa"]).await?;
    show("a steady pass over 1,000 instances", &took, THEIR_PASS);
    let writes = marathon.calls().iter().filter(|call| call.method != "GET").count();
    println!("calls that change something, in all passes: {writes}");
    Ok(())
}

fn show(what: &str, took: &Took, theirs: Duration) {
    println!("{what}, {:.1} MiB at most", took.mebibytes());
    row("ours", took.wall, theirs);
}

fn row(who: &str, ours: Duration, theirs: Duration) {
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "  {who} {ours:.1?}, PaaSTA's on another machine {theirs:.1?}: {ratio:.0} times faster"
    );
}
