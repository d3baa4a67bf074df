//! Where everything is measured: one host on a real ZooKeeper, HAProxy and Docker Engine.

use std::{collections::BTreeMap, sync::Arc};

use end_to_end::{Docker, Host, Service, ZooKeeper, docker::unique, host::servers};
use serde_json::Value;
use tokio::task;
use zookeeper_client::Client;

use crate::{Failure, arguments::Measurement};

/// The pool in which the floor is measured.
const FLOOR: &str = "floor";

/// One pool of the host.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) namespace: String,
    /// Where HAProxy serves it.
    pub(crate) port: u16,
}

/// The host and what it runs on. Dropping it ends everything.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) host: Host,
    pub(crate) docker: Docker,
    /// Not the agent's own.
    pub(crate) client: Client,
    pub(crate) zookeeper: ZooKeeper,
    pools: BTreeMap<&'static str, Pool>,
}

impl Scene {
    /// Starts everything; each measurement has a pool of its own.
    pub(crate) async fn set(measurements: &[Measurement]) -> Result<Self, Failure> {
        let docker = Docker::local()?;
        let zookeeper = ZooKeeper::start().await?;
        let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
        let mut pools = BTreeMap::new();
        let names = measurements.iter().map(|one| one.name());
        for name in names.chain([FLOOR]) {
            let service = unique(name);
            let more = "  keepalive: true\n  advertise: [region, superregion]\n";
            let port = host.namespace(&service, more)?;
            pools.insert(name, Pool { namespace: format!("{service}.main"), port });
        }
        host.start_haproxy()?;
        // As in production: the harness writes more into the log.
        host.start_agent_with(&[("SMARTSTACK_LOG", "info,zookeeper_client=warn")])?;
        let client = zookeeper.client().await?;
        let scene = Self { host, docker, client, zookeeper, pools };
        let ready = |report: &Value| {
            report["backends"].as_array().map(Vec::len) == Some(scene.pools.len())
                && report["haproxy"]["fingerprint_running"].is_string()
        };
        scene.host.until("haproxy serves all pools", ready).await;
        Ok(scene)
    }

    /// The pool of a measurement.
    pub(crate) fn pool(&self, measurement: Measurement) -> Result<Pool, Failure> {
        self.pool_called(measurement.name())
    }

    /// The pool in which the floor is measured.
    pub(crate) fn floor(&self) -> Result<Pool, Failure> {
        self.pool_called(FLOOR)
    }

    fn pool_called(&self, name: &str) -> Result<Pool, Failure> {
        Ok(self.pools.get(name).cloned().ok_or_else(|| format!("there is no pool {name}"))?)
    }

    /// Waits until HAProxy has `count` servers in the pool, all up, and every local task of it is
    /// `up` with all its records written.
    pub(crate) async fn settled(&self, pool: &Pool, count: usize) {
        let namespace = &pool.namespace;
        self.host
            .until(&format!("{count} servers of {namespace} serve"), |report| {
                let servers = servers(report, namespace);
                let up = |(_, status): &(String, String)| status.starts_with("UP");
                servers.len() == count && servers.iter().all(up) && tasks_are_up(report, namespace)
            })
            .await;
    }

    /// Waits until HAProxy has no server in the pool any more.
    pub(crate) async fn empty(&self, pool: &Pool) {
        let command = format!("show servers state {}", pool.namespace);
        end_to_end::eventually("haproxy has no server any more", || async {
            let shown = self.host.haproxy(&command).await.map_err(|error| error.to_string())?;
            // A version and a header line.
            let rows = shown.lines().filter(|line| !line.is_empty()).count();
            if rows <= 2 { Ok(()) } else { Err(shown) }
        })
        .await;
        self.host
            .until("no task is left", |report| {
                let tasks = report["tasks"].as_array().into_iter().flatten();
                !tasks.into_iter().any(|task| task["namespace"] == pool.namespace.as_str())
                    && servers(report, &pool.namespace).is_empty()
            })
            .await;
    }
}

/// Whether all local tasks of a namespace are up and all their records are written.
fn tasks_are_up(report: &Value, namespace: &str) -> bool {
    let tasks = report["tasks"].as_array().into_iter().flatten();
    let ours = tasks.filter(|task| task["namespace"] == namespace);
    let written = |task: &Value| {
        let mut records = task["records"].as_array().into_iter().flatten();
        task["state"] == "up" && records.all(|record| record["znode"].is_string())
    };
    ours.into_iter().all(written)
}

/// Does something to a container beside the other tasks: the harness waits for the program `docker`.
pub(crate) async fn with<F>(service: &Arc<Service>, act: F) -> Result<(), Failure>
where
    F: FnOnce(&Service) -> std::io::Result<()> + Send + 'static,
{
    let service = Arc::clone(service);
    Ok(task::spawn_blocking(move || act(&service)).await??)
}
