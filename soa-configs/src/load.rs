//! The configuration of one instance: its section over the general configuration of its service
//! (marathon-sync.md §2, chronos-sync.md §1).

use std::fmt;

use crate::{
    Cluster,
    documents::{Document, ServiceDocuments},
    instances::deploy_group::{DeployGroup, Unformattable},
    yaml::{Entry, Map, Node, Value},
};

mod deployments;
mod origin;

pub use self::{
    deployments::{Control, Deployment, DesiredState},
    origin::{Layer, Origin},
};

/// Which file an instance stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Marathon,
    Chronos,
    Adhoc,
}

impl Kind {
    /// All, in the order in which the tools go through them.
    pub const ALL: [Self; 3] = [Self::Marathon, Self::Chronos, Self::Adhoc];

    /// As in the name of the file, `marathon-<cluster>.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Marathon => "marathon",
            Self::Chronos => "chronos",
            Self::Adhoc => "adhoc",
        }
    }

    /// The name of the file for a cluster.
    #[must_use]
    pub fn file(self, cluster: &Cluster) -> String {
        format!("{}-{cluster}.yaml", self.as_str())
    }
}

/// Why an instance has no configuration. The variants are the classes that the tools tell apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There is no such file, or no such instance in it.
    #[error("{0}")]
    NoConfiguration(String),
    /// Names that begin with `_` are templates.
    #[error("{0}")]
    InvalidJobName(String),
    /// `deployments.json` is missing, or an entry of its second version is.
    #[error("{0}")]
    NoDeployments(String),
    /// A file cannot be understood and never was.
    #[error("{0}")]
    Broken(String),
    /// A value is not of the kind it must be.
    #[error("{0}")]
    WrongType(String),
    /// A key that must be there is missing.
    #[error("`{0}` is missing")]
    MissingKey(String),
    /// A text is not of the form that it must have.
    #[error("{0}")]
    BadValue(String),
}

/// One instance as it is written, its service's defaults below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub kind: Kind,
    pub service: String,
    pub instance: String,
    pub cluster: Cluster,
    /// All keys, unknown ones included; those of the instance come after the service's.
    pub merged: Map,
    /// `deploy_group` with its placeholders filled in. Default `cluster.instance`.
    pub deploy_group: String,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.instance)
    }
}

/// What a file says; nothing is an empty map, as the tools have it.
fn content(files: &ServiceDocuments, name: &str) -> Result<Node, LoadError> {
    match known(files, name)? {
        Some(document) if !document.node.is_falsy() => Ok(document.node.clone()),
        _ => Ok(Node::empty_map()),
    }
}

/// A file as it was last understood. `None`: there is none. One that never was understood may say
/// anything, so nothing is made of its service.
fn known<'d>(files: &'d ServiceDocuments, name: &str) -> Result<Option<&'d Document>, LoadError> {
    match files.get(name) {
        Some(document) => Ok(Some(document)),
        None => match files.problem(name) {
            Some(problem) => Err(LoadError::Broken(problem.one_line.clone())),
            None => Ok(None),
        },
    }
}

/// Keys of the general configuration, and the files that they are.
const OWN_FILES: [(&str, &str); 6] = [
    ("lb_extras", "lb.yaml"),
    ("monitoring", "monitoring.yaml"),
    ("deploy", "deploy.yaml"),
    ("data", "data.yaml"),
    ("smartstack", "smartstack.yaml"),
    ("dependencies", "dependencies.yaml"),
];

/// The general configuration of a service: its files by name, and over them every key of
/// `service.yaml`, whole.
///
/// # Errors
/// When one of the files cannot be understood, or `service.yaml` is no map.
pub fn general(files: &ServiceDocuments) -> Result<Map, LoadError> {
    let mut general = Map::default();
    let text = |name: &str| files.get(name).and_then(|document| document.node.as_text());
    let port = text("port").and_then(|port| port.trim().parse::<i64>().ok());
    general.set("port", Node::made(port.map_or(Value::Null, Value::from)));
    general.set("vip", Node::made(text("vip").map_or(Value::Null, Value::from)));
    for (key, file) in OWN_FILES {
        general.set(key, content(files, file)?);
    }
    let service = content(files, "service.yaml")?;
    let Some(map) = service.as_map() else {
        return Err(LoadError::WrongType("service.yaml: expected a map".to_owned()));
    };
    for Entry { key, value } in map.iter() {
        general.insert(key.clone(), value.clone());
    }
    Ok(general)
}

/// The instances of a service in a cluster, in file order; templates are none.
pub fn names<'d>(
    files: &'d ServiceDocuments,
    kind: Kind,
    cluster: &Cluster,
) -> impl Iterator<Item = &'d str> {
    let document = files.get(&kind.file(cluster));
    let map = document.and_then(|document| document.node.as_map());
    map.into_iter().flat_map(Map::texts).map(|(name, _)| name).filter(|name| !name.starts_with('_'))
}

/// Loads an instance.
///
/// # Errors
/// See [`LoadError`].
pub fn instance(
    files: &ServiceDocuments,
    kind: Kind,
    service: &str,
    instance: &str,
    cluster: &Cluster,
) -> Result<Instance, LoadError> {
    let mut merged = general(files)?;
    let file = content(files, &kind.file(cluster))?;
    if instance.starts_with('_') {
        return Err(LoadError::InvalidJobName(format!(
            "Unable to load {} job config for {service}.{instance} as instance name starts with '_'",
            kind.as_str()
        )));
    }
    merged.merge(section(&file, files, kind, instance, cluster)?);
    let deploy_group = deploy_group(&merged, service, instance, cluster)?;
    let (service, instance) = (service.to_owned(), instance.to_owned());
    Ok(Instance { kind, service, instance, cluster: cluster.clone(), merged, deploy_group })
}

fn section<'n>(
    file: &'n Node,
    files: &ServiceDocuments,
    kind: Kind,
    instance: &str,
    cluster: &Cluster,
) -> Result<&'n Map, LoadError> {
    let name = kind.file(cluster);
    let missing = || {
        LoadError::NoConfiguration(match kind {
            Kind::Chronos => format!("No job named \"{instance}\" in config file {name}"),
            Kind::Marathon | Kind::Adhoc => {
                format!(
                    "{instance} not found in config file {}.",
                    files.dir().join(&name).display()
                )
            }
        })
    };
    let wrong = |what: &str| LoadError::WrongType(format!("{name}: {what}: expected a map"));
    // As the tools look for a name in a list: found, it leads nowhere.
    if let Some(list) = file.as_list() {
        let is_listed = list.iter().any(|item| item.as_text() == Some(instance));
        return Err(if is_listed { wrong("the file") } else { missing() });
    }
    let map = file.as_map().ok_or_else(|| wrong("the file"))?;
    map.get(instance).ok_or_else(missing)?.as_map().ok_or_else(|| wrong(instance))
}

fn deploy_group(
    merged: &Map,
    service: &str,
    instance: &str,
    cluster: &Cluster,
) -> Result<String, LoadError> {
    let Some(node) = merged.get("deploy_group") else {
        return Ok(format!("{cluster}.{instance}"));
    };
    let Some(text) = node.as_text() else {
        return Err(LoadError::WrongType("deploy_group: expected a text".to_owned()));
    };
    match DeployGroup::parse(text) {
        Ok(group) => Ok(group.expand(cluster, service, instance)),
        Err(Unformattable::Unknown(name)) => Err(LoadError::MissingKey(name)),
        Err(error) => Err(LoadError::BadValue(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
