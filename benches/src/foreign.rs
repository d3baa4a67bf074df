//! Servers of another host, as far as the agent can tell: it knows them only by their records.

use std::process::Stdio;

use end_to_end::{
    docker::unique,
    host::{REGION, program},
    ports::Port,
    web,
};
use serde_json::json;
use tokio::process::{Child, Command};
use zookeeper_client::{Acls, Client, CreateMode};

use crate::{Failure, scene::Pool};

/// A small HTTP server. Dropping it kills it; its record stays for as long as the client's session.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) name: String,
    port: Port,
    _process: Child,
}

impl Foreign {
    /// Starts it and waits until it answers.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let (name, port) = (unique("foreign"), Port::free()?);
        let process = Command::new(program("smartstack"))
            .args(["demo-service", "--name", &name, "--port", &port.number.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        end_to_end::eventually("the server answers", || web::get(port.number, "/")).await;
        Ok(Self { name, port, _process: process })
    }

    /// Writes its record into the pool as another host would, in one operation; returns the path.
    pub(crate) async fn register(&self, client: &Client, pool: &Pool) -> Result<String, Failure> {
        let record = json!({
            "host": "127.0.0.1", "port": self.port.number, "name": "other-host", "weight": 10,
            "labels": { format!("region:{REGION}"): "" },
        });
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        let prefix = format!("/smartstack/global/{}/other-host_", pool.namespace);
        let (_, sequence) = client.create(&prefix, record.to_string().as_bytes(), &options).await?;
        Ok(format!("{prefix}{sequence}"))
    }
}
