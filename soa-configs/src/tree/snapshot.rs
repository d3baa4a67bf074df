//! All of soa-configs at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::service::Service;
use crate::{Cluster, InstanceConfig, Namespace, NamespaceConfig, Problem};

/// What soa-configs said when they were last looked at. Equal when nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All namespaces with a `proxy_port`, be it null.
    pub namespaces: BTreeMap<Namespace, Arc<NamespaceConfig>>,
    /// Namespaces that are written down without a `proxy_port`: neither proxied nor registered.
    pub without_proxy_port: BTreeSet<Namespace>,
    /// All instances of [`Self::cluster`], by service and instance.
    pub instances: BTreeMap<(String, String), Arc<InstanceConfig>>,
    /// Files that are broken now; what they said before still counts.
    pub problems: Vec<Problem>,
    /// Whose instances these are. `None`: no cluster is set, so there are none.
    pub cluster: Option<Cluster>,
}

impl Snapshot {
    /// The configuration of one instance of this cluster.
    #[must_use]
    pub fn instance(&self, service: &str, instance: &str) -> Option<&Arc<InstanceConfig>> {
        self.instances.get(&(service.to_owned(), instance.to_owned()))
    }

    pub(super) fn of<'a>(
        cluster: Option<Cluster>,
        services: impl Iterator<Item = &'a Service>,
    ) -> Self {
        let mut snapshot = Self { cluster, ..Self::default() };
        for service in services {
            if let Some(file) = service.smartstack() {
                let namespaces = file.namespaces.iter().map(|(k, v)| (k.clone(), Arc::clone(v)));
                snapshot.namespaces.extend(namespaces);
                snapshot.without_proxy_port.extend(file.without_proxy_port.iter().cloned());
            }
            for (instance, config) in service.instances() {
                let key = (service.name().to_owned(), instance.clone());
                snapshot.instances.insert(key, Arc::clone(config));
            }
            snapshot.problems.extend(service.problems().cloned());
        }
        snapshot
    }
}
