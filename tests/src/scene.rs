//! What most tests begin with: one host that serves one namespace.

use std::{collections::BTreeSet, io, ops::Deref};

use zookeeper_client::Client;

use crate::{
    Docker, Host, Service, ZooKeeper,
    docker::{Recipe, unique},
    web,
};

/// A host with a running HAProxy and agent, and a namespace that no other test uses.
#[derive(Debug)]
pub struct Scene {
    pub host: Host,
    pub docker: Docker,
    /// `SERVICE.main`
    pub namespace: String,
    /// Where HAProxy serves it.
    pub proxy: u16,
}

impl Deref for Scene {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Scene {
    /// With the embedded registry.
    ///
    /// # Errors
    /// When something cannot be started.
    pub fn embedded() -> io::Result<Self> {
        Self::new("{kind: embedded}", "", "")
    }

    /// With records in `zookeeper`.
    ///
    /// # Errors
    /// When something cannot be started.
    pub fn on(zookeeper: &ZooKeeper) -> io::Result<Self> {
        Self::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()), "", "")
    }

    /// With these settings for `registry`, more settings of the agent, and more keys of the namespace
    /// (`  key: value` lines).
    ///
    /// # Errors
    /// When something cannot be started.
    pub fn new(registry: &str, settings: &str, keys: &str) -> io::Result<Self> {
        let (docker, service) = (Docker::local()?, unique("web"));
        let mut host = Host::new(registry)?;
        let proxy = host.namespace(&service, keys)?;
        host.settings.push_str(settings);
        host.start_haproxy()?;
        host.start_agent()?;
        Ok(Self { host, docker, namespace: format!("{service}.main"), proxy })
    }

    /// The service of the namespace.
    #[must_use]
    pub fn service(&self) -> &str {
        self.namespace.trim_end_matches(".main")
    }

    /// Starts a container that serves the namespace.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn serve(&self, name: &str) -> io::Result<Service> {
        self.serve_lingering(name, 0)
    }

    /// Starts a container that goes on serving for a while after SIGTERM.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn serve_lingering(&self, name: &str, linger_ms: u64) -> io::Result<Service> {
        let labels =
            [("smartstack.namespace", self.namespace.as_str()), ("smartstack.port", "8888")];
        let recipe = Recipe { labels: &labels, linger_ms, ..Recipe::default() };
        let service = self.docker.create(&unique(name), &recipe)?;
        service.start()?;
        Ok(service)
    }

    /// Waits until HAProxy shows so many servers, all of them up.
    pub async fn until_served_by(&self, count: usize) -> serde_json::Value {
        self.until_up(&self.namespace, count).await
    }

    /// Who answers through HAProxy, over enough requests to meet every server.
    pub async fn answering(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for _ in 0..12 {
            let (status, body) = web::get(self.proxy, "/").await.unwrap_or_default();
            if status == 200 {
                names.insert(body.trim().replace("hello from ", ""));
            }
        }
        names
    }

    /// The znode above the v2 records of the namespace.
    #[must_use]
    pub fn records(&self) -> String {
        format!("/smartstack/global/{}", self.namespace)
    }

    /// Waits until the namespace has so many v2 records.
    pub async fn until_registered(&self, client: &Client, count: usize) {
        crate::eventually(&format!("{count} records"), || async {
            let children = client.list_children(&self.records()).await;
            let children = children.map_err(|error| error.to_string())?;
            if children.len() == count { Ok(()) } else { Err(format!("{children:?}")) }
        })
        .await;
    }
}
