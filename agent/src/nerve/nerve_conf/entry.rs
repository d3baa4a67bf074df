//! One entry, judged: what of it this agent can do, and what it cannot.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use hacheck::{
    checks::Kind,
    names::Host,
    settings::{Login, Secret},
};
use indexmap::IndexMap;
use soa_configs::Namespace;

use super::{Entry, loose::Loose};
use crate::{
    nerve::checks::{
        Ask, Check, CheckPlan, Question,
        written::{is_header, is_path, seconds_within, whose},
    },
    registry::{
        Ensemble, ParentPath,
        record::{are_options, is_one_host},
    },
};

/// nerve's defaults, in seconds (nerve.md §1.3, §2).
const INTERVAL: f64 = 0.5;
const TIMEOUT: f64 = 0.1;
/// More copies of one entry are a mistake.
const MOST_COPIES: u32 = 1000;

/// Keys that mean something here, or that meant nothing to nerve either.
const KNOWN: [&str; 20] = [
    "host",
    "port",
    "reporter_type",
    "zk_hosts",
    "zk_path",
    "use_path_encoding",
    "node_type",
    "ttl_seconds",
    "check_interval",
    "checks",
    "check_mocked",
    "weight",
    "haproxy_server_options",
    "labels",
    "rate_limiting",
    "load_test_concurrency",
    "zk_cluster_name",
    "etcd_host",
    "etcd_port",
    "etcd_path",
];

type Map = IndexMap<String, Loose>;

/// What a key holds, if it is there.
fn get<'a, T>(
    map: &'a Map,
    key: &str,
    read: impl FnOnce(&'a Loose) -> Result<T, &'static str>,
) -> Result<Option<T>, String> {
    match map.get(key) {
        None | Some(Loose::Null(())) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|what| format!("`{key}`: expected {what}")),
    }
}

fn need<'a, T>(
    map: &'a Map,
    key: &str,
    read: impl FnOnce(&'a Loose) -> Result<T, &'static str>,
) -> Result<T, String> {
    get(map, key, read)?.ok_or_else(|| format!("`{key}` is missing"))
}

/// The entry, or its copies, and what of it has no effect.
///
/// # Errors
/// A sentence that names the key.
pub(super) fn read(
    key: &str,
    entry: &Loose,
    hacheck_port: u16,
) -> Result<(Vec<Entry>, Vec<String>), String> {
    let map = entry.map().map_err(|what| format!("expected {what}"))?;
    let unknown = map.keys().filter(|key| !KNOWN.contains(&key.as_str()));
    let mut warnings: Vec<String> =
        unknown.map(|key| format!("`{}` is not known", key.escape_debug())).collect();
    if get(map, "use_path_encoding", Loose::switch)? == Some(true) {
        warnings.push("`use_path_encoding` has no effect: readers take the data".to_owned());
    }
    refuse_other_stores(map)?;
    let (host, port) = (host(map)?, need(map, "port", Loose::port)?);
    let checks = checks(map, port, hacheck_port)?;
    let parent: ParentPath = need(map, "zk_path", Loose::text)?
        .parse()
        .map_err(|_| "`zk_path`: expected the path of a znode".to_owned())?;
    let namespace = checks.namespace.or_else(|| parent.namespace());
    let interval = get(map, "check_interval", Loose::number)?.unwrap_or(INTERVAL);
    let interval = seconds_within(interval, "`check_interval`")?;
    let mocked = get(map, "check_mocked", Loose::switch)? == Some(true);
    let checks = if mocked { Vec::new() } else { checks.checks };
    let found = Entry {
        key: key.to_owned(),
        host,
        port,
        ensemble: ensemble(map)?,
        weight: get(map, "weight", Loose::whole)?,
        haproxy_server_options: options(map)?,
        labels: labels(map)?,
        namespace: namespace.map_or_else(|| made_up(key), Ok)?,
        plan: CheckPlan { interval, confirms: false, checks },
        parent,
    };
    let copies = get(map, "load_test_concurrency", Loose::whole)?;
    match copies {
        None => Ok((vec![found], warnings)),
        Some(count) if count <= MOST_COPIES => {
            let copy = |n| Entry { key: format!("{key}_{n}"), ..found.clone() };
            Ok(((0..count).map(copy).collect(), warnings))
        }
        Some(count) => Err(format!("`load_test_concurrency` {count}: at most {MOST_COPIES}")),
    }
}

