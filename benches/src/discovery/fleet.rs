//! One host that discovers a large fleet.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use end_to_end::{Host, ZooKeeper, host::REGION, processes, web};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{self, Instant},
};
use zookeeper_client::{Acls, Client, CreateMode};

use super::{Failure, stub::Stub};

/// What systemd/smartstack.service sets, and no line of log for each change.
const AS_IN_THE_UNIT: &[(&str, &str)] =
    &[("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "131072"), ("SMARTSTACK_LOG", "warn")];
/// Where the other hosts are.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);
/// In each namespace.
const RECORDS: usize = 10;
/// In one transaction.
const AT_ONCE: usize = 500;
/// Between two changes: those that follow each other at once in one namespace are read together.
const PAUSE: Duration = Duration::from_millis(120);
/// Between two looks. Timers are no finer.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Nothing takes so long; something is broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where services of no measurement listen; the kernel gives these ports to no client.
const PORTS: std::ops::Range<u16> = 2000..11_900;

/// Dropping it ends everything.
#[derive(Debug)]
pub(crate) struct Fleet {
    host: Host,
    client: Client,
    probe: Pool,
    bulk: Pool,
    stays: Stub,
    comes: Stub,
    _hacheck: Stub,
    _zookeeper: ZooKeeper,
}

#[derive(Clone, Debug)]
struct Pool {
    namespace: String,
    port: u16,
}

impl Fleet {
    /// Everything but the agent, which does not run yet.
    pub(crate) async fn set(namespaces: usize) -> Result<Self, Failure> {
        let zookeeper = ZooKeeper::start().await?;
        let client = zookeeper.client().await?;
        let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
        host.settings.push_str("docker: {enabled: false}\n");
        let hacheck = Stub::on((ELSEWHERE, host.hacheck.number).into()).await?;
        let (stays, comes) =
            (Stub::on((ELSEWHERE, 0).into()).await?, Stub::on((ELSEWHERE, 0).into()).await?);
        let mut ports =
            PORTS.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        let mut pools = Vec::new();
        for number in 0..namespaces {
            let service = format!("s{number}");
            let port = ports.next().ok_or("there are not enough free ports")?;
            host.soa(&service, &format!("main: {{proxy_port: {port}, balance: roundrobin}}\n"))?;
            pools.push(Pool { namespace: format!("{service}.main"), port });
        }
        let [others @ .., bulk, probe] = &pools[..] else {
            return Err("two namespaces at least".into());
        };
        let mut records = Vec::new();
        for pool in others {
            records.extend((0..RECORDS).map(|n| (pool.namespace.clone(), n, nobody(n))));
        }
        records.push((probe.namespace.clone(), 0, stays.address));
        for pool in &pools {
            make_parent(&client, &pool.namespace).await?;
        }
        for records in records.chunks(AT_ONCE) {
            create(&client, records).await?;
        }
        host.start_haproxy()?;
        let (probe, bulk) = (probe.clone(), bulk.clone());
        Ok(Self {
            host,
            client,
            probe,
            bulk,
            stays,
            comes,
            _hacheck: hacheck,
            _zookeeper: zookeeper,
        })
    }

    /// From the start of the process to the first request through HAProxy: all of its configuration
    /// comes with one reload.
    pub(crate) async fn start(&mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        self.host.start_agent_with(AS_IN_THE_UNIT)?;
        let stays = self.stays.address.port();
        until(|| async { Ok(self.answers().await == Some(stays)) }).await?;
        let cold = begun.elapsed();
        self.host.until("it has settled", |report| report["haproxy"]["alarm"].is_null()).await;
        Ok(cold)
    }

    /// What HAProxy itself takes to start with this configuration.
    pub(crate) async fn plain_reload(&self) -> Result<Duration, Failure> {
        let before = self.worker().await?;
        let begun = Instant::now();
        // It is away for a moment while it starts itself over.
        until(|| async { Ok(self.ask_master("reload").await.is_ok()) }).await?;
        until(|| async { Ok(self.worker().await.is_ok_and(|now| now != before)) }).await?;
        let took = begun.elapsed();
        // The agent takes the new worker up by itself.
        let stays = self.stays.address.port();
        until(|| async { Ok(self.answers().await == Some(stays)) }).await?;
        time::sleep(Duration::from_secs(2)).await;
        Ok(took)
    }

    async fn ask_master(&self, command: &str) -> std::io::Result<()> {
        let mut master = UnixStream::connect(self.host.path("master.sock")).await?;
        master.write_all(format!("{command}\n").as_bytes()).await?;
        let _ = master.read_to_end(&mut Vec::new()).await;
        Ok(())
    }

    async fn worker(&self) -> Result<String, Failure> {
        let info = self.host.haproxy("show info").await?;
        let pid = info.lines().find(|line| line.starts_with("Pid:"));
        Ok(pid.ok_or("haproxy has no pid")?.to_owned())
    }

    /// Who serves one request of the probe.
    async fn answers(&self) -> Option<u16> {
        match web::get(self.probe.port, "/").await {
            Ok((200, body)) => body.parse().ok(),
            _ => None,
        }
    }

    /// A record comes and goes: until it is served, and until HAProxy sends nothing there.
    pub(crate) async fn turn(&self) -> Result<(Duration, Duration), Failure> {
        let (namespace, comes) = (self.probe.namespace.clone(), self.comes.address);
        time::sleep(PAUSE).await;
        let begun = Instant::now();
        create(&self.client, &[(namespace.clone(), 1, comes)]).await?;
        until(|| async { Ok(self.answers().await == Some(comes.port())) }).await?;
        let created = begun.elapsed();
        time::sleep(PAUSE).await;
        let begun = Instant::now();
        self.client.delete(&path(&namespace, 1), None).await?;
        let name = format!("other_{comes} ");
        until(|| async {
            let state = self.host.haproxy(&format!("show servers state {namespace}")).await?;
            let row = state.lines().find(|line| line.contains(&name));
            // The seventh word: the bits of maintenance.
            let bits: Option<u32> = row.and_then(|row| row.split(' ').nth(6)?.parse().ok());
            Ok(row.is_none() || bits.is_some_and(|bits| bits & 0x23 != 0))
        })
        .await?;
        let deleted = begun.elapsed();
        until(|| async {
            let state = self.host.haproxy(&format!("show servers state {namespace}")).await?;
            Ok(!state.contains(&name))
        })
        .await?;
        Ok((created, deleted))
    }

    /// Many servers in one transaction, until HAProxy has all of them.
    pub(crate) async fn many(&self, count: usize) -> Result<Duration, Failure> {
        let namespace = &self.bulk.namespace;
        let records: Vec<_> = (0..count).map(|n| (namespace.clone(), n, nobody(n))).collect();
        let begun = Instant::now();
        create(&self.client, &records).await?;
        until(|| async {
            let state = self.host.haproxy(&format!("show servers state {namespace}")).await?;
            // Two lines say what the others mean.
            Ok(state.trim().lines().count() == count + 2)
        })
        .await?;
        Ok(begun.elapsed())
    }

    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let pid = self.host.agent_pid().ok_or("the agent does not run")?;
        Ok(processes::cpu_time(pid).ok_or("the kernel shows no CPU time")?)
    }

    #[expect(clippy::cast_precision_loss, reason = "a memory size has few digits that count")]
    pub(crate) fn resident_mib(&self) -> Result<f64, Failure> {
        let pid = self.host.agent_pid().ok_or("the agent does not run")?;
        let memory = processes::memory(pid).ok_or("the kernel shows no memory")?;
        Ok(memory.now_kib as f64 / 1024.0)
    }
}

/// An address of another host at which nobody listens.
fn nobody(number: usize) -> SocketAddr {
    (ELSEWHERE, 20_000 + u16::try_from(number).unwrap_or_default()).into()
}

fn path(namespace: &str, number: usize) -> String {
    format!("/smartstack/global/{namespace}/other_{number:010}")
}

async fn make_parent(client: &Client, namespace: &str) -> Result<(), Failure> {
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    Ok(client.mkdir(&format!("/smartstack/global/{namespace}"), &open).await?)
}

async fn create(client: &Client, records: &[(String, usize, SocketAddr)]) -> Result<(), Failure> {
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let mut all = client.new_multi_writer();
    for (namespace, number, address) in records {
        let record = json!({
            "host": address.ip(), "port": address.port(), "name": "other", "weight": 10,
            "labels": { format!("region:{REGION}"): "" },
        });
        all.add_create(&path(namespace, *number), record.to_string().as_bytes(), &ephemeral)?;
    }
    all.commit().await.map_err(|error| format!("cannot write records: {error}"))?;
    Ok(())
}

async fn until<F: Future<Output = Result<bool, Failure>>>(
    mut holds: impl FnMut() -> F,
) -> Result<(), Failure> {
    let end = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > end {
            return Err("it never comes to that".into());
        }
        time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
