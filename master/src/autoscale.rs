//! `paasta-master autoscale`, and the old command `autoscale_all_services`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, Parser};
use jiff::Timestamp;
use paasta_master::{
    autoscaling::{
        Load, Scaled,
        history::History,
        measure::{self, CpuTimes, Unmeasured},
        policy::{Autoscaling, PidState, Policy, Provider},
    },
    deploy::{
        journal::Journal,
        lines::{Level, Line},
        sight::{self, Listing},
        wanted::{Unmet, Written},
    },
    lock,
    marathon::{
        Shards,
        running::{RunningApp, Task},
    },
    mesos::Mesos,
    scaled::Counts,
    zookeeper,
};
use serde_json::{Value, json};
use soa_configs::{
    json as exact,
    load::{DesiredState, LoadError},
    tree,
    yaml::Node,
};
use zookeeper_client::Client;

use crate::{
    Outcome, complain,
    of_instances::{Gathered, OfInstances},
};

const ROOT: &str = "/autoscaling";

/// Give autoscaled instances as many tasks as they have to do.
///
/// Of each instance with max_instances, asks its tasks (or the Mesos agents) how busy they are, decides by its
/// decision_policy, and writes the count into ZooKeeper, where deployments read it. Run it every five minutes.
/// Nothing is done while the znode /autoscaling/paused holds a time to come, or while another one runs.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 an instance could not be measured or a file is broken (the others are scaled),
2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master autoscale
  paasta-master autoscale web.main --dry-run
  paasta-master autoscale --json | jq '.instances[] | select(.from != .to)'")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfInstances,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Give autoscaled instances as many tasks as they have to do.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master autoscale.
#[derive(Parser)]
#[command(name = "autoscale_all_services", version)]
pub(crate) struct AsBefore {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,
}

/// # Errors
/// When Marathon or ZooKeeper does not answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Some(gathered) = arguments.of.gather()? else { return Ok(Outcome::Usage) };
    crate::block_on(scale(&gathered, arguments.dry_run, Some(arguments.json)))
}

/// # Errors
/// See [`run`].
pub(crate) fn run_as_before(AsBefore { soa_dir }: AsBefore) -> anyhow::Result<Outcome> {
    let of = OfInstances { names: Vec::new(), soa_dir, cluster: None };
    let Some(gathered) = of.gather()? else { return Ok(Outcome::Usage) };
    crate::block_on(scale(&gathered, false, None))
}

/// `as_json`: `None` for no output at all.
async fn scale(
    gathered: &Gathered,
    dry_run: bool,
    as_json: Option<bool>,
) -> anyhow::Result<Outcome> {
    let hosts = gathered.settings.zookeeper()?;
    let client = zookeeper::connect(hosts).await?;
    if let Some(until) = paused(&client).await? {
        complain(&format!("autoscaling is paused until {until} by {ROOT}/paused"));
        return Ok(Outcome::Complete);
    }
    let Some(lock) = lock::take(&client, &format!("{ROOT}/autoscaling.lock")).await? else {
        complain("another autoscaler is at work; nothing is done");
        return Ok(Outcome::Complete);
    };
    let scaler = Scaler { gathered, client: &client, hosts, dry_run };
    let scaled = scaler.all().await;
    lock.release().await.context("the lock is kept until the session ends")?;
    let (scaled, failed) = scaled?;
    let text = match as_json {
        None => String::new(),
        Some(true) => {
            let all: Vec<Value> = scaled.iter().map(Change::in_json).collect();
            format!("{:#}\n", json!({"cluster": gathered.cluster.as_str(), "instances": all}))
        }
        Some(false) => {
            let line = |change: &Change| format!("{}: {}\n", change.name, change.line().text);
            scaled.iter().map(line).collect()
        }
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    let is_complete = failed == 0 && gathered.is_whole;
    Ok(if is_complete { Outcome::Complete } else { Outcome::Incomplete })
}

/// Until when nothing is to be done, in seconds since 1970, if that is to come.
async fn paused(client: &Client) -> anyhow::Result<Option<f64>> {
    let path = format!("{ROOT}/paused");
    let found = zookeeper::get(client, &path).await.context(path)?;
    let until = found.and_then(|text| String::from_utf8_lossy(&text).trim().parse::<f64>().ok());
    Ok(until.filter(|until| *until > now()))
}

fn now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

/// What becomes of one instance.
struct Change {
    name: String,
    from: i64,
    to: i64,
    utilization: f64,
    in_words: String,
    /// It should have fewer, but what runs is too far from what is wanted.
    is_held: bool,
}

impl Change {
    fn line(&self) -> Line {
        let Self { from, to, in_words, .. } = self;
        if self.is_held {
            let text =
                format!("Not scaling {} down to {to}: too many or too few tasks run", self.name);
            return Line { level: Level::Debug, text };
        }
        if from == to {
            let text = format!("Staying at {from} instances ({in_words})");
            return Line { level: Level::Debug, text };
        }
        Line::event(format!("Scaling from {from} to {to} instances ({in_words})"))
    }

    fn in_json(&self) -> Value {
        json!({
            "instance": self.name, "from": self.from,
            "to": if self.is_held { self.from } else { self.to },
            "utilization": self.utilization, "reason": self.line().text,
        })
    }
}

struct Scaler<'s> {
    gathered: &'s Gathered,
    client: &'s Client,
    hosts: &'s str,
    dry_run: bool,
}