fn refuse_other_stores(map: &Map) -> Result<(), String> {
    let reporter = get(map, "reporter_type", Loose::text)?;
    if let Some(other) = reporter.filter(|kind| kind != "zookeeper") {
        return Err(format!("`reporter_type` `{}`: expected zookeeper", other.escape_debug()));
    }
    let node = get(map, "node_type", Loose::text)?;
    match node.filter(|kind| kind != "ephemeral_sequential") {
        Some(other) => {
            Err(format!("`node_type` `{}`: expected ephemeral_sequential", other.escape_debug()))
        }
        None => Ok(()),
    }
}

fn host(map: &Map) -> Result<IpAddr, String> {
    let text = need(map, "host", Loose::text)?;
    let host = text.parse::<IpAddr>().ok().filter(|host| is_one_host(*host));
    host.ok_or_else(|| format!("`host` `{}`: expected an IP address", text.escape_debug()))
}

fn ensemble(map: &Map) -> Result<Ensemble, String> {
    let hosts = need(map, "zk_hosts", Loose::list)?;
    let hosts: Result<Vec<String>, _> = hosts.iter().map(Loose::text).collect();
    let hosts = hosts.map_err(|what| format!("`zk_hosts`: expected {what}"))?;
    Ensemble::of(hosts).map_err(|error| format!("`zk_hosts`: {error}"))
}

fn options(map: &Map) -> Result<Option<String>, String> {
    let options = get(map, "haproxy_server_options", Loose::text)?;
    match options {
        Some(text) if !are_options(&text) => {
            Err("`haproxy_server_options` holds control characters".to_owned())
        }
        options => Ok(options),
    }
}

fn labels(map: &Map) -> Result<Option<IndexMap<String, String>>, String> {
    let Some(labels) = get(map, "labels", Loose::map)? else { return Ok(None) };
    let label = |(name, value): (&String, &Loose)| match value.text() {
        Ok(text) => Ok((name.clone(), text)),
        Err(what) => Err(format!("`labels`: `{}`: expected {what}", name.escape_debug())),
    };
    labels.iter().map(label).collect::<Result<_, _>>().map(Some)
}

/// A name for what has none in soa-configs.
fn made_up(key: &str) -> Result<Namespace, String> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let service: String = key.chars().map(allowed).take(100).collect();
    format!("{service}.nerve").parse().map_err(|error| format!("its key makes no name: {error}"))
}

struct Checks {
    checks: Vec<Check>,
    /// That of the first check which goes through hacheck.
    namespace: Option<Namespace>,
}

fn checks(map: &Map, port: u16, hacheck_port: u16) -> Result<Checks, String> {
    let mut found = Checks { checks: Vec::new(), namespace: None };
    for (number, check) in get(map, "checks", Loose::list)?.unwrap_or_default().iter().enumerate() {
        let judged = check.map().map_err(|what| format!("expected {what}"));
        let judged = judged.and_then(|check| one_check(check, port, hacheck_port));
        let wrong = |reason| format!("check {}: {reason}", number + 1);
        let Some((check, namespace)) = judged.map_err(wrong)? else { continue };
        found.checks.push(check);
        found.namespace = found.namespace.or(namespace);
    }
    Ok(found)
}

