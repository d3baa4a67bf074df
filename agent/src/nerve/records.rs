//! Which records a registration has: in which places, in which ensembles, with which labels (nerve.md
//! §5.4, §5.5). Decisions on values alone.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use soa_configs::{
    NamespaceConfig, Place,
    locations::{Advertised, advertised},
};

use super::registrations::{HostIdentity, RegistrationKey};
use crate::{
    registry::{Ensemble, Layout, ParentPath, Record, RecordKey},
    soa::{Soa, atlas::Atlas},
};

/// PaaSTA's services always carry this weight (nerve.md §5.1).
const WEIGHT: u32 = 10;

/// Where the tasks of this host appear for one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Destinations {
    places: BTreeSet<(Ensemble, Place)>,
    /// Places that could not be followed, and why; one sentence each.
    pub(super) refused: BTreeSet<String>,
}

/// What the records of a task say beside its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Default 10.
    pub weight: Option<u32>,
    pub haproxy_server_options: Option<String>,
    /// Of the task itself, over those of `labels.d`.
    pub labels: IndexMap<String, String>,
    /// `deploy_group` and `paasta_instance`, over all others.
    pub paasta: Vec<(&'static str, String)>,
}

impl Default for Payload {
    fn default() -> Self {
        Self {
            weight: Some(WEIGHT),
            haproxy_server_options: None,
            labels: IndexMap::new(),
            paasta: Vec::new(),
        }
    }
}

/// Decides where the tasks of this host appear for a namespace.
///
/// A place belongs to the ensembles of the locations of type `registry.location_type` that it lies in,
/// or that lie in it. That of this host's own location is its registry, whatever the topology says.
pub(super) fn destinations(
    config: &NamespaceConfig,
    soa: &Soa,
    host: &HostIdentity,
) -> Destinations {
    let atlas = &soa.atlas;
    let Advertised { places, unknown } =
        advertised(config, &soa.places, &atlas.types, &atlas.mapping);
    let mut destinations = Destinations {
        refused: unknown.iter().map(|unknown| format!("extra_advertise: {unknown}")).collect(),
        places: BTreeSet::new(),
    };
    let here = location_of_this_host(soa, host);
    for place in places {
        match ensembles(&place, here.as_deref(), soa, host) {
            Ok(found) => {
                for ensemble in found {
                    match ensemble {
                        Ok(ensemble) => {
                            destinations.places.insert((ensemble, place.clone()));
                        }
                        Err(reason) => {
                            destinations.refused.insert(reason);
                        }
                    }
                }
            }
            Err(reason) => {
                destinations.refused.insert(reason);
            }
        }
    }
    destinations
}

/// The ensembles in which a place is registered, each alone: one that is not known harms no other.
fn ensembles(
    place: &Place,
    here: Option<&str>,
    soa: &Soa,
    host: &HostIdentity,
) -> Result<Vec<Result<Ensemble, String>>, String> {
    let (atlas, kind): (&Atlas, _) = (&soa.atlas, host.location_type.as_str());
    let is_own = soa.places.contains(place);
    let in_registry_of_this_host = || Ok(vec![Ok(host.ensemble.clone())]);
    // A host that knows of no other ensemble has one.
    if is_own && (here.is_none() || atlas.ensembles.is_none()) {
        return in_registry_of_this_host();
    }
    let locations = match atlas.mapping.convert(place, kind, &atlas.types) {
        Ok(locations) if !locations.is_empty() => locations,
        _ if is_own => return in_registry_of_this_host(),
        Ok(_) => return Err(format!("{place} lies in no {kind}, so it has no ZooKeeper")),
        Err(unknown) => return Err(unknown.to_string()),
    };
    let ensemble = |location: &String| {
        if Some(location.as_str()) == here {
            return Ok(host.ensemble.clone());
        }
        let known = atlas.ensembles.as_ref().and_then(|ensembles| ensembles.get(location));
        known.cloned().ok_or_else(|| {
            format!("{place} is not registered: the ZooKeeper of {kind}:{location} is not known; {location}.yaml in registry.topology_dir names it")
        })
    };
    Ok(locations.iter().map(ensemble).collect())
}

/// Where this host is, in locations of the type that has a ZooKeeper each.
fn location_of_this_host(soa: &Soa, host: &HostIdentity) -> Option<String> {
    let kind = host.location_type.as_str();
    if let Some(own) = soa.places.iter().find(|place| place.kind() == kind) {
        return Some(own.location().to_owned());
    }
    let narrowest = soa.places.last()?;
    match soa.atlas.mapping.convert(narrowest, kind, &soa.atlas.types).ok()?.as_slice() {
        [location] => Some(location.clone()),
        _ => None,
    }
}

/// In each ensemble one v1 record a place, and one v2 record that carries its places as labels.
pub(super) fn records(
    key: &RegistrationKey,
    port: u16,
    payload: &Payload,
    destinations: &Destinations,
    soa: &Soa,
    host: &HostIdentity,
) -> BTreeMap<RecordKey, Record> {
    let record = |labels| Record {
        host: host.address,
        port,
        name: host.name.clone(),
        weight: payload.weight,
        haproxy_server_options: payload.haproxy_server_options.clone(),
        labels,
    };
    let under = |ensemble: &Ensemble, parent| RecordKey {
        ensemble: ensemble.clone(),
        parent,
        task: key.task.clone(),
    };
    let mut records = BTreeMap::new();
    let mut labels: BTreeMap<&Ensemble, IndexMap<String, String>> = BTreeMap::new();
    for (ensemble, place) in &destinations.places {
        if host.layouts.contains(&Layout::V1) {
            let parent = ParentPath::v1(place, &key.namespace);
            records.insert(under(ensemble, parent), record(None));
        }
        let custom = || {
            let mut custom = soa.atlas.labels_of(&key.namespace, port);
            custom.extend(payload.labels.clone());
            custom
        };
        let labels = labels.entry(ensemble).or_insert_with(custom);
        labels.insert(place.to_string(), String::new());
    }
    if host.layouts.contains(&Layout::V2) {
        for (ensemble, mut labels) in labels {
            let paasta = payload.paasta.iter();
            labels.extend(paasta.map(|(name, value)| ((*name).to_owned(), value.clone())));
            // configure_nerve writes its file with sorted keys, so labels come out sorted.
            labels.sort_keys();
            let parent = ParentPath::v2(&key.namespace);
            records.insert(under(ensemble, parent), record(Some(labels)));
        }
    }
    records
}

#[cfg(test)]
mod tests;
