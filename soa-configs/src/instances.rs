//! `marathon-<cluster>.yaml`: the instances of one service.

pub(crate) mod deploy_group;

use std::{collections::BTreeMap, num::NonZeroU16, path::Path, sync::Arc};

use self::deploy_group::DeployGroup;
use crate::{
    Cluster, Namespace,
    fields::{self, Fields, Input},
    file::FileError,
    names,
    values::{self, shortened},
    yaml::{self, Fault, Node},
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
    yaml::parse(text)
        .and_then(|document| read(service, cluster, &document, text))
        .map_err(|fault| FileError::fault(file, text, &fault))
}

fn read(
    service: &str,
    cluster: &Cluster,
    document: &Node,
    text: &str,
) -> Result<BTreeMap<String, Arc<InstanceConfig>>, Fault> {
    let mut instances = BTreeMap::new();
    if document.is_null() {
        return Ok(instances);
    }
    let input = Input { node: document, text };
    for entry in input.map()?.iter() {
        let key = input.with(&entry.key);
        let name = key.text()?;
        if name.starts_with('_') {
            continue;
        }
        let default = values::parsed(key, |name| {
            if !names::is_word(&name) {
                let shown = shortened(&name);
                return Err(format!(
                    "{shown:?} is not the name of an instance (letters, digits, _, -)"
                ));
            }
            Namespace::new(service, &name).map_err(|error| error.to_string())
        })?;
        let config = instance(input.with(&entry.value), cluster, default)?;
        instances.insert(name, Arc::new(config));
    }
    Ok(instances)
}

/// Reads one instance, whose default registration is `default`.
fn instance(
    input: Input<'_>,
    cluster: &Cluster,
    default: Namespace,
) -> Result<InstanceConfig, Fault> {
    let mut fields = Fields::new(input)?;
    let (service, instance) = (default.service(), default.namespace());
    let group =
        fields.read("deploy_group", |input| values::parsed(input, |t| DeployGroup::parse(&t)));
    let deploy_group = match group {
        Some(group) => group.expand(cluster, service, instance),
        None => format!("{cluster}.{instance}"),
    };
    let container_port = fields.read("container_port", values::port);
    let nerve_ns = fields.read("nerve_ns", |input| {
        values::parsed(input, |text| match text.is_empty() {
            true => Ok(None),
            false => Namespace::new(service, &text).map(Some).map_err(|error| error.to_string()),
        })
    });
    let mut registrations = Vec::new();
    let listed = fields.read("registrations", |input| fields::list(input, values::namespace));
    for name in listed.unwrap_or_default() {
        if !registrations.contains(&name) {
            registrations.push(name);
        }
    }
    fields.finish()?;
    if registrations.is_empty() {
        registrations.push(nerve_ns.flatten().unwrap_or(default));
    }
    let container_port = container_port.unwrap_or(DEFAULT_CONTAINER_PORT);
    Ok(InstanceConfig { registrations, deploy_group, container_port })
}

#[cfg(test)]
mod tests;
