//! The way to ZooKeeper.

use std::time::Duration;

use parking_lot::Mutex;
use soa_configs::paasta::{NotConfigured, Settings};
use tokio::time;
use zookeeper_client::{Acls, Client, CreateMode, Error as Refused};

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
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
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

/// A session when one is needed, and another one when it is over.
#[derive(Debug)]
pub struct Sessions {
    hosts: Result<String, NotConfigured>,
    current: Mutex<Option<Client>>,
}

impl Sessions {
    /// With the ZooKeeper of this system configuration. One that is not configured is missed when it is needed.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { hosts: settings.zookeeper().map(str::to_owned), current: Mutex::new(None) }
    }

    /// # Errors
    /// See [`connect`].
    pub async fn client(&self) -> Result<Client, Unconnected> {
        let living = self.current.lock().clone().filter(|client| !client.state().is_terminated());
        if let Some(client) = living {
            return Ok(client);
        }
        // Several may connect at once; the last one's session stays, the others end with their users.
        let client = connect(self.hosts.as_ref().map_err(Clone::clone)?).await?;
        *self.current.lock() = Some(client.clone());
        Ok(client)
    }

    /// Nobody is given this session any more: it may hold what could not be let go. It ends with its last user.
    pub fn give_up(&self, client: &Client) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|other| other.session_id() == client.session_id()) {
            *current = None;
        }
    }
}

/// Of each operation.
const DEADLINE: Duration = Duration::from_secs(15);

/// One or a few operations, or the error that they take too long.
pub(crate) async fn bounded<T>(
    operation: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    time::timeout(DEADLINE, operation).await.unwrap_or(Err(Refused::Timeout))
}

/// What a znode holds. `None`: there is none.
///
/// # Errors
/// When ZooKeeper does not say.
pub async fn get(client: &Client, path: &str) -> Result<Option<Vec<u8>>, Refused> {
    match bounded(client.get_data(path)).await {
        Ok((data, _)) => Ok(Some(data)),
        Err(Refused::NoNode) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a znode, and those above it that are missing.
///
/// # Errors
/// When ZooKeeper does not do it.
pub async fn put(client: &Client, path: &str, data: &[u8]) -> Result<(), Refused> {
    let mode = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let write = async {
        match client.set_data(path, data, None).await {
            Err(Refused::NoNode) => {}
            set => return set.map(drop),
        }
        if let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            client.mkdir(parent, &mode).await?;
        }
        client.create(path, data, &mode).await.map(drop)
    };
    bounded(write).await
}
