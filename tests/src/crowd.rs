//! Containers that come and go.

use std::{
    collections::BTreeSet,
    io, thread,
    time::{Duration, Instant},
};

use zookeeper_client::Client;

use crate::{
    Docker, Scene, Service,
    docker::{Recipe, unique},
    eventually,
    ports::Port,
    records::ports,
};

/// So many docker commands run at the same time.
const HANDS: usize = 20;

/// Containers that serve one namespace. Dropping it removes them.
#[derive(Debug)]
pub struct Crowd {
    docker: Docker,
    namespace: String,
    containers: Vec<Service>,
    /// Kept for them.
    ports: Vec<Port>,
}

/// Where they listen.
#[derive(Clone, Copy, Debug)]
pub enum Network {
    /// On a port that Docker publishes, another one after each start.
    Bridge,
    /// On a port of this machine. Docker starts these more than twice as fast.
    Host,
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Churned {
    pub starts: usize,
    pub kills: usize,
    pub took: Duration,
}

impl Crowd {
    /// So many containers, of which none runs.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn create(scene: &Scene, count: usize, network: Network) -> io::Result<Self> {
        let mut crowd = Self {
            docker: scene.docker.clone(),
            namespace: scene.namespace.clone(),
            containers: Vec::new(),
            ports: Vec::new(),
        };
        for _ in 0..count {
            let port = Port::free()?;
            let (inside, options) = match network {
                Network::Bridge => (8888, &[][..]),
                Network::Host => (port.number, &["--net", "host"][..]),
            };
            let label = inside.to_string();
            let labels =
                [("smartstack.namespace", crowd.namespace.as_str()), ("smartstack.port", &label)];
            let recipe = Recipe { labels: &labels, options, ..Recipe::default() };
            let container = crowd.docker.create_on(&unique("churn"), &recipe, inside)?;
            crowd.containers.push(container);
            crowd.ports.push(port);
        }
        Ok(crowd)
    }

    /// Starts those that do not run and kills those that do, one after the other, at most `rate` a
    /// second; blocks for `length`.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn churn(&self, length: Duration, rate: f64) -> io::Result<Churned> {
        let begun = Instant::now();
        let share = self.containers.len().div_ceil(HANDS).max(1);
        let pause = Duration::from_secs_f64(self.containers.len().div_ceil(share) as f64 / rate);
        let done = thread::scope(|scope| {
            let shares = self.containers.chunks(share);
            let hands: Vec<_> = shares
                .map(|share| scope.spawn(move || turn(&self.docker, share, begun + length, pause)))
                .collect();
            let join = |hand: thread::ScopedJoinHandle<'_, io::Result<Churned>>| {
                hand.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked")))
            };
            hands.into_iter().map(join).collect::<io::Result<Vec<_>>>()
        })?;
        let sum = |of: fn(&Churned) -> usize| done.iter().map(of).sum();
        let (starts, kills) = (sum(|done| done.starts), sum(|done| done.kills));
        Ok(Churned { starts, kills, took: begun.elapsed() })
    }

    /// The ports of those that run, as `docker ps` shows them.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn running(&self) -> io::Result<BTreeSet<u64>> {
        let filter = format!("label=smartstack.namespace={}", self.namespace);
        let format = "{{.Label \"smartstack.port\"}}:{{.Ports}}";
        let shown = self.docker.run(&["ps", "--filter", &filter, "--format", format])?;
        let port = |line: &str| {
            // `8888:127.0.0.1:32768->8888/tcp`, or `12345:`
            let published = line.split("->").next().unwrap_or_default().trim_end_matches(':');
            let port = published.rsplit(':').next().unwrap_or_default().parse();
            port.map_err(|_| io::Error::other(format!("no port in `{line}`")))
        };
        shown.lines().filter(|line| !line.is_empty()).map(port).collect()
    }

    /// Waits until the records in ZooKeeper are those of what runs, in both layouts.
    pub async fn until_registered(&self, client: &Client) {
        eventually("ZooKeeper equals docker ps", || async {
            let expected = self.running().map_err(|error| error.to_string())?;
            let expected: Vec<u64> = expected.into_iter().collect();
            let found = ports(client, &self.namespace).await.map_err(|error| error.to_string())?;
            let same = found.iter().all(|layout| *layout == expected);
            if same { Ok(()) } else { Err(format!("docker {expected:?}, zookeeper {found:?}")) }
        })
        .await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the pace of a thread that does nothing else")]
fn turn(
    docker: &Docker,
    containers: &[Service],
    end: Instant,
    pause: Duration,
) -> io::Result<Churned> {
    let mut running = containers.iter().map(Service::is_running).collect::<io::Result<Vec<_>>>()?;
    let (mut done, mut next) = (Churned::default(), Instant::now());
    for at in (0..containers.len()).cycle() {
        let now = Instant::now();
        if now >= end {
            break;
        }
        thread::sleep(next.saturating_duration_since(now));
        next += pause;
        if running[at] {
            // Every third may say goodbye.
            let signal = if done.kills % 3 == 0 { "TERM" } else { "KILL" };
            docker.post(&format!("/containers/{}/kill?signal={signal}", containers[at].id))?;
            done.kills += 1;
        } else {
            docker.post(&format!("/containers/{}/start", containers[at].id))?;
            done.starts += 1;
        }
        running[at] = !running[at];
    }
    Ok(done)
}
