//! What a container of an instance gets, be it of Marathon, Chronos or by hand
//! (marathon-sync.md §3, chronos-sync.md §2).
//!
//! Values that go into an app unchanged stay as they are written, as [`Node`]s: an integer and a float
//! of equal value make different hashes.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::{
    merged::{self, ConfigError, Keys},
    paasta::Volume,
    yaml::{Map, Node, Value},
};

/// A soft limit, and perhaps a hard one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub soft: Node,
    pub hard: Option<Node>,
}

/// What a container gets, and where it may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Share of processors, as written. Default 0.25.
    pub cpus: Node,
    /// MB, as written. Default 1024.
    pub mem: Node,
    /// MB, as written. Default 1024.
    pub disk: Node,
    /// Microseconds, as written. Default 100000.
    pub cfs_period_us: Node,
    /// Percent above [`Self::cpus`] that may be used, as written. Default 900.
    pub cpu_burst_pct: Node,
    /// By name.
    pub ulimit: BTreeMap<String, Ulimit>,
    /// In the order of the list.
    pub cap_add: Vec<String>,
    /// In map order, defaults of the service first; texts, or whatever is written.
    pub extra_docker_args: IndexMap<String, Node>,
    /// `NONE`, `BRIDGE`, `HOST`, or as written. Default `BRIDGE`.
    pub net: Node,
    /// Exclusive with [`Self::args`].
    pub cmd: Option<Node>,
    /// Default: none with `cmd`, else empty. `None` as well when null is written.
    pub args: Option<Node>,
    /// In file order, without what PaaSTA adds. Marathon takes only texts.
    pub env: IndexMap<String, Node>,
    pub extra_volumes: Vec<Volume>,
    /// As written. Default `default`.
    pub pool: Node,
    /// Replaces all computed ones, be it empty.
    pub constraints: Option<Vec<Vec<String>>>,
    pub extra_constraints: Vec<Vec<String>>,
    /// `[attribute, value]`.
    pub deploy_blacklist: Vec<(String, String)>,
    /// `[attribute, [value, ..]]`.
    pub deploy_whitelist: Option<(String, Vec<String>)>,
    /// Over `monitoring.yaml`. What is no map counts as empty: no app is refused for it.
    pub monitoring: Map,
}

/// Processors, memory and disk of an instance that says nothing of them.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    Usual,
    /// For people at a terminal (`interactive`).
    Interactive,
}

impl Container {
    pub(crate) fn read(keys: Keys<'_>, size: Size) -> Result<Self, ConfigError> {
        let (cmd, args) = command(keys)?;
        let constraints = keys.constraints("constraints")?;
        let (cpus, mem): (Value, Value) = match size {
            Size::Usual => (Value::Float(0.25), Value::from(1024)),
            Size::Interactive => (Value::from(4), Value::from(10_240)),
        };
        Ok(Self {
            cpus: keys.number("cpus", cpus)?,
            mem: keys.number("mem", mem)?,
            disk: keys.float("disk", 1024)?,
            cfs_period_us: keys.number("cfs_period_us", 100_000)?,
            cpu_burst_pct: keys.number("cpu_burst_pct", 900)?,
            ulimit: ulimit(keys)?,
            cap_add: keys.items("cap_add")?.iter().map(merged::shown).collect(),
            extra_docker_args: extra_docker_args(keys)?,
            net: net(keys.written("net", "bridge"))?,
            cmd,
            args,
            env: keys.by_name("env")?,
            extra_volumes: keys.volumes("extra_volumes")?,
            pool: keys.written("pool", "default"),
            extra_constraints: extra_constraints(keys, constraints.is_some())?,
            constraints,
            deploy_blacklist: keys.blacklist("deploy_blacklist")?,
            deploy_whitelist: keys.whitelist("deploy_whitelist")?,
            monitoring: keys.get("monitoring").and_then(Node::as_map).cloned().unwrap_or_default(),
        })
    }
}

/// As Marathon writes them.
fn net(written: Node) -> Result<Node, ConfigError> {
    match (&written.value, written.as_text()) {
        (_, Some(known @ ("none" | "bridge" | "host"))) => Ok(Node::made(known.to_uppercase())),
        (Value::List(_) | Value::Map(_) | Value::Set(_), _) => {
            Err(ConfigError::WrongType { key: "net".to_owned(), expected: "a text" })
        }
        _ => Ok(written),
    }
}

/// `cmd` or `args`: an empty list of arguments is one, too.
fn command(keys: Keys<'_>) -> Result<(Option<Node>, Option<Node>), ConfigError> {
    let (cmd, args) = (keys.get("cmd").cloned(), keys.get("args").cloned());
    match (&cmd, &args) {
        (Some(_), Some(_)) => Err(ConfigError::InvalidInstanceConfig(
            "Instance configuration can specify cmd or args, but not both.".to_owned(),
        )),
        // Where null is written it stays null.
        (None, None) => {
            Ok((None, Some(keys.written("args", Vec::new())).filter(|args| !args.is_null())))
        }
        _ => Ok((cmd, args)),
    }
}

/// Nothing at all, in whatever form, is none.
fn extra_docker_args(keys: Keys<'_>) -> Result<IndexMap<String, Node>, ConfigError> {
    match keys.get("extra_docker_args") {
        Some(node) if !node.is_falsy() => keys.by_name("extra_docker_args"),
        _ => Ok(IndexMap::new()),
    }
}

/// Null is refused unless they do not count, as everything else is computed onto them.
fn extra_constraints(keys: Keys<'_>, are_replaced: bool) -> Result<Vec<Vec<String>>, ConfigError> {
    let key = "extra_constraints";
    match keys.constraints(key)? {
        Some(constraints) => Ok(constraints),
        None if are_replaced => Ok(Vec::new()),
        None => keys.items(key).map(|_| Vec::new()),
    }
}

fn ulimit(keys: Keys<'_>) -> Result<BTreeMap<String, Ulimit>, ConfigError> {
    let map = keys.map("ulimit", Map::default)?;
    let mut limits = BTreeMap::new();
    for entry in map.iter() {
        let name = merged::shown(&entry.key);
        let limit = Keys(merged::expect_map("ulimit", &entry.value)?);
        let Some(soft) = limit.get("soft").cloned() else {
            return Err(ConfigError::InvalidInstanceConfig(format!(
                "soft limit missing in ulimit configuration for {name}."
            )));
        };
        merged::number("ulimit", &soft)?;
        let hard = limit.get("hard").cloned();
        hard.as_ref().map_or(Ok(()), |hard| merged::number("ulimit", hard))?;
        limits.insert(name, Ulimit { soft, hard });
    }
    Ok(limits)
}
