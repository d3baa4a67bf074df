//! Where an instance's lines and events go: the log of its service, and Sensu. Nobody waits for them.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use soa_configs::{
    documents::ServiceDocuments,
    paasta::Settings,
    yaml::{Map, Node},
};
use tokio::time::Instant;

use super::lines::{Level, Line};
use crate::{
    events::{Check, Event, Status},
    log_line::LogLine,
};

/// Sensu is left alone for so long after it did not take an event: a thousand instances must not wait for
/// it one after the other.
const QUIET: Duration = Duration::from_secs(30);

/// Tells the log and Sensu. What does not work there stops nothing, and is returned to be said.
#[derive(Debug)]
pub struct Journal<'s> {
    settings: &'s Settings,
    cluster: &'s str,
    quiet_until: Mutex<Option<Instant>>,
}

impl<'s> Journal<'s> {
    #[must_use]
    pub fn new(settings: &'s Settings, cluster: &'s str) -> Self {
        Self { settings, cluster, quiet_until: Mutex::new(None) }
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

    /// Tells Sensu of a deployment. `monitoring` is what the instance says of its events.
    ///
    /// # Errors
    /// Why Sensu does not hear of it. Of a Sensu that is left alone nothing is said again.
    pub async fn announce(
        &self,
        files: &ServiceDocuments,
        name: &str,
        monitoring: &Map,
        (status, output): (Status, &str),
    ) -> Result<(), String> {
        let Some(host) = &self.settings.sensu_host else { return Ok(()) };
        let mut overrides = monitoring.clone();
        overrides.set("check_every", Node::made("10s"));
        overrides.set("alert_after", Node::made("10m"));
        let name = format!("setup_marathon_job.{name}");
        let overrides = &overrides;
        let check = Check { name: &name, status, output, cluster: self.cluster, overrides };
        let event = Event::of(files, check).map_err(|error| format!("no event: {error}"))?;
        let Some(event) = event else { return Ok(()) };
        let now = Instant::now();
        if self.quiet_until.lock().is_some_and(|until| now < until) {
            return Ok(());
        }
        event.send(host, self.settings.sensu_port).await.map_err(|error| {
            *self.quiet_until.lock() = Some(now + QUIET);
            let quiet = QUIET.as_secs();
            format!("Sensu at {host} does not take {name}: {error}; it hears nothing for {quiet} s")
        })
    }
}
