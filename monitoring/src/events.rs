//! Events for Sensu's client on this host (cli-and-monitoring.md A1 to A3).
//!
//! Pure; [`crate::sensu`] hands them over.

use serde::Serialize;
use serde_json::Value as Json;
use soa_configs::{
    documents::ServiceDocuments,
    json as python,
    yaml::{Int, Map, Node, Value},
};

use crate::json;

/// Where a check says nothing of it.
const RUNBOOK: &str = "http://y/paasta-troubleshooting";
/// Where it is looked up and found empty.
const NO_RUNBOOK: &str = "Please set a runbook!";
const TIP: &str = "Please set a `tip` field in your monitoring.yaml. Docs: \
    https://paasta.readthedocs.io/en/latest/yelpsoa_configs.html#monitoring-yaml";

const SET_RUNBOOK: &str = "Please set a `runbook` field in your monitoring.yaml. Like \"y/rb-mesos\". Docs: \
    https://paasta.readthedocs.io/en/latest/yelpsoa_configs.html#monitoring-yaml";

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

/// What a check found.
#[derive(Clone, Copy, Debug)]
pub struct Check<'c> {
    /// Letters, digits, `_`, `.` and `-`.
    pub name: &'c str,
    pub status: Status,
    pub output: &'c str,
    /// `paasta-<this>` is where it comes from.
    pub cluster: &'c str,
    /// Values that come before those of the service's files. Runbook, interval and both times of alerts come
    /// from here alone.
    pub overrides: &'c Map,
}

/// One event, as it is sent: these fields in this order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    name: String,
    status: u8,
    output: String,
    handler: &'static str,
    team: String,
    runbook: Json,
    tip: Json,
    notification_email: Json,
    interval: Option<u64>,
    page: Json,
    realert_every: i64,
    dependencies: [(); 0],
    alert_after: Option<u64>,
    ticket: Json,
    project: Json,
    source: String,
    tags: [(); 0],
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Json::is_null")]
    irc_channels: Json,
}

/// Why there is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error(
        "Name cannot contain special characters: `{0}`; letters, digits, `_`, `.` and `-` are taken"
    )]
    Name(String),
    #[error("Bad interval format for {found}: `{key}` is a time such as 10m or 1h30m")]
    Time { key: &'static str, found: String },
    #[error("{key}: expected {expected}, found {found}")]
    Value { key: &'static str, expected: &'static str, found: String },
}

impl Event {
    /// `None`: no team is named, so nobody is told.
    ///
    /// # Errors
    /// When the name or a value is none that Sensu takes.
    pub fn of(files: &ServiceDocuments, check: Check<'_>) -> Result<Option<Self>, Fault> {
        let allowed = |c: char| c.is_alphanumeric() || "_.-".contains(c);
        let find = |key| lookup(files, check.overrides, key);
        let value = |key| find(key).map_or(Json::Null, |node| plain(&node));
        let Some(team) = find("team").filter(|team| !team.is_falsy()) else { return Ok(None) };
        let Some(team) = team.as_text() else { return Err(fault("team", "a text", &team)) };
        if check.name.is_empty() || !check.name.chars().all(allowed) {
            return Err(Fault::Name(check.name.to_owned()));
        }
        let own = |key| check.overrides.get(key);
        Ok(Some(Self {
            name: check.name.to_owned(),
            status: check.status as u8,
            output: check.output.to_owned(),
            handler: "default",
            team: team.to_owned(),
            runbook: match own("runbook") {
                None => RUNBOOK.into(),
                Some(node) if node.is_falsy() => NO_RUNBOOK.into(),
                Some(node) => plain(node),
            },
            tip: find("tip").map_or_else(|| TIP.into(), |node| plain(&node)),
            notification_email: value("notification_email"),
            interval: seconds("check_every", own("check_every"), 60)?,
            page: value("page"),
            realert_every: realert_every(own("realert_every"))?,
            dependencies: [],
            alert_after: seconds("alert_after", own("alert_after"), 300)?,
            ticket: find("ticket").map_or(Json::Bool(false), |node| plain(&node)),
            project: value("project"),
            source: format!("paasta-{}", check.cluster),
            tags: [],
            ttl: None,
            irc_channels: value("irc_channels"),
        }))
    }

    /// The same, which Sensu itself calls a failure when no other follows within this time.
    ///
    /// # Errors
    /// When it is no time.
    pub fn lasting(self, ttl: &str) -> Result<Self, Fault> {
        let ttl =
            Some(duration(ttl).ok_or_else(|| Fault::Time { key: "ttl", found: ttl.to_owned() })?);
        Ok(Self { ttl, ..self })
    }

    /// What it is about: `check.service.instance`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What goes over the wire: a JSON object as Python writes it, and a line feed.
    #[must_use]
    pub fn line(&self) -> String {
        // Texts and numbers always have a form in JSON.
        json::written(self).unwrap_or_default() + "\n"
    }
}

/// A value of monitoring: from the overrides, else from the files of the service. A null that is found
/// counts.
#[must_use]
pub fn lookup(files: &ServiceDocuments, overrides: &Map, key: &str) -> Option<Node> {
    let map = |name: &str| files.get(name).and_then(|document| document.node.as_map());
    let service = map("service.yaml");
    let inner = service.and_then(|service| service.get("monitoring")).and_then(Node::as_map);
    let levels = [Some(overrides), map("monitoring.yaml"), inner, service];
    levels.into_iter().flatten().find_map(|level| level.get(key)).cloned()
}

