//! One host with so many services: an agent, a ZooKeeper and a responder of its own.

use std::time::Duration;

use end_to_end::{Host, ZooKeeper, eventually, processes};
use tokio::time::{self, Instant};
use zookeeper_client::Client;

use super::{Failure, responder::Responder};

/// Between two looks. Timers are no finer.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Nothing takes so long; something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Dropping it ends everything.
#[derive(Debug)]
pub(crate) struct Fleet {
    host: Host,
    zookeeper: ZooKeeper,
    responder: Responder,
    client: Client,
    services: usize,
}

/// What the agent took of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Of one processor, in percent.
    pub(crate) cpu: f64,
    pub(crate) resident_mib: f64,
}

impl Fleet {
    /// Everything but the agent, which does not run yet.
    pub(crate) async fn set(services: usize) -> Result<Self, Failure> {
        let zookeeper = ZooKeeper::start().await?;
        let responder = Responder::start(services).await?;
        // One znode for each service, as in the measurements of nerve.
        let registry =
            format!("{{hosts: ['{}'], layouts: [v2], on_stop: withdraw}}", zookeeper.hosts());
        let mut host = Host::new(&registry)?;
        host.settings.push_str("docker: {enabled: false}\ndamping: {falls: 0}\n");
        let mut tasks = String::new();
        for number in 0..services {
            let port = responder.port;
            let keys = format!(
                "{{proxy_port: null, healthcheck_port: {port}, healthcheck_uri: /{number}}}"
            );
            host.soa(&format!("s{number}"), &format!("main: {keys}\n"))?;
            let listens = 10_000 + number;
            tasks.push_str(&format!(
                "- {{name: s{number}, namespaces: [s{number}.main], port: {listens}, interval: 1s}}\n"
            ));
        }
        host.write("tasks.yaml", &tasks)?;
        let client = zookeeper.client().await?;
        Ok(Self { host, zookeeper, responder, client, services })
    }

    /// From the start of the process to the last record.
    pub(crate) async fn start(&mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        self.host.start_agent_with(&[("SMARTSTACK_LOG", "warn")])?;
        self.until_ephemerals(self.services).await?;
        Ok(begun.elapsed())
    }

    /// From the signal to the last record's end.
    pub(crate) async fn stop(&mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let (gone, code) = tokio::join!(
            async {
                until_ephemerals(&self.zookeeper, 0).await?;
                Ok::<_, Failure>(begun.elapsed())
            },
            self.host.stop_agent(),
        );
        code?;
        gone
    }

    async fn until_ephemerals(&self, count: usize) -> Result<(), Failure> {
        until_ephemerals(&self.zookeeper, count).await
    }

    /// Makes a service sick or well; from then until ZooKeeper says the same.
    pub(crate) async fn turn(&self, service: usize, well: bool) -> Result<Duration, Failure> {
        let parent = format!("/smartstack/global/s{service}.main");
        let (children, _, watcher) = self.client.get_and_watch_children(&parent).await?;
        if children.is_empty() != well {
            return Err(format!("service {service} is not as it should be: {children:?}").into());
        }
        let begun = Instant::now();
        self.responder.set(service, well);
        time::timeout(PATIENCE, watcher.changed()).await?;
        Ok(begun.elapsed())
    }

    /// What the agent takes while nothing changes.
    pub(crate) async fn rest(&self, length: Duration) -> Result<Usage, Failure> {
        let pid = self.host.agent_pid().ok_or("the agent does not run")?;
        let cpu = || processes::cpu_time(pid).ok_or("the kernel shows no CPU time");
        let (before, begun) = (cpu()?, Instant::now());
        time::sleep(length).await;
        let taken = (cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let memory = processes::memory(pid).ok_or("the kernel shows no memory")?;
        #[expect(clippy::cast_precision_loss, reason = "a memory size has few digits that count")]
        let resident_mib = memory.now_kib as f64 / 1024.0;
        Ok(Usage { cpu: taken * 100.0, resident_mib })
    }

    /// Waits until checks have found their times.
    pub(crate) async fn settle(&self) {
        let up = format!("{} tasks are up", self.services);
        eventually(&up, || async {
            let (_, text) = end_to_end::web::get(self.host.admin.number, "/metrics").await?;
            let line = format!("nerve_watchers_up {}", self.services);
            if text.lines().any(|found| found == line) { Ok(()) } else { Err(Failure::from(line)) }
        })
        .await;
    }
}

async fn until_ephemerals(zookeeper: &ZooKeeper, count: usize) -> Result<(), Failure> {
    let end = Instant::now() + PATIENCE;
    let expected = format!("zk_ephemerals_count\t{count}");
    loop {
        let answer = zookeeper.ask("mntr").await?;
        if answer.lines().any(|line| line == expected) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("there never were {count} records").into());
        }
        time::sleep(LOOK_EVERY).await;
    }
}
