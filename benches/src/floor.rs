//! What the parts take by themselves; no agent can be faster.

use std::time::Duration;

use end_to_end::web;
use tokio::time::Instant;
use zookeeper_client::{Acls, CreateMode};

use crate::{
    Failure,
    figures::Figures,
    foreign::Foreign,
    scene::{Pool, Scene},
};

/// Of each operation; they are short.
const RUNS: usize = 200;

/// Single operations, measured in the same run as everything else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floors {
    pub(crate) request: Figures,
    pub(crate) create: Figures,
    pub(crate) add_server: Figures,
}

/// What a change cannot be faster than.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Floor {
    /// A record, a server, a request.
    Server,
    /// A command of HAProxy and a request.
    Command,
}

impl Floors {
    /// The median of what `floor` is made of.
    pub(crate) fn of(&self, floor: Floor) -> Duration {
        let command = self.add_server.median + self.request.median;
        match floor {
            Floor::Server => self.create.median + command,
            Floor::Command => command,
        }
    }
}

/// Measures each operation alone, one after the other.
pub(crate) async fn measure(scene: &Scene) -> Result<Floors, Failure> {
    let pool = scene.floor()?;
    let server = Foreign::start().await?;
    server.register(&scene.client, &pool).await?;
    scene.settled(&pool, 1).await;
    let (mut request, mut create, mut add) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        let begun = Instant::now();
        web::get(pool.port, "/").await?;
        request.push(begun.elapsed());
        create.push(one_create(scene).await?);
        add.push(one_server(scene, &pool, run).await?);
    }
    let [request, create, add_server] = [request, create, add].map(Figures::of);
    Ok(Floors { request, create, add_server })
}

/// The kind of node that a record is, where nobody watches.
async fn one_create(scene: &Scene) -> Result<Duration, Failure> {
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let begun = Instant::now();
    let (_, sequence) = scene.client.create("/bench_", &[b'x'; 200], &options).await?;
    let took = begun.elapsed();
    scene.client.delete(&format!("/bench_{sequence}"), None).await?;
    Ok(took)
}

/// A server that gets no request: it is added in maintenance.
async fn one_server(scene: &Scene, pool: &Pool, run: usize) -> Result<Duration, Failure> {
    let name = format!("{}/by-hand-{run}", pool.namespace);
    let begun = Instant::now();
    let reply = scene.host.haproxy(&format!("add server {name} 127.0.0.1:1")).await?;
    let took = begun.elapsed();
    if !reply.contains("New server registered") {
        return Err(format!("add server: {}", reply.trim()).into());
    }
    scene.host.haproxy(&format!("del server {name}")).await?;
    Ok(took)
}
