//! Health checks that are really done, as far as HTTP and TCP go.

use std::net::SocketAddr;

use hyper::Method;
use tokio::{net::TcpStream, time};

use super::{definition::HealthCheck, real::socket, task::Task};
use crate::web;

/// What to ask.
#[derive(Clone, Debug)]
pub(super) struct Question {
    address: SocketAddr,
    check: HealthCheck,
}

impl Question {
    /// None for a check that is done by a command, or at a port that the task has not.
    pub(super) fn of(task: &Task, check: &HealthCheck) -> Option<Self> {
        let port = check.port.or_else(|| task.ports.get(check.port_index).copied())?;
        let is_ours = !check.protocol.ends_with("HTTPS") && check.protocol != "COMMAND";
        is_ours.then(|| Self { address: socket(task.address, port), check: check.clone() })
    }

    /// Good, or why not, in a few words.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let asking = async {
            if self.check.protocol.ends_with("TCP") {
                return TcpStream::connect(self.address).await.map(drop).map_err(|e| e.to_string());
            }
            let answer = web::exchange(self.address, Method::GET, &self.check.path, &[], "").await;
            match answer.map_err(|error| error.to_string())?.0 {
                200..400 => Ok(()),
                status => Err(format!("{status}")),
            }
        };
        let late = |_| Err("the answer takes too long".to_owned());
        time::timeout(self.check.timeout, asking).await.unwrap_or_else(late)
    }
}