/// `None`: a check that always passes.
fn one_check(
    map: &Map,
    entry_port: u16,
    hacheck_port: u16,
) -> Result<Option<(Check, Option<Namespace>)>, String> {
    let kind = match need(map, "type", Loose::text)?.as_str() {
        "noop" => return Ok(None),
        "http" if get(map, "ssl", Loose::switch)? == Some(true) => Kind::Https,
        "http" => Kind::Http,
        "tcp" => Kind::Tcp,
        "redis" => Kind::Redis,
        "rabbitmq" => Kind::Rabbitmq,
        other => {
            let expected = "expected http, tcp, redis, rabbitmq or noop";
            return Err(format!("`type` `{}`: {expected}", other.escape_debug()));
        }
    };
    let host = match get(map, "host", Loose::text)? {
        None => Host::Local,
        Some(text) => match text.parse::<IpAddr>() {
            Ok(host) => whose(host),
            Err(_) if text == "localhost" => Host::Local,
            Err(_) => return Err(format!("`host` `{}`: expected an address", text.escape_debug())),
        },
    };
    let ask = Ask {
        kind,
        host,
        port: get(map, "port", Loose::port)?.unwrap_or(entry_port),
        uri: uri(map, kind)?,
        headers: headers(map)?,
        body_expect: get(map, "expect", Loose::text)?,
        login: login(map)?,
    };
    let (ask, namespace) = match through_hacheck(&ask, hacheck_port) {
        Some((ask, namespace)) => (ask, Some(namespace)),
        None => (ask, None),
    };
    let count = |key| {
        let number = get(map, key, Loose::whole)?.unwrap_or(1);
        let number = usize::try_from(number).ok().and_then(NonZeroUsize::new);
        number.ok_or_else(|| format!("`{key}`: expected a number from 1"))
    };
    let check = Check {
        question: Question::Ask(ask),
        timeout: timeout(map)?,
        rise: count("rise")?,
        fall: count("fall")?,
    };
    Ok(Some((check, namespace)))
}

fn timeout(map: &Map) -> Result<Duration, String> {
    let seconds = match get(map, "read_timeout", Loose::number)? {
        None => get(map, "timeout", Loose::number)?,
        known => known,
    };
    seconds_within(seconds.unwrap_or(TIMEOUT), "`timeout`")
}

fn uri(map: &Map, kind: Kind) -> Result<String, String> {
    let uri = match get(map, "uri", Loose::text)? {
        Some(uri) => uri,
        None if kind.is_get() => return Err("`uri` is missing".to_owned()),
        None => "/".to_owned(),
    };
    if is_path(&uri) {
        Ok(uri)
    } else {
        Err(format!("`uri` `{}`: expected a path", uri.escape_debug()))
    }
}

fn headers(map: &Map) -> Result<IndexMap<String, String>, String> {
    let Some(headers) = get(map, "headers", Loose::map)? else { return Ok(IndexMap::new()) };
    let header = |(name, value): (&String, &Loose)| {
        let value = value.scalar().ok().filter(|value| is_header(name, value));
        let none = || format!("`headers`: `{}` is none", name.escape_debug());
        value.map(|value| (name.clone(), value)).ok_or_else(none)
    };
    headers.iter().map(header).collect()
}

fn login(map: &Map) -> Result<Option<Login>, String> {
    let (user, password) = (get(map, "username", Loose::text)?, get(map, "password", Loose::text)?);
    let given = user.is_some() || password.is_some();
    Ok(given.then(|| Login {
        user: user.unwrap_or_default(),
        password: Secret::new(password.unwrap_or_default()),
    }))
}

/// What `/http/books.main/31337/status` of our own hacheck asks (nerve.md §5.5).
fn through_hacheck(ask: &Ask, hacheck_port: u16) -> Option<(Ask, Namespace)> {
    if ask.kind != Kind::Http || ask.host != Host::Local || ask.port != hacheck_port {
        return None;
    }
    let mut parts = ask.uri.trim_start_matches('/').splitn(4, '/');
    let kind = Kind::parse(parts.next()?)?;
    let namespace = parts.next()?.parse().ok()?;
    let port = parts.next()?.split('?').next()?.parse().ok().filter(|port: &u16| *port != 0)?;
    let uri = format!("/{}", parts.next().unwrap_or_default());
    Some((Ask { kind, port, uri, ..ask.clone() }, namespace))
}
