//! Events for Sensu's client on this host (cli-and-monitoring.md A1 to A3).

use std::{io, time::Duration};

use serde::Serialize;
use serde_json::Value as Json;
use soa_configs::{
    documents::ServiceDocuments,
    json,
    yaml::{Int, Map, Node, Value},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time};

/// For everything: nobody waits for Sensu.
const PATIENCE: Duration = Duration::from_secs(2);

const RUNBOOK: &str = "http://y/paasta-troubleshooting";
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
    /// Values that come before those of the service's files.
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
    runbook: String,
    tip: String,
    notification_email: Json,
    interval: u64,
    page: Json,
    realert_every: i64,
    dependencies: [(); 0],
    alert_after: u64,
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
    #[error("{0}: the name of a check has letters, digits, `_`, `.` and `-`")]
    Name(String),
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
        if check.name.is_empty() || !check.name.chars().all(allowed) {
            return Err(Fault::Name(check.name.to_owned()));
        }
        let find = |key| lookup(files, check.overrides, key);
        let value = |key| find(key).map_or(Json::Null, |node| plain(&node));
        let Some(team) = text(&value("team")) else { return Ok(None) };
        let own = |key| check.overrides.get(key);
        Ok(Some(Self {
            name: check.name.to_owned(),
            status: check.status as u8,
            output: check.output.to_owned(),
            handler: "default",
            team,
            runbook: own("runbook").and_then(Node::as_text).unwrap_or(RUNBOOK).to_owned(),
            tip: text(&value("tip")).unwrap_or_else(|| TIP.to_owned()),
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

    /// Hands it to Sensu's client.
    ///
    /// # Errors
    /// When it is not there or does not take the event in two seconds.
    pub async fn send(&self, host: &str, port: u16) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let send = async {
            let mut stream = TcpStream::connect((host, port)).await?;
            stream.write_all(&line).await?;
            stream.shutdown().await
        };
        time::timeout(PATIENCE, send).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
    json::canonical(node).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn text(value: &Json) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn realert_every(node: Option<&Node>) -> Result<i64, Fault> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(-1) };
    let number = match &node.value {
        Value::Int(Int::Small(number)) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| fault("realert_every", "a whole number", node))
}

fn fault(key: &'static str, expected: &'static str, node: &Node) -> Fault {
    Fault::Value { key, expected, found: plain(node).to_string() }
}

/// Sequences of a number and a unit, such as `1h30m`; a plain number is of seconds.
fn seconds(key: &'static str, node: Option<&Node>, default: u64) -> Result<u64, Fault> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(default) };
    let read = match &node.value {
        Value::Int(Int::Small(number)) => u64::try_from(*number).ok(),
        Value::Text(text) => duration(text),
        _ => None,
    };
    read.ok_or_else(|| fault(key, "a time such as 10m", node))
}

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
        assert_eq!(Event::of(&files, check("a.b-c_d", &none)), Ok(None));
        assert!(Event::of(&files, check("a.b-c_d", &overrides)).unwrap().is_some());
        assert!(Event::of(&files, check("a b", &overrides)).is_err());
    }
}
