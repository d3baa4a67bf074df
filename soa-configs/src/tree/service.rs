//! What is known of one service, file by file.

use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::Arc};

use crate::{
    Cluster, InstanceConfig, Namespace, SmartstackFile,
    file::Problem,
    instances::{self, Said},
    smartstack,
    watched::Watched,
};

/// One directory of soa-configs.
#[derive(Debug)]
pub(super) struct Service {
    name: String,
    smartstack: Watched<SmartstackFile>,
    /// `service.yaml`: what its instances do not say themselves.
    defaults: Watched<Said>,
    marathon: Watched<BTreeMap<Namespace, Said>>,
    instances: BTreeMap<String, Arc<InstanceConfig>>,
}

impl Service {
    pub(super) fn new(name: Cow<'_, str>) -> Self {
        Self {
            name: name.into_owned(),
            smartstack: Watched::default(),
            defaults: Watched::default(),
            marathon: Watched::default(),
            instances: BTreeMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn smartstack(&self) -> Option<&SmartstackFile> {
        self.smartstack.good.as_ref()
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = (&String, &Arc<InstanceConfig>)> {
        self.instances.iter()
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.smartstack.problem.iter().chain(&self.defaults.problem).chain(&self.marathon.problem)
    }

    /// Files that said something and say nothing now, which the next look may believe.
    pub(super) fn doubts(&self) -> impl Iterator<Item = Problem> {
        let doubts = [self.smartstack.doubt(), self.defaults.doubt(), self.marathon.doubt()];
        doubts.into_iter().flatten()
    }

    pub(super) fn says_something(&self) -> bool {
        self.smartstack.says_something()
            || self.defaults.says_something()
            || self.marathon.says_something()
    }

    /// Returns how many files were read.
    pub(super) fn refresh(&mut self, dir: &Path, cluster: Option<&Cluster>) -> usize {
        let name = &self.name;
        let file = dir.join("smartstack.yaml");
        let mut read =
            self.smartstack.refresh(file, |file, text| smartstack::parse(name, file, text));
        let Some(cluster) = cluster else {
            self.defaults = Watched::default();
            self.marathon = Watched::default();
            self.instances.clear();
            return read;
        };
        let file = dir.join("service.yaml");
        read +=
            self.defaults.refresh(file, |file, text| instances::parse_defaults(name, file, text));
        let file = dir.join(format!("marathon-{cluster}.yaml"));
        read += self.marathon.refresh(file, |file, text| instances::parse_said(name, file, text));
        self.merge(cluster);
        read
    }

    /// Puts what the two files say together.
    fn merge(&mut self, cluster: &Cluster) {
        let nothing = Said::default();
        let defaults = self.defaults.good.as_ref().unwrap_or(&nothing);
        let all = self.marathon.good.iter().flatten();
        self.instances = all
            .map(|(name, said)| {
                let config = Arc::new(said.over(defaults, cluster, name));
                (name.namespace().to_owned(), config)
            })
            .collect();
    }
}
