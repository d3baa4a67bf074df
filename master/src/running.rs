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
        jobs,
        lead::{Ended, Terms, lead},
        status::{self, Sources, Status},
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
/// hosts that Mesos is to empty, and bounce it; write, remove and check the jobs of Chronos.
///
/// Run it on every master: one leads, by a lock in ZooKeeper that PaaSTA's deployd knows too, and the others
/// wait. What changes comes first, by bounce_priority; after a start everything else is looked at slowly
/// (deployd_startup_bounce_rate). Workers, rates and back-off are the deployd_ keys in /etc/paasta.
///
/// When a change would stop too much of what runs, nothing is begun until it is taken back or deployed by hand
/// with paasta-master deploy --force. Of Chronos, nothing is removed when it would be too much.
///
/// Where chronos_config is in /etc/paasta, a change of a job is written as soon as it is seen, and every minute
/// everything is compared, what is nobody's is removed, and Sensu is told how the last runs went.
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

    /// Begin nothing when more than this share of all running tasks would be stopped with nothing in their place,
    /// and remove nothing when it is more than this share of all jobs
    #[arg(long, value_name = "SHARE", default_value_t = guard::MOST, value_parser = crate::share)]
    most_stopped: f64,

    /// Seconds between two rounds over Chronos while nothing changes
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    chronos_every: NonZeroU64,

    /// The team that runs Chronos: it is told by an event whether Chronos answers
    #[arg(long, value_name = "TEAM")]
    chronos_team: Option<String>,

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
    let (chronos, seen_of_chronos) = watch::channel(None);
    let sources = Sources { status: seen, chronos: seen_of_chronos };
    let publishers = Publishers { status, chronos };
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        served = status::serve(arguments.listen, sources) => {
            let error = served.err().map_or_else(|| anyhow::anyhow!("it ended"), Into::into);
            Err(error).with_context(|| format!("--listen {}", arguments.listen))
        }
        outcome = deploy(arguments, &publishers) => outcome,
        _ = term.recv() => Ok(Outcome::Complete),
        _ = int.recv() => Ok(Outcome::Complete),
    }
}

/// What is told of what it does.
struct Publishers {
    status: watch::Sender<Arc<Status>>,
    chronos: jobs::Publisher,
}

/// With one system configuration after the other. Returns when there is none to begin with.
async fn deploy(arguments: &Arguments, publishers: &Publishers) -> anyhow::Result<Outcome> {
    let mut settings = crate::settings()?;
    let mut is_reload = false;
    loop {
        let Some(cluster) = crate::own_cluster(&settings) else { return Ok(Outcome::Usage) };
        let standby = Status { cluster: cluster.to_string(), ..Status::default() };
        publishers.status.send_replace(Arc::new(standby));
        publishers.chronos.send_replace(None);
        match elected(arguments, (&settings, &cluster), is_reload, publishers).await {
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
    (settings, cluster): (&Settings, &Cluster),
    is_reload: bool,
    Publishers { status, chronos }: &Publishers,
) -> anyhow::Result<Ended> {
    let client = zookeeper::connect(settings.zookeeper()?).await?;
    let name = nix::unistd::gethostname().unwrap_or_default();
    let lock = lock::wait(&client, ELECTION, name.as_encoded_bytes()).await.context(ELECTION)?;
    let deployer = Deployer::new(settings, cluster, arguments.kill_undrained)
        .context("synapse_haproxy_url_format")?;
    let workers = usize::from(settings.deployd.workers.get());
    let look_every = Duration::from_secs(arguments.look_every.get());
    let terms = Terms {
        soa_dir: &arguments.soa_dir,
        look_every,
        for_each_marathon: arguments.for_each_marathon.map_or(workers, NonZeroUsize::get),
        most_stopped: arguments.most_stopped,
        is_reload,
    };
    let is_other = || read().is_some_and(|read| read != *settings);
    let of_chronos = jobs::Terms {
        soa_dir: &arguments.soa_dir,
        look_every,
        round_every: Duration::from_secs(arguments.chronos_every.get()),
        most_removed: arguments.most_stopped,
        team: arguments.chronos_team.as_deref(),
    };
    let jobs = Box::pin(async {
        match &settings.chronos {
            Some(servers) => {
                let cared = jobs::Cared { settings, cluster, servers };
                jobs::follow(cared, &lock, of_chronos, chronos, complain).await
            }
            None => std::future::pending().await,
        }
    });
    let ended = tokio::select! {
        ended = Box::pin(lead(&deployer, &lock, terms, status, is_other, complain)) => ended,
        ended = jobs => ended,
    };
    // Whoever is next need not wait for the end of the session; it may be over already.
    let _ = lock.release().await;
    Ok(ended)
}

/// The system configuration, if it can be read now.
fn read() -> Option<Settings> {
    let dir = crate::system_dir();
    Settings::read(&paasta::load(&dir).ok()??, &dir).ok()
}
