//! Local processes that serve traffic without a container, named in a file.
//!
//! ```yaml
//! - name: web-1              # unique in the file
//!   namespaces: [web.main]
//!   port: 31001              # where it listens on this host
//!   interval: 2s             # these need not be given
//!   checks: [{type: tcp}]    # in the words of `checks::written`
//!   weight: 10
//!   labels: {rack: a}
//!   haproxy_server_options: backup
//! ```

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;
use soa_configs::Namespace;

use super::{
    checks::{Checked, written::Written},
    records::Payload,
    written_file::{Parsed, Said},
};
use crate::{
    config::Span,
    registry::{TaskId, record::are_options},
};

/// What the file says.
pub type LocalTasks = Said<LocalTask>;

/// One process of this host.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalTask {
    pub name: String,
    pub namespaces: Vec<Namespace>,
    pub port: u16,
    pub checked: Checked,
    pub payload: Payload,
}

impl LocalTask {
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(format!("local:{}", self.name).into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    namespaces: Vec<Namespace>,
    port: std::num::NonZeroU16,
    interval: Option<String>,
    checks: Option<Vec<Written>>,
    weight: Option<u16>,
    #[serde(default)]
    labels: IndexMap<String, String>,
    haproxy_server_options: Option<String>,
}

impl Raw {
    /// # Errors
    /// A sentence that names the task.
    fn task(self) -> Result<LocalTask, String> {
        let (name, port) = (self.name, self.port.get());
        let wrong = |reason: String| format!("`{name}`: {reason}");
        let interval = self.interval.map(|text| text.parse::<Span>()).transpose();
        let interval = interval.map_err(|reason| wrong(format!("interval {reason}")))?;
        if interval.is_some_and(|Span(time)| time.is_zero()) {
            return Err(wrong("interval must be longer than nothing".to_owned()));
        }
        let judged = |written: Vec<Written>| {
            written.into_iter().map(|check| check.check(port)).collect::<Result<Vec<_>, _>>()
        };
        let checks = self.checks.map(judged).transpose().map_err(wrong)?;
        let checked = match (interval, checks) {
            (None, None) => Checked::AsNamespace,
            (interval, checks) => {
                Checked::AsWritten { interval: interval.map(|Span(time)| time), checks }
            }
        };
        let options = self.haproxy_server_options;
        if !options.iter().all(|text| are_options(text)) {
            return Err(wrong("haproxy_server_options holds control characters".to_owned()));
        }
        let usual = Payload::default();
        let payload = Payload {
            weight: self.weight.map(u32::from).or(usual.weight),
            haproxy_server_options: options,
            labels: self.labels,
            ..usual
        };
        Ok(LocalTask { name, namespaces: self.namespaces, port, checked, payload })
    }
}

/// # Errors
/// A sentence with the place: one wrong task keeps all of the file from being believed.
pub fn parse(text: &str) -> Result<Parsed<LocalTask>, String> {
    Ok(Parsed { items: tasks(text)?, problems: Vec::new() })
}

fn tasks(text: &str) -> Result<Vec<LocalTask>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let raw: Vec<Raw> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let mut names = BTreeSet::new();
    for task in &raw {
        if task.name.is_empty() || task.name.chars().any(char::is_control) {
            return Err(format!("`{}` is no name", task.name.escape_debug()));
        }
        if !names.insert(&task.name) {
            return Err(format!("the name `{}` is used twice", task.name));
        }
    }
    raw.into_iter().map(Raw::task).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_task_says_how_it_is_checked_and_what_its_record_holds() {
        let found = tasks(
            "- {name: a, namespaces: [web.main], port: 1, interval: 500ms}\n\
             - {name: b, namespaces: [web.main], port: 2, checks: [], weight: 20, \
             labels: {rack: x}, haproxy_server_options: backup}\n",
        )
        .unwrap();
        let often = Some(Duration::from_millis(500));
        assert_eq!(found[0].checked, Checked::AsWritten { interval: often, checks: None });
        assert_eq!(found[0].payload, Payload::default());
        let unchecked = Checked::AsWritten { interval: None, checks: Some(Vec::new()) };
        assert_eq!(found[1].checked, unchecked);
        let payload = &found[1].payload;
        assert_eq!((payload.weight, &*payload.labels["rack"]), (Some(20), "x"));
        assert_eq!(payload.haproxy_server_options.as_deref(), Some("backup"));
        for (keys, expected) in [
            ("interval: 5", "`a`: interval"),
            ("interval: 0s", "`a`: interval"),
            ("checks: [{type: ping}]", "`a`: type `ping`"),
            ("weight: 70000", "70000"),
            ("haproxy_server_options: \"a\\nb\"", "control characters"),
        ] {
            let text = format!("- {{name: a, namespaces: [web.main], port: 1, {keys}}}");
            let error = tasks(&text).unwrap_err();
            assert!(error.contains(expected), "{keys}: {error}");
        }
    }

    #[test]
    fn a_name_stands_once() {
        let task = "- {name: a, namespaces: [web.main], port: 1}\n";
        assert!(tasks(&task.repeat(2)).unwrap_err().contains("used twice"));
        assert!(
            tasks("- {name: a, namespaces: [web], port: 1}")
                .unwrap_err()
                .contains("needs a service")
        );
    }
}
