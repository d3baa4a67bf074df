//! The way to ZooKeeper.

use std::time::Duration;

use tokio::time;
use zookeeper_client::{Client, Error as Refused};

/// Until a session is there (marathon-sync.md §14).
const PATIENCE: Duration = Duration::from_secs(15);
const SESSION: Duration = Duration::from_secs(10);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum Unconnected {
    #[error("ZooKeeper at {hosts}")]
    Refused {
        hosts: String,
        #[source]
        source: Refused,
    },
    #[error("ZooKeeper at {hosts} does not answer within {} s", PATIENCE.as_secs())]
    Late { hosts: String },
}

/// A session with `hosts`, a chroot included, as `zookeeper` stands in the system configuration.
///
/// # Errors
/// When no server can be reached in 15 s.
pub async fn connect(hosts: &str) -> Result<Client, Unconnected> {
    let connector = Client::connector().with_session_timeout(SESSION).with_fail_eagerly();
    let connecting = connector.with_connection_timeout(SESSION).connect(hosts);
    let connected = time::timeout(PATIENCE, connecting).await;
    let connected = connected.map_err(|_| Unconnected::Late { hosts: hosts.to_owned() })?;
    connected.map_err(|source| Unconnected::Refused { hosts: hosts.to_owned(), source })
}