/// What an instance says of the events of a check that looks once a minute, with the defaults of such a
/// check: `alert_after` is its own.
#[must_use]
pub fn of_instance(files: &ServiceDocuments, monitoring: &Map, alert_after: &str) -> Map {
    let mut overrides = monitoring.clone();
    if overrides.get("alert_after").is_none() {
        overrides.set("alert_after", Node::made(alert_after));
    }
    let runbook = lookup(files, &overrides, "runbook").unwrap_or_else(|| Node::made(SET_RUNBOOK));
    overrides.set("runbook", runbook);
    overrides.set("check_every", Node::made("1m"));
    overrides
}

fn plain(node: &Node) -> Json {
    python::canonical(node)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// As Python makes a whole number of it.
fn realert_every(node: Option<&Node>) -> Result<i64, Fault> {
    let Some(node) = node else { return Ok(-1) };
    let number = match &node.value {
        Value::Int(Int::Small(number)) => Some(*number),
        Value::Bool(flag) => Some(i64::from(*flag)),
        // Of an integral float there is no checked conversion.
        Value::Float(number) => format!("{:.0}", number.trunc()).parse().ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| fault("realert_every", "a whole number", node))
}

fn fault(key: &'static str, expected: &'static str, node: &Node) -> Fault {
    Fault::Value { key, expected, found: plain(node).to_string() }
}

/// `None`: null is written there, and null is sent.
fn seconds(key: &'static str, node: Option<&Node>, default: u64) -> Result<Option<u64>, Fault> {
    let Some(node) = node else { return Ok(Some(default)) };
    if node.is_null() {
        return Ok(None);
    }
    let read = node.as_text().and_then(duration);
    let found = || node.as_text().map_or_else(|| plain(node).to_string(), str::to_owned);
    read.map(Some).ok_or_else(|| Fault::Time { key, found: found() })
}

/// Sequences of a number and a unit, such as `1h30m`.
fn duration(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = match after.chars().next()? {
            'Y' => 365 * 86_400,
            'M' => 30 * 86_400,
            'W' => 7 * 86_400,
            'D' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after.get(1..)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sequences_of_numbers_and_units() {
        for (text, seconds) in [("10m", 600), ("1h30m", 5400), ("1D2h", 93_600), ("0m", 0)] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in ["", "10", "m", "1x", "1h 30m", "-1m", "99999999999999Y", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn without_a_team_nobody_is_told_and_odd_names_are_refused() {
        let files = ServiceDocuments::default();
        let overrides: Map = [("team", Node::made("t"))].into_iter().collect();
        let none = Map::default();
        let check = |name, overrides| Check {
            name,
            status: Status::Ok,
            output: "",
            cluster: "c1",
            overrides,
        };
        assert_eq!(Event::of(&files, check("a b", &none)), Ok(None));
        assert!(Event::of(&files, check("a.b-c_d", &overrides)).unwrap().is_some());
        assert!(Event::of(&files, check("a b", &overrides)).is_err());
    }

    fn event(overrides: &[(&str, Node)]) -> Result<Event, Fault> {
        let team = ("team", Node::made("t"));
        let overrides = [team].into_iter().chain(overrides.iter().cloned()).collect();
        let (name, status, output, cluster) = ("c.s.i", Status::Warning, "é", "localhost");
        let check = Check { name, status, output, cluster, overrides: &overrides };
        Event::of(&ServiceDocuments::default(), check).map(Option::unwrap)
    }

    #[test]
    fn what_is_said_of_nothing_is_this_line_byte_for_byte() {
        let tip = format!("{TIP:?}");
        let expected = format!(
            r#"{{"name": "c.s.i", "status": 1, "output": "\u00e9", "handler": "default", "team": "t", "runbook": "http://y/paasta-troubleshooting", "tip": {tip}, "notification_email": null, "interval": 60, "page": null, "realert_every": -1, "dependencies": [], "alert_after": 300, "ticket": false, "project": null, "source": "paasta-localhost", "tags": [], "ttl": null}}"#
        );
        assert_eq!(event(&[]).unwrap().line(), expected + "\n");
    }

    #[test]
    fn a_null_that_is_written_counts_as_found() {
        let null = || Node::made(Value::Null);
        let keys = ["runbook", "tip", "check_every", "alert_after", "ticket", "irc_channels"];
        let line = event(&keys.map(|key| (key, null()))).unwrap().line();
        for part in [
            r#""runbook": "Please set a runbook!", "tip": null, "#,
            r#""interval": null, "#,
            r#""alert_after": null, "ticket": null, "#,
            r#""ttl": null}"#,
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert!(event(&[("realert_every", null())]).is_err());
        let channels = event(&[("irc_channels", Node::made(Vec::new()))]).unwrap().line();
        assert!(channels.ends_with("\"irc_channels\": []}\n"), "{channels}");
    }

    #[test]
    fn numbers_are_read_as_python_reads_them_and_times_are_texts() {
        for (written, number) in [
            (Node::made("12"), 12),
            (Node::made(Value::Float(2.9)), 2),
            (Node::made(Value::Bool(true)), 1),
        ] {
            assert_eq!(event(&[("realert_every", written)]).unwrap().realert_every, number);
        }
        assert!(event(&[("realert_every", Node::made("2.5"))]).is_err());
        let wrong = event(&[("alert_after", Node::made(600))]).unwrap_err().to_string();
        assert!(wrong.starts_with("Bad interval format for 600"), "{wrong}");
        let lasting = event(&[]).unwrap().lasting("1D2h").unwrap();
        assert!(lasting.line().contains("\"ttl\": 93600"));
        assert!(event(&[]).unwrap().lasting("1x").is_err());
    }
}
