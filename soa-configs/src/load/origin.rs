//! Where the value of a key is written: in which of the files that lie over each other
//! (marathon-sync.md §2).

use std::fmt;

use super::{Deployment, Instance, OWN_FILES, content, section};
use crate::{
    documents::ServiceDocuments,
    yaml::{Map, Node},
};

/// The files over each other, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The section of the instance, or a template that it merges.
    Instance,
    /// `service.yaml`.
    Service,
    /// The file of a key of the general configuration, as `smartstack.yaml`.
    General,
    /// `deployments.json`, which lies beside the others.
    Deployments,
}

/// Where a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub layer: Layer,
    /// Below the directory of soa-configs.
    pub file: String,
    /// Of the key, counted from 1.
    pub line: u32,
}

impl Layer {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Service => "service",
            Self::General => "general",
            Self::Deployments => "deployments",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Origin {
    /// Where a key of an instance is written; more names lead into its map. `None`: nowhere, so that its
    /// default counts.
    #[must_use]
    pub fn of(files: &ServiceDocuments, instance: &Instance, key: &[&str]) -> Option<Self> {
        let made = |layer, file: &str, line| {
            Some(Self { layer, file: format!("{}/{file}", instance.service), line })
        };
        let Instance { kind, instance: name, cluster, .. } = instance;
        let (own, service) = (kind.file(cluster), "service.yaml");
        let written = content(files, &own).ok()?;
        let section = section(&written, files, *kind, name, cluster).ok()?;
        if let Some(line) = line(section, key) {
            return made(Layer::Instance, &own, line);
        }
        let general = content(files, service).ok()?;
        let general = general.as_map()?;
        if let Some(line) = line(general, key) {
            return made(Layer::Service, service, line);
        }
        let (first, inside) = key.split_first()?;
        // A key of service.yaml replaces the file of that name.
        let is_replaced = general.get(first).is_some();
        let (_, file) = OWN_FILES.iter().find(|(key, _)| key == first && !is_replaced)?;
        let written = content(files, file).ok()?;
        made(Layer::General, file, line(written.as_map()?, inside)?)
    }

    /// Where the first version of `deployments.json` says something of an instance.
    #[must_use]
    pub fn of_deployment(files: &ServiceDocuments, instance: &Instance, key: &str) -> Option<Self> {
        let file = "deployments.json";
        let document = files.get(file)?.node.as_map()?;
        let line = line(document, &["v1", &Deployment::v1_key(instance), key])?;
        let file = format!("{}/{file}", instance.service);
        Some(Self { layer: Layer::Deployments, file, line })
    }
}

/// The line of the last of these keys, each in the map of the one before.
fn line(map: &Map, key: &[&str]) -> Option<u32> {
    let (last, before) = key.split_last()?;
    let inside = |map: &'_ Map, name: &&str| map.get(name).and_then(Node::as_map).cloned();
    let map = before.iter().try_fold(map.clone(), |map, name| inside(&map, name))?;
    map.entry(last).map(|entry| entry.key.span.line)
}
