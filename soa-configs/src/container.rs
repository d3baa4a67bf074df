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
    /// In map order, defaults of the service first.
    pub extra_docker_args: IndexMap<String, String>,
    /// `NONE`, `BRIDGE`, `HOST`, or as written. Default `BRIDGE`.
    pub net: String,
    /// Exclusive with [`Self::args`].
    pub cmd: Option<Node>,
    /// Default: none with `cmd`, else empty.
    pub args: Option<Node>,
    /// In file order, without what PaaSTA adds.
    pub env: IndexMap<String, String>,
    pub extra_volumes: Vec<Volume>,
    /// Default `default`.
    pub pool: String,
    /// Replaces all computed ones, be it empty.
    pub constraints: Option<Vec<Vec<String>>>,
    pub extra_constraints: Vec<Vec<String>>,
    /// `[attribute, value]`.
    pub deploy_blacklist: Vec<(String, String)>,
    /// `[attribute, [value, ..]]`.
    pub deploy_whitelist: Option<(String, Vec<String>)>,
    /// Over `monitoring.yaml`.
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
        let (cpus, mem): (Value, Value) = match size {
            Size::Usual => (Value::Float(0.25), Value::from(1024)),
            Size::Interactive => (Value::from(4), Value::from(10_240)),
        };
        Ok(Self {
            cpus: keys.number("cpus", cpus)?,
            mem: keys.number("mem", mem)?,
            disk: keys.number("disk", 1024)?,
            cfs_period_us: keys.number("cfs_period_us", 100_000)?,
            cpu_burst_pct: keys.number("cpu_burst_pct", 900)?,
            ulimit: ulimit(keys)?,
            cap_add: keys.texts("cap_add")?,
            extra_docker_args: keys.text_map("extra_docker_args")?,
            net: net(&keys.text("net", "bridge")?),
            cmd,
            args,
            env: keys.text_map("env")?,
            extra_volumes: keys.volumes("extra_volumes")?,
            pool: keys.text("pool", "default")?,
            constraints: keys.constraints("constraints")?,
            extra_constraints: keys.constraints("extra_constraints")?.unwrap_or_default(),
            deploy_blacklist: keys.blacklist("deploy_blacklist")?,
            deploy_whitelist: keys.whitelist("deploy_whitelist")?,
            monitoring: keys.map("monitoring", Map::default)?,
        })
    }
}

/// As Marathon writes them.
fn net(written: &str) -> String {
    match written {
        "none" | "bridge" | "host" => written.to_uppercase(),
        _ => written.to_owned(),
    }
}

/// `cmd` or `args`: an empty list of arguments is one, too.
fn command(keys: Keys<'_>) -> Result<(Option<Node>, Option<Node>), ConfigError> {
    let (cmd, args) = (keys.get("cmd").cloned(), keys.get("args").cloned());
    match (&cmd, &args) {
        (Some(_), Some(_)) => Err(ConfigError::InvalidInstanceConfig(
            "Instance configuration can specify cmd or args, but not both.".to_owned(),
        )),
        (None, None) => Ok((None, Some(Node::made(Vec::new())))),
        _ => Ok((cmd, args)),
    }
}

fn ulimit(keys: Keys<'_>) -> Result<BTreeMap<String, Ulimit>, ConfigError> {
    let map = keys.map("ulimit", Map::default)?;
    let mut limits = BTreeMap::new();
    for (name, entry) in map.texts() {
        let limit = Keys(merged::expect_map("ulimit", &entry.value)?);
        let Some(soft) = limit.get("soft").cloned() else {
            return Err(ConfigError::InvalidInstanceConfig(format!(
                "soft limit missing in ulimit configuration for {name}."
            )));
        };
        limits.insert(name.to_owned(), Ulimit { soft, hard: limit.get("hard").cloned() });
    }
    Ok(limits)
}
