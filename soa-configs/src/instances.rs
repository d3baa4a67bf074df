//! `marathon-<cluster>.yaml`: the instances of one service.

mod deploy_group;

use std::{collections::BTreeMap, num::NonZeroU16, path::Path, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed},
};

use self::deploy_group::DeployGroup;
use crate::{
    Cluster, Namespace,
    file::FileError,
    names, typed,
    values::{Port, Registration, shortened},
};

/// PaaSTA's port of a service inside its container (marathon-sync.md §3).
const DEFAULT_CONTAINER_PORT: NonZeroU16 = NonZeroU16::new(8888).unwrap();

/// What one instance says about itself (marathon-sync.md §3).
///
/// Only what registrations need; other keys are accepted and left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceConfig {
    /// Where its tasks are to appear; the first is the primary one. Never empty: default
    /// `service.nerve_ns`, else `service.instance`.
    pub registrations: Vec<Namespace>,
    /// Default `cluster.instance`.
    pub deploy_group: String,
    /// The port of the task inside its container. Default 8888.
    pub container_port: NonZeroU16,
}

/// Parses the text of the `marathon-<cluster>.yaml` of `service`, by instance; `file` is for the
/// messages. Keys that begin with `_` are templates, not instances.
///
/// # Errors
/// The first fault, with its place: the file is taken as a whole or not at all.
pub fn parse(
    service: &str,
    cluster: &Cluster,
    file: &Path,
    text: &str,
) -> Result<BTreeMap<String, Arc<InstanceConfig>>, FileError> {
    names::check_service(service, file)?;
    let entry = |key: &str| {
        if key.starts_with('_') {
            return Ok(None);
        }
        if !names::is_word(key) {
            let shown = shortened(key);
            return Err(format!(
                "{shown:?} is not the name of an instance (letters, digits, _, -)"
            ));
        }
        let default = Namespace::new(service, key).map_err(|error| error.to_string())?;
        Ok(Some((key.to_owned(), Instance { default, cluster })))
    };
    let instances = typed::parse_with(file, text, typed::Entries(entry))?;
    Ok(instances.into_iter().map(|(name, config)| (name, Arc::new(config))).collect())
}

/// As it is written.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    registrations: Option<Vec<Registration>>,
    nerve_ns: Option<String>,
    deploy_group: Option<DeployGroup>,
    container_port: Option<Port>,
}

/// Reads one instance, whose name and default registration are `default`.
struct Instance<'a> {
    default: Namespace,
    cluster: &'a Cluster,
}

impl<'de> DeserializeSeed<'de> for Instance<'_> {
    type Value = InstanceConfig;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<InstanceConfig, D::Error> {
        self.check(Raw::deserialize(de)?).map_err(de::Error::custom)
    }
}

impl Instance<'_> {
    fn check(self, raw: Raw) -> Result<InstanceConfig, names::InvalidName> {
        let (service, instance) = (self.default.service(), self.default.namespace());
        let deploy_group = match raw.deploy_group {
            Some(group) => group.expand(self.cluster, service, instance),
            None => format!("{}.{instance}", self.cluster),
        };
        let mut registrations = Vec::new();
        for Registration(name) in raw.registrations.unwrap_or_default() {
            if !registrations.contains(&name) {
                registrations.push(name);
            }
        }
        if registrations.is_empty() {
            registrations.push(match raw.nerve_ns.filter(|name| !name.is_empty()) {
                Some(nerve_ns) => Namespace::new(service, &nerve_ns)?,
                None => self.default,
            });
        }
        let container_port = raw.container_port.map_or(DEFAULT_CONTAINER_PORT, |port| port.0);
        Ok(InstanceConfig { registrations, deploy_group, container_port })
    }
}

#[cfg(test)]
mod tests;
