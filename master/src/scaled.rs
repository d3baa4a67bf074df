//! The counts that the autoscaler wrote (marathon-sync.md §6.7).

use std::time::Duration;

use tokio::time;
use zookeeper_client::{Client, Error as Refused};

use crate::zookeeper::{self, Unconnected};

/// Of each answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a count is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Connect(#[from] Unconnected),
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
        Ok(Self::over(zookeeper::connect(hosts).await?, hosts))
    }

    /// Over a session with `hosts` that is there already.
    #[must_use]
    pub fn over(client: Client, hosts: &str) -> Self {
        Self { client, hosts: hosts.to_owned() }
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
