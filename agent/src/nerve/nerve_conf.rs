//! `nerve.conf.json`, so that a host can be moved over unchanged: each entry is a registration of its own
//! (nerve.md §1.2, §1.3).
//!
//! Checks that nerve sent to this host's hacheck are made in process, with the marks of that service.

mod entry;
mod loose;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use indexmap::IndexMap;
use serde::Deserialize;
use soa_configs::Namespace;

use self::loose::Loose;
use super::{
    checks::CheckPlan,
    registrations::{Registration, RegistrationKey, Registrations},
    written_file::{Parsed, Said},
};
use crate::registry::{Ensemble, ParentPath, Record, RecordKey, Spot, TaskId};

/// What the file says.
pub type NerveConf = Said<Entry>;

/// One entry of `services`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its key, which appears nowhere but in logs.
    pub key: String,
    pub host: IpAddr,
    pub port: u16,
    pub ensemble: Ensemble,
    pub parent: ParentPath,
    pub weight: Option<u32>,
    pub haproxy_server_options: Option<String>,
    pub labels: Option<IndexMap<String, String>>,
    /// By whose marks it goes, and what it is in HAProxy.
    pub namespace: Namespace,
    pub plan: CheckPlan,
}

#[derive(Deserialize)]
struct Raw {
    instance_id: Option<String>,
    #[serde(default)]
    services: IndexMap<String, Loose>,
    service_conf_dir: Option<String>,
}

/// Reads the file of a host whose hacheck listens on `hacheck_port` and whose records bear `host_name`.
///
/// # Errors
/// A sentence with the place, when it is neither JSON nor YAML, or not of this form.
pub fn parse(text: &str, host_name: &str, hacheck_port: u16) -> Result<Parsed<Entry>, String> {
    let nothing = Parsed { items: Vec::new(), problems: Vec::new() };
    if text.trim().is_empty() {
        return Ok(nothing);
    }
    // JSON is YAML, and reads the same.
    let raw: Raw = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let mut parsed = nothing;
    if let Some(id) = raw.instance_id.filter(|id| id != host_name) {
        let reason = format!(
            "`{}` is not host.name, which records bear: `{host_name}`; two names are two servers",
            id.escape_debug()
        );
        parsed.problems.push(("instance_id".to_owned(), reason));
    }
    if raw.service_conf_dir.is_some() {
        let reason = "not read: write its entries into `services`".to_owned();
        parsed.problems.push(("service_conf_dir".to_owned(), reason));
    }
    for (key, entry) in raw.services {
        match entry::read(&key, &entry, hacheck_port) {
            Ok((entries, warnings)) => {
                parsed.items.extend(entries);
                let told = warnings.into_iter().map(|warning| (shown(&key), warning));
                parsed.problems.extend(told);
            }
            Err(reason) => parsed.problems.push((shown(&key), reason)),
        }
    }
    Ok(parsed)
}

/// A foreign name, fit for a line.
fn shown(key: &str) -> String {
    key.chars().take(200).collect::<String>().escape_debug().to_string()
}

impl Registrations {
    /// With the entries of the file. What is registered from somewhere else already is not doubled.
    #[must_use]
    pub fn with_nerve_conf(mut self, conf: &NerveConf, host_name: &str) -> Self {
        // Two records at one spot are one server to whoever reads them.
        let known: BTreeSet<Spot> = self.wanted.values().flat_map(|r| spots(r)).collect();
        for entry in &conf.items {
            let registration = registration(entry, host_name);
            if !spots(&registration).any(|spot| known.contains(&spot)) {
                self.wanted.insert(registration.key.clone(), Arc::new(registration));
            }
        }
        self.refused.extend(conf.problems.iter().cloned());
        self.refused.sort();
        self.complete &= conf.looked;
        self
    }
}

fn spots(registration: &Registration) -> impl Iterator<Item = Spot> + '_ {
    registration.records.iter().map(|(key, record)| Spot::of(key, record))
}

fn registration(entry: &Entry, host_name: &str) -> Registration {
    let task = TaskId(format!("nerve:{}", entry.key).into());
    let record = Record {
        host: entry.host,
        port: entry.port,
        name: host_name.to_owned(),
        weight: entry.weight,
        haproxy_server_options: entry.haproxy_server_options.clone(),
        labels: entry.labels.clone(),
    };
    let (ensemble, parent) = (entry.ensemble.clone(), entry.parent.clone());
    Registration {
        key: RegistrationKey { task: task.clone(), namespace: entry.namespace.clone() },
        title: shown(&entry.key),
        life: String::new(),
        created: None,
        port: entry.port,
        plan: entry.plan.clone(),
        leaving: None,
        records: [(RecordKey { ensemble, parent, task }, record)].into(),
    }
}

#[cfg(test)]
mod tests;
