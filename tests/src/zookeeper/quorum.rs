//! Three servers that are one ZooKeeper.

use std::io;

use zookeeper_client::Client;

use super::ZooKeeper;
use crate::ports::Port;

/// Dropping it kills all members and removes their data.
#[derive(Debug)]
pub struct Quorum {
    pub members: [ZooKeeper; 3],
    _ports: Vec<Port>,
}

impl Quorum {
    /// Starts three servers and waits until all of them serve.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn start() -> io::Result<Self> {
        let ports = (0..9).map(|_| Port::free()).collect::<io::Result<Vec<_>>>()?;
        let number = |n: usize| ports[n].number;
        let lines: String = (0..3)
            .map(|n| format!("server.{}=127.0.0.1:{}:{}\n", n + 1, number(3 + n), number(6 + n)))
            .collect();
        let config = format!("initLimit=20\nsyncLimit=10\n{lines}");
        let member = |n: usize| ZooKeeper::member(n + 1, number(n), config.clone());
        let mut members = [member(0)?, member(1)?, member(2)?];
        for member in &mut members {
            member.spawn()?;
        }
        for member in &mut members {
            if !member.ready().await? {
                return Err(io::Error::other("a member of the quorum has ended"));
            }
        }
        Ok(Self { members, _ports: ports })
    }

    /// `host:port` of all members.
    #[must_use]
    pub fn hosts(&self) -> String {
        self.members.iter().map(ZooKeeper::hosts).collect::<Vec<_>>().join(",")
    }

    /// A client of the test's own, of any member that serves.
    ///
    /// # Errors
    /// When none takes it.
    pub async fn client(&self) -> Result<Client, zookeeper_client::Error> {
        Client::connector().connect(&self.hosts()).await
    }

    /// The place of the leader among the members.
    ///
    /// # Errors
    /// When none says that it leads.
    pub async fn leader(&self) -> io::Result<usize> {
        for (place, member) in self.members.iter().enumerate() {
            if member.ask("srvr").await.is_ok_and(|answer| answer.contains("Mode: leader")) {
                return Ok(place);
            }
        }
        Err(io::Error::other("nobody leads"))
    }
}
