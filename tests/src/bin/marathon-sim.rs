//! The Marathon simulator by hand: it prints what happens, and its tasks answer HTTP.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use end_to_end::{
    Marathon, by_hand,
    marathon::{Behaviour, Health, Host, HttpTasks, Moment, Script, Settings},
};

/// A simulated Marathon 1.4 on this machine, to try deployments against.
///
/// It answers the REST interface of Marathon, refuses what Marathon refuses, and prints every change of
/// state. No Mesos is behind it: a task is a tiny HTTP server on its host's address (127.a.b.N) that
/// answers with its own id, whatever the app says is to be run.
///
/// Patterns are those of app ids with their leading slash, and `*` stands for anything: `/web.*`.
///
/// Example:
///   marathon-sim --hosts 5 --start-delay 4 --fail '/web.broken.*'
#[derive(Debug, Parser)]
#[command(name = "marathon-sim", version, max_term_width = 100, verbatim_doc_comment)]
struct Arguments {
    /// How many hosts there are.
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=254))]
    hosts: u8,
    /// Port of 127.0.0.1 to listen on; 0 for any.
    #[arg(long, default_value = "8080")]
    port: u16,
    /// How long a task is staged before it runs.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    start_delay: Duration,
    /// How long a task runs before its first health check succeeds.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    health_delay: Duration,
    /// Tasks of apps like this fail to start; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    fail: Vec<String>,
    /// Tasks of apps like this run and are never healthy; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    sick: Vec<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Arguments {
    fn script(&self) -> Script {
        let good = Behaviour {
            start_delay: self.start_delay,
            health_delay: self.health_delay,
            check_every: Some(Duration::from_secs(1)),
            ..Behaviour::default()
        };
        let sick = Behaviour { health: Health::Bad, ..good };
        let failing = Behaviour { fails_to_start: true, ..good };
        let with = |script: Script, patterns: &[String], behaviour: Behaviour| {
            patterns.iter().fold(script, |script, pattern| script.with(pattern, behaviour))
        };
        with(with(Script::all(good), &self.sick, sick), &self.fail, failing)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    by_hand::ending("marathon-sim", run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    let settings = Settings {
        hosts: Host::some(arguments.hosts),
        script: arguments.script(),
        runner: Some(Arc::new(HttpTasks::finishing())),
        ..Settings::default()
    };
    let hosts = settings.hosts.clone();
    let marathon = Marathon::start_on(arguments.port, settings)
        .await
        .map_err(|error| by_hand::no_port(arguments.port, &error))?;
    let events = marathon.follow();
    introduce(&marathon, &hosts)?;
    by_hand::print(events, |event| format!("{} {event}", Moment::now())).await
}

fn introduce(marathon: &Marathon, hosts: &[Host]) -> io::Result<()> {
    let url = marathon.url();
    let hosts: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    by_hand::say(&format!(
        "Marathon (simulated): {url}\nhosts: {}\n\nTry, from another terminal:\n  \
         curl -s {url}/v2/apps -H 'Content-Type: application/json' \\\n    \
         -d '{{\"id\": \"web.main\", \"cmd\": \"run\", \"instances\": 2, \"healthChecks\": [{{\"path\": \"/\"}}]}}'\n  \
         curl -s '{url}/v2/apps?embed=apps.tasks'\n  \
         curl -s -X PUT '{url}/v2/apps//web.main?force=true' -d '{{\"instances\": 1}}'\n  \
         curl -s -X DELETE {url}/v2/apps//web.main\n\nCtrl-C ends it. What happens:",
        hosts.join(" ")
    ))
}
