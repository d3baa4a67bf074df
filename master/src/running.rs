//! `paasta-master run`: deploys all the time.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use paasta_master::{
    daemon::{
        lead::{Ended, Terms, lead},
        status::{self, Status},
    },
    deploy::{guard, pass::Deployer},
    lock, zookeeper,
};
use soa_configs::{
    Cluster,
    paasta::{self, Settings},
    tree,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time,
};

use crate::{Outcome, complain};

/// Where PaaSTA's own daemon is elected, so that not both lead.
const ELECTION: &str = "/paasta-deployd-leader";
/// Between two tries to lead.
const PAUSE: Duration = Duration::from_secs(5);

/// Deploy all the time: notice what changes in soa-configs, deployments.json, the autoscaler's counts and the
/// hosts that Mesos is to empty, and bounce it.
///
/// Run it on every master: one leads, by a lock in ZooKeeper that PaaSTA's deployd knows too, and the others
/// wait. What changes comes first, by bounce_priority; after a start everything else is looked at slowly
/// (deployd_startup_bounce_rate). Workers, rates and back-off are the deployd_ keys in /etc/paasta.
///
/// When a change would stop too much of what runs, nothing is begun until it is taken back or deployed by hand
/// with paasta-master deploy --force.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it was asked to stop, 1 it cannot start, 2 the arguments are wrong or the cluster is not known.

Examples:
  paasta-master run
  curl -s http://127.0.0.1:6670/status.json | jq .complaints")]
pub(crate) struct Arguments {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Where /status.json and /metrics are
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 6670)))]
    listen: SocketAddr,

    /// Seconds between two looks at soa-configs
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    look_every: NonZeroU64,

    /// Bounces under way at once on one group of Marathon servers [default: deployd_number_workers]
    #[arg(long, value_name = "N")]
    for_each_marathon: Option<NonZeroUsize>,

    /// Begin nothing when more than this share of all running tasks would be stopped with nothing in their place
    #[arg(long, value_name = "SHARE", default_value_t = guard::MOST, value_parser = crate::share)]
    most_stopped: f64,

    /// Kill tasks that cannot be drained, as PaaSTA does: clients lose what they ask of them
    #[arg(long)]
    kill_undrained: bool,
}

/// # Errors
/// When the system configuration cannot be read, or the status cannot be served.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(until_stopped(arguments));
    // A look at the files may hang on a broken disk.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn until_stopped(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let (status, seen) = watch::channel(Arc::new(Status::default()));
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        served = status::serve(arguments.listen, seen) => {
            let error = served.err().map_or_else(|| anyhow::anyhow!("it ended"), Into::into);
            Err(error).with_context(|| format!("--listen {}", arguments.listen))
        }
        outcome = deploy(arguments, &status) => outcome,
        _ = term.recv() => Ok(Outcome::Complete),
        _ = int.recv() => Ok(Outcome::Complete),
    }
}

/// With one system configuration after the other. Returns when there is none to begin with.
async fn deploy(
    arguments: &Arguments,
    status: &watch::Sender<Arc<Status>>,
) -> anyhow::Result<Outcome> {
    let mut settings = crate::settings()?;
    let mut is_reload = false;
    loop {
        let Some(cluster) = crate::own_cluster(&settings) else { return Ok(Outcome::Usage) };
        let standby = Status { cluster: cluster.to_string(), ..Status::default() };
        status.send_replace(Arc::new(standby));
        match elected(arguments, &settings, &cluster, is_reload, status).await {
            Ok(Ended::Reconfigured) => {
                is_reload = true;
                // One that cannot be read is none: the last one stands.
                match crate::settings() {
                    Ok(read) => settings = read,
                    Err(error) => {
                        complain(&format!("{error:#}"));
                        time::sleep(PAUSE).await;
                    }
                }
            }
            Ok(Ended::Deposed(why)) => {
                complain(&format!("it does not lead any more: {why}"));
                is_reload = false;
                time::sleep(PAUSE).await;
            }
            Err(error) => {
                complain(&format!("it cannot lead: {error:#}"));
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn elected(
    arguments: &Arguments,
    settings: &Settings,
    cluster: &Cluster,
    is_reload: bool,
    status: &watch::Sender<Arc<Status>>,
) -> anyhow::Result<Ended> {
    let client = zookeeper::connect(settings.zookeeper()?).await?;
    let name = nix::unistd::gethostname().unwrap_or_default();
    let lock = lock::wait(&client, ELECTION, name.as_encoded_bytes()).await.context(ELECTION)?;
    let deployer = Deployer::new(settings, cluster, arguments.kill_undrained)
        .context("synapse_haproxy_url_format")?;
    let workers = usize::from(settings.deployd.workers.get());
    let terms = Terms {
        soa_dir: &arguments.soa_dir,
        look_every: Duration::from_secs(arguments.look_every.get()),
        for_each_marathon: arguments.for_each_marathon.map_or(workers, NonZeroUsize::get),
        most_stopped: arguments.most_stopped,
        is_reload,
    };
    let is_other = || read().is_some_and(|read| read != *settings);
    let ended = lead(&deployer, &lock, terms, status, is_other, complain).await;
    // Whoever is next need not wait for the end of the session; it may be over already.
    let _ = lock.release().await;
    Ok(ended)
}

/// The system configuration, if it can be read now.
fn read() -> Option<Settings> {
    let dir = crate::system_dir();
    Settings::read(&paasta::load(&dir).ok()??, &dir).ok()
}
