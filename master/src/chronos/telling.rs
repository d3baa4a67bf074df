//! Sensu and the log of services are told what was done, which never holds anything up.

use std::{io, time::Duration};

use jiff::Timestamp;
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    paasta::Settings,
    yaml::{Map, Node},
};
use tokio::time;

use super::JobName;
use crate::{
    events::{Check, Event, Status},
    log_line::LogLine,
};

/// For all events of a pass.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events that are to be sent, and what went wrong on the way.
#[derive(Debug)]
pub struct Telling<'t> {
    settings: &'t Settings,
    cluster: &'t Cluster,
    events: Vec<Event>,
    /// Of Chronos itself.
    of_chronos: Option<Event>,
    problems: Vec<String>,
    /// The log takes lines.
    logs: bool,
}

impl<'t> Telling<'t> {
    #[must_use]
    pub fn new(settings: &'t Settings, cluster: &'t Cluster) -> Self {
        let (events, problems) = (Vec::new(), Vec::new());
        Self { settings, cluster, events, of_chronos: None, problems, logs: true }
    }

    /// Keeps an event of a job until [`Self::send`].
    pub fn event(
        &mut self,
        documents: &Documents,
        check: &str,
        name: &JobName,
        told: (Status, &str),
        overrides: &Map,
    ) {
        let nothing = ServiceDocuments::default();
        let files = documents.service(&name.service).unwrap_or(&nothing);
        let event = self.made(files, &format!("{check}.{}", name.dotted()), told, overrides);
        self.events.extend(event);
    }

    /// Keeps an event of Chronos itself, for the team that runs it, in the place of the one before.
    pub fn event_of_chronos(&mut self, team: &str, told: (Status, &str)) {
        let overrides = [("team", Node::made(team))].into_iter().collect();
        let name = format!("chronos.{}", self.cluster);
        self.of_chronos = self.made(&ServiceDocuments::default(), &name, told, &overrides);
    }

    fn made(
        &mut self,
        files: &ServiceDocuments,
        name: &str,
        (status, output): (Status, &str),
        overrides: &Map,
    ) -> Option<Event> {
        let check = Check { name, status, output, cluster: self.cluster.as_str(), overrides };
        match Event::of(files, check) {
            Ok(event) => event,
            Err(error) => {
                self.problems.push(format!("no event for {name}: {error}"));
                None
            }
        }
    }

    /// Writes a line of a deployment, for users or only for those who look closely. When one cannot be
    /// written, no other is tried.
    pub fn log(&mut self, name: &JobName, message: &str, is_for_users: bool) {
        if !self.logs {
            return;
        }
        let (cluster, now) = (self.cluster.as_str(), Timestamp::now());
        let mut line = LogLine::of_deploy(cluster, &name.service, &name.instance, message, now);
        if !is_for_users {
            line.level = "debug";
        }
        if let Err(problem) = line.tell(self.settings) {
            self.logs = false;
            self.problems.push(problem);
        }
    }

    /// Sends all events, one after the other, ten seconds at most and none after one that is not taken.
    /// Returns what went wrong, a line for each.
    pub async fn send(mut self) -> Vec<String> {
        let Some(host) = &self.settings.sensu_host else { return self.problems };
        let port = self.settings.sensu_port;
        self.events.splice(..0, self.of_chronos);
        let mut sent = 0;
        let sending = async {
            for event in &self.events {
                event.send(host, port).await?;
                sent += 1;
            }
            io::Result::Ok(())
        };
        let result = time::timeout(PATIENCE, sending).await;
        let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Err(error) = result {
            let (left, all) = (self.events.len() - sent, self.events.len());
            self.problems.push(format!(
                "Sensu at {host}:{port} takes no events: {error}; {left} of {all} are not sent"
            ));
        }
        self.problems
    }
}
