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

/// What an instance, or the `service.yaml` below it, says; what it does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    registrations: Vec<Namespace>,
    nerve_ns: Option<Namespace>,
    deploy_group: Option<DeployGroup>,
    container_port: Option<NonZeroU16>,
}

impl Said {
    /// Over the defaults of its service, and over those of all. `name` is the default registration.
    pub(crate) fn over(
        &self,
        defaults: &Self,
        cluster: &Cluster,
        name: &Namespace,
    ) -> InstanceConfig {
        let (service, instance) = (name.service(), name.namespace());
        let group = self.deploy_group.as_ref().or(defaults.deploy_group.as_ref());
        let listed = [&self.registrations, &defaults.registrations];
        let registrations = match listed.into_iter().find(|listed| !listed.is_empty()) {
            Some(listed) => listed.clone(),
            None => {
                let nerve_ns = self.nerve_ns.as_ref().or(defaults.nerve_ns.as_ref());
                vec![nerve_ns.unwrap_or(name).clone()]
            }
        };
        InstanceConfig {
            registrations,
            deploy_group: match group {
                Some(group) => group.expand(cluster, service, instance),
                None => format!("{cluster}.{instance}"),
            },
            container_port: self
                .container_port
                .or(defaults.container_port)
                .unwrap_or(DEFAULT_CONTAINER_PORT),
        }
    }
}

/// Parses the text of the `marathon-<cluster>.yaml` of `service`, by instance; `file` is for the
/// messages. Keys that begin with `_` are templates, not instances. Nothing is known of `service.yaml`.
///
/// # Errors
/// The first fault, with its place: the file is taken as a whole or not at all.
pub fn parse(
    service: &str,
    cluster: &Cluster,
    file: &Path,
    text: &str,
) -> Result<BTreeMap<String, Arc<InstanceConfig>>, FileError> {
    let said = parse_said(service, file, text)?.into_iter();
    let config = |name: &Namespace, said: &Said| said.over(&Said::default(), cluster, name);
    Ok(said
        .map(|(name, said)| (name.namespace().to_owned(), Arc::new(config(&name, &said))))
        .collect())
}

/// The same, as far as the file says it; an instance is named by its default registration.
pub(crate) fn parse_said(
    service: &str,
    file: &Path,
    text: &str,
) -> Result<BTreeMap<Namespace, Said>, FileError> {
    names::check_service(service, file)?;
    yaml::parse(text)
        .and_then(|document| instances(service, &document, text))
        .map_err(|fault| FileError::fault(file, text, &fault))
}

/// The defaults in a `service.yaml`.
///
/// # Errors
/// The first fault, with its place.
pub(crate) fn parse_defaults(service: &str, file: &Path, text: &str) -> Result<Said, FileError> {
    let read = |document: Node| match document.is_null() {
        true => Ok(Said::default()),
        false => said(Input { node: &document, text }, service),
    };
    yaml::parse(text).and_then(read).map_err(|fault| FileError::fault(file, text, &fault))
}

fn instances(
    service: &str,
    document: &Node,
    text: &str,
) -> Result<BTreeMap<Namespace, Said>, Fault> {
    let mut instances = BTreeMap::new();
    if document.is_null() {
        return Ok(instances);
    }
    let input = Input { node: document, text };
    for entry in input.map()?.iter() {
        let key = input.with(&entry.key);
        if key.text()?.starts_with('_') {
            continue;
        }
        let name = values::parsed(key, |name| {
            if !names::is_word(&name) {
                let shown = shortened(&name);
                return Err(format!(
                    "{shown:?} is not the name of an instance (letters, digits, _, -)"
                ));
            }
            Namespace::new(service, &name).map_err(|error| error.to_string())
        })?;
        instances.insert(name, said(input.with(&entry.value), service)?);
    }
    Ok(instances)
}

fn said(input: Input<'_>, service: &str) -> Result<Said, Fault> {
    let mut fields = Fields::new(input)?;
    let deploy_group = fields.read("deploy_group", |input| {
        values::parsed(input, |t| DeployGroup::parse(&t).map_err(|e| e.to_string()))
    });
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
    Ok(Said { registrations, nerve_ns: nerve_ns.flatten(), deploy_group, container_port })
}

#[cfg(test)]
mod tests;