/// An instance that is to be scaled.
struct Target {
    written: Written,
    autoscaling: Autoscaling,
    /// Current, least and most.
    counts: (i64, i64, i64),
}

impl Scaler<'_> {
    async fn all(&self) -> anyhow::Result<(Vec<Change>, usize)> {
        let shards = Shards::of(&self.gathered.settings);
        let apps = Listing::of(sight::all_apps(&shards).await?);
        let journal = Journal::new(&self.gathered.settings, self.gathered.cluster.as_str());
        let tell = |service: &str, name: &str, line: &Line| {
            let written = if self.dry_run { Ok(()) } else { journal.write(service, name, line) };
            written.unwrap_or_else(|error| complain(&format!("{service}.{name}: {error}")));
        };
        let (mut changes, mut failed) = (Vec::new(), 0);
        for (service, name) in &self.gathered.instances {
            let full = format!("{service}.{name}");
            match self.one(service, name, &apps).await {
                Ok(Some(change)) => {
                    tell(service, name, &change.line());
                    changes.push(change);
                }
                Ok(None) => {}
                Err(error) => {
                    complain(&format!("{full}: {error:#}"));
                    tell(service, name, &Line::event(format!("Caught Exception {error:#}")));
                    failed += usize::from(error.downcast_ref() != Some(&Unmeasured::NoPast));
                }
            }
        }
        Ok((changes, failed))
    }

    /// `None`: it is not autoscaled, or does it by itself.
    async fn target(&self, service: &str, name: &str) -> anyhow::Result<Option<Target>> {
        let files = self.gathered.files(service);
        let written = match Written::load(files, service, name, &self.gathered.cluster) {
            Err(Unmet::Load(LoadError::NoDeployments(_))) => return Ok(None),
            written => written?,
        };
        let Written { config, deployment, .. } = &written;
        let is_started = deployment.control.desired_state == DesiredState::Start;
        let Some(max) = config.max_instances.as_ref().filter(|max| is_started && !max.is_falsy())
        else {
            return Ok(None);
        };
        let autoscaling = Autoscaling::read(&config.autoscaling()?)?;
        if autoscaling.policy == Policy::Bespoke {
            return Ok(None);
        }
        let scaled = Counts::over(self.client.clone(), self.hosts).of(service, name).await?;
        let whole = |node: &Node| -> anyhow::Result<i64> {
            exact::canonical(node)?.parse().context("instances: expected a whole number")
        };
        let counts = (whole(&config.count(scaled))?, whole(&config.min_instances)?, whole(max)?);
        Ok(Some(Target { written, autoscaling, counts }))
    }

    async fn one(
        &self,
        service: &str,
        name: &str,
        apps: &Listing,
    ) -> anyhow::Result<Option<Change>> {
        let Some(target) = self.target(service, name).await? else { return Ok(None) };
        let apps = apps.named(service, name);
        if let Some(odd) = apps.iter().find_map(|app| app.odd.clone()) {
            return Err(odd.into());
        }
        let tasks: Vec<&Task> = apps.iter().flat_map(|app| healthy(app, &target)).collect();
        anyhow::ensure!(!tasks.is_empty(), Unmeasured::NoTasks);
        let root = format!("{ROOT}/{service}/{name}");
        let utilization = self.measure(&target, &root, &tasks).await?;
        let (current, min, max) = target.counts;
        let (setpoint, healthy) = (target.autoscaling.setpoint, tasks.len());
        let load = Load { current, min, max, healthy, utilization, setpoint, now: now() };
        let history = self.get(&format!("{root}/historical_load")).await?.unwrap_or_default();
        let pid = self.pid(&root).await?;
        let scaled = load.scaled(&target.autoscaling.policy, History::read(&history), pid);
        let Some(to) = scaled.to else { return Ok(None) };
        let is_held = to < current && load.is_unsettled(tasks.len());
        if !self.dry_run {
            self.remember(&root, &scaled).await?;
            if to != current && !is_held {
                self.put(&format!("{root}/instances"), to.to_string().as_bytes()).await?;
            }
        }
        let in_words = load.in_words();
        let name = format!("{service}.{name}");
        Ok(Some(Change { name, from: current, to, utilization, in_words, is_held }))
    }

    async fn measure(&self, target: &Target, root: &str, tasks: &[&Task]) -> anyhow::Result<f64> {
        match &target.autoscaling.provider {
            Provider::Http(endpoint) => Ok(measure::http(tasks, endpoint).await?),
            Provider::Uwsgi(endpoint) => Ok(measure::uwsgi(tasks, endpoint).await?),
            Provider::MesosCpu => {
                let (data, last) = (format!("{root}/cpu_data"), format!("{root}/cpu_last_time"));
                let before = self.get(&data).await?.unwrap_or_default();
                let before = CpuTimes::read(&String::from_utf8_lossy(&before));
                // Seconds of which nobody knows when they were counted compare with nothing.
                let time = self.number(&last).await?.unwrap_or(f64::INFINITY);
                let mesos = Mesos::read(&self.gathered.settings.mesos_config_path)?;
                let seen = CpuTimes::ask(tasks, &mesos.scheme).await;
                let now = now();
                // Agents that do not answer take nothing back of what they said before.
                if !self.dry_run && !seen.is_empty() {
                    // The time first: a run that ends in between makes the next one see too much, not too little.
                    self.put(&last, format!("{:.0}", now.floor()).as_bytes()).await?;
                    self.put(&data, seen.text().as_bytes()).await?;
                }
                let burst = target.written.config.container.cpu_burst_pct.as_f64();
                let is_filtered = self.gathered.settings.filter_bogus_mesos_cputime;
                let most = burst.filter(|_| is_filtered).map(|percent| 1.0 + percent / 100.0);
                Ok(seen.since(&before, now - time, most)?)
            }
        }
    }

    async fn pid(&self, root: &str) -> anyhow::Result<PidState> {
        let read = async |name: &str| {
            let number = self.number(&format!("{root}/{name}")).await?;
            anyhow::Ok(number.unwrap_or_default())
        };
        Ok(PidState {
            iterm: read("pid_iterm").await?,
            last_error: read("pid_last_error").await?,
            last_time: read("pid_last_time").await?,
        })
    }

    async fn remember(&self, root: &str, scaled: &Scaled) -> anyhow::Result<()> {
        if let Some(history) = &scaled.history {
            self.put(&format!("{root}/historical_load"), &history.bytes()).await?;
        }
        if let Some(PidState { iterm, last_error, last_time }) = scaled.pid {
            let values = [("iterm", iterm), ("last_error", last_error), ("last_time", last_time)];
            for (name, value) in values {
                self.put(&format!("{root}/pid_{name}"), value.to_string().as_bytes()).await?;
            }
        }
        Ok(())
    }

    async fn number(&self, path: &str) -> anyhow::Result<Option<f64>> {
        let found = self.get(path).await?.unwrap_or_default();
        let number = String::from_utf8_lossy(&found).trim().parse::<f64>().ok();
        Ok(number.filter(|number| number.is_finite()))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        zookeeper::get(self.client, path).await.with_context(|| path.to_owned())
    }

    async fn put(&self, path: &str, data: &[u8]) -> anyhow::Result<()> {
        zookeeper::put(self.client, path, data).await.with_context(|| path.to_owned())
    }
}

/// Tasks that count: healthy ones, and those without a result of which none is expected, or which had time
/// enough for one.
fn healthy<'a>(app: &'a RunningApp, target: &Target) -> Vec<&'a Task> {
    let check = target.written.config.health_check.as_ref();
    let seconds = |node: Option<&Node>, default| node.and_then(Node::as_f64).unwrap_or(default);
    let grace = seconds(check.map(|check| &check.grace_period), 60.0);
    let interval = seconds(check.map(|check| &check.interval), 10.0);
    let is_old = |task: &Task| {
        let age = |started: Timestamp| Timestamp::now().duration_since(started).as_secs_f64();
        task.started_at.is_some_and(|started| age(started) > grace + 5.0 * interval)
    };
    let counts = |task: &&Task| match task.alive.as_slice() {
        [] => !app.has_health_checks || is_old(task),
        alive => alive.iter().all(|alive| *alive),
    };
    app.tasks.iter().filter(counts).collect()
}
