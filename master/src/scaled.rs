//! The counts that the autoscaler wrote (marathon-sync.md §6.7).

use std::time::Duration;

use tokio::time;
use zookeeper_client::{Client, Error as Refused};

/// Of a connection, and of each answer.
const PATIENCE: Duration = Duration::from_secs(15);
const SESSION: Duration = Duration::from_secs(10);

/// Why a count is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("ZooKeeper at {hosts}")]
    Connect {
        hosts: String,
        #[source]
        source: Refused,
    },
    #[error("ZooKeeper at {hosts} does not answer within {} s", PATIENCE.as_secs())]
    Late { hosts: String },
    #[error("{path} in ZooKeeper")]
    Read {
        path: String,
        #[source]
        source: Refused,
    },
    #[error("{path} in ZooKeeper: expected a whole number, found `{found}`")]
    NoNumber { path: String, found: String },
}

/// Reads counts from one ZooKeeper.
#[derive(Debug)]
pub struct Counts {
    client: Client,
    hosts: String,
}

impl Counts {
    /// `hosts` as `zookeeper` in the system configuration, chroot included.
    ///
    /// # Errors
    /// When no server of it can be reached in 15 s.
    pub async fn connect(hosts: &str) -> Result<Self, Error> {
        let mut connector = Client::connector();
        connector = connector.with_session_timeout(SESSION).with_connection_timeout(SESSION);
        let connected = time::timeout(PATIENCE, connector.with_fail_eagerly().connect(hosts)).await;
        let late = || Error::Late { hosts: hosts.to_owned() };
        let client = connected
            .map_err(|_| late())?
            .map_err(|source| Error::Connect { hosts: hosts.to_owned(), source })?;
        Ok(Self { client, hosts: hosts.to_owned() })
    }

    /// What was written last for an instance. `None`: nothing yet.
    ///
    /// # Errors
    /// When ZooKeeper does not say, or it is no number.
    pub async fn of(&self, service: &str, instance: &str) -> Result<Option<i64>, Error> {
        let path = format!("/autoscaling/{service}/{instance}/instances");
        let asked = time::timeout(PATIENCE, self.client.get_data(&path)).await;
        let data = match asked.map_err(|_| Error::Late { hosts: self.hosts.clone() })? {
            Ok((data, _)) => data,
            Err(Refused::NoNode) => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let text = String::from_utf8_lossy(&data);
        let number = text.trim().parse().map(Some);
        number.map_err(|_| Error::NoNumber {
            path,
            found: text.chars().take(80).collect::<String>().escape_debug().to_string(),
        })
    }
}
