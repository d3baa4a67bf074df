//! What is known of one service, file by file.

use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::Arc};

use crate::{
    Cluster, InstanceConfig, SmartstackFile, file::Problem, instances, smartstack, watched::Watched,
};

/// The instances of one service by name.
type Instances = BTreeMap<String, Arc<InstanceConfig>>;

/// One directory of soa-configs.
#[derive(Debug)]
pub(super) struct Service {
    name: String,
    smartstack: Watched<SmartstackFile>,
    marathon: Watched<Instances>,
}

impl Service {
    pub(super) fn new(name: Cow<'_, str>) -> Self {
        Self {
            name: name.into_owned(),
            smartstack: Watched::default(),
            marathon: Watched::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn smartstack(&self) -> Option<&SmartstackFile> {
        self.smartstack.good.as_ref()
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = (&String, &Arc<InstanceConfig>)> {
        self.marathon.good.iter().flatten()
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.smartstack.problem.iter().chain(&self.marathon.problem)
    }

    /// Files that said something and say nothing now, which the next look may believe.
    pub(super) fn doubts(&self) -> impl Iterator<Item = Problem> {
        self.smartstack.doubt().into_iter().chain(self.marathon.doubt())
    }

    pub(super) fn says_something(&self) -> bool {
        self.smartstack.says_something() || self.marathon.says_something()
    }

    /// Returns how many files were read.
    pub(super) fn refresh(&mut self, dir: &Path, cluster: Option<&Cluster>) -> usize {
        let name = &self.name;
        let file = dir.join("smartstack.yaml");
        let mut read =
            self.smartstack.refresh(file, |file, text| smartstack::parse(name, file, text));
        match cluster {
            None => self.marathon = Watched::default(),
            Some(cluster) => {
                let file = dir.join(format!("marathon-{cluster}.yaml"));
                read += self
                    .marathon
                    .refresh(file, |file, text| instances::parse(name, cluster, file, text));
            }
        }
        read
    }
}
