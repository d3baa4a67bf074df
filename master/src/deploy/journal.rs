//! Where an instance's lines and events go: the log of its service, and Sensu. Nobody waits for them.

use jiff::Timestamp;
use monitoring::sensu::Outbox;
use soa_configs::{
    documents::ServiceDocuments,
    paasta::Settings,
    yaml::{Map, Node},
};

use super::lines::{Level, Line};
use crate::{
    events::{Check, Event, Status},
    log_line::LogLine,
};

/// Tells the log and Sensu. What does not work there stops nothing, and is returned to be said.
#[derive(Debug)]
pub struct Journal<'s> {
    settings: &'s Settings,
    cluster: &'s str,
    sensu: Option<Outbox>,
}

impl<'s> Journal<'s> {
    #[must_use]
    pub fn new(settings: &'s Settings, cluster: &'s str) -> Self {
        Self { settings, cluster, sensu: Outbox::of(settings) }
    }

    /// # Errors
    /// What is wrong with the log.
    pub fn write(&self, service: &str, instance: &str, line: &Line) -> Result<(), String> {
        let now = Timestamp::now();
        let mut log = LogLine::of_deploy(self.cluster, service, instance, &line.text, now);
        if line.level == Level::Debug {
            log.level = "debug";
        }
        log.tell(self.settings)
    }

    /// Tells Sensu of a deployment, in the background. `monitoring` is what the instance says of its events.
    /// Returns what is wrong with that, and with those before.
    pub fn announce(
        &self,
        files: &ServiceDocuments,
        name: &str,
        monitoring: &Map,
        (status, output): (Status, &str),
    ) -> Vec<String> {
        let Some(sensu) = &self.sensu else { return Vec::new() };
        let mut overrides = monitoring.clone();
        overrides.set("check_every", Node::made("10s"));
        overrides.set("alert_after", Node::made("10m"));
        let name = format!("setup_marathon_job.{name}");
        let overrides = &overrides;
        let check = Check { name: &name, status, output, cluster: self.cluster, overrides };
        let posted = match Event::of(files, check) {
            Ok(event) => event.map_or(Ok(()), |event| sensu.post(event)),
            Err(error) => Err(format!("no event: {error}")),
        };
        let mut complaints = sensu.complaints();
        complaints.extend(posted.err());
        complaints
    }

    /// Waits until Sensu has heard of everything, or some seconds. Returns what went wrong.
    pub async fn finish(self) -> Vec<String> {
        match self.sensu {
            Some(sensu) => sensu.finish().await,
            None => Vec::new(),
        }
    }
}
