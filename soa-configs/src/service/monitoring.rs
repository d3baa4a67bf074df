//! Whom to tell when something is wrong.

use super::{Fault, Fields, FileError, Input, Node, ServiceDocuments, read, scalar, text};
use crate::{fields, yaml::Map};

/// `monitoring.yaml`, or the `monitoring` of an instance. `None`: the key is absent, and the next level
/// counts (cli-and-monitoring.md A2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitoring {
    /// Without a team nothing is sent.
    pub team: Option<String>,
    /// Whether somebody is woken up.
    pub page: Option<bool>,
    pub runbook: Option<String>,
    pub tip: Option<String>,
    /// Null lets Sensu use the team's own address.
    pub notification_email: Option<Node>,
    pub irc_channels: Option<Vec<String>>,
    pub slack_channels: Option<Vec<String>>,
    pub ticket: Option<bool>,
    pub project: Option<String>,
    /// A time as `10m`, or seconds.
    pub alert_after: Option<Node>,
    /// Every n-th event; -1: at the first, second, fourth, and so on.
    pub realert_every: Option<Node>,
    /// Default true.
    pub check_oom_events: Option<bool>,
}

impl Monitoring {
    /// Of a service.
    ///
    /// # Errors
    /// The first value of the wrong kind.
    pub fn read(files: &ServiceDocuments) -> Result<Self, FileError> {
        read(files, "monitoring.yaml", Self::of)
    }

    /// Of the merged `monitoring` of an instance.
    ///
    /// # Errors
    /// The first value of the wrong kind.
    pub fn merged(map: &Map) -> Result<Self, Fault> {
        let node = Node::made(map.clone());
        Self::of(Input { node: &node, text: "" })
    }

    pub(super) fn of(input: Input<'_>) -> Result<Self, Fault> {
        let mut fields = Fields::new(input)?;
        let texts = |fields: &mut Fields<'_>, key: &str| {
            fields.read(key, |input| match input.node.as_list() {
                Some(_) => fields::list(input, |input| input.text()),
                None => input.text().map(|channel| vec![channel]),
            })
        };
        let monitoring = Self {
            team: text(&mut fields, "team"),
            page: fields.read("page", Input::boolean),
            runbook: text(&mut fields, "runbook"),
            tip: text(&mut fields, "tip"),
            notification_email: fields.get("notification_email").map(|input| input.node.clone()),
            irc_channels: texts(&mut fields, "irc_channels"),
            slack_channels: texts(&mut fields, "slack_channels"),
            ticket: fields.read("ticket", Input::boolean),
            project: text(&mut fields, "project"),
            alert_after: fields.read("alert_after", scalar),
            realert_every: fields.read("realert_every", scalar),
            check_oom_events: fields.read("check_oom_events", Input::boolean),
        };
        fields.finish()?;
        Ok(monitoring)
    }
}
