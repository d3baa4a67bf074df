//! What soa-configs ask of Chronos in one cluster.

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};
use soa_configs::{
    Cluster,
    chronos::JobConfig,
    documents::{Documents, ServiceDocuments},
    load::{self, Deployment, DesiredState, Instance, Kind, LoadError},
    paasta::Settings,
};

use super::{Given, Interval, Job, JobError, JobName, cleanup::Standing, status::Wish};

/// Everything that is known, as of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Soa<'s> {
    pub documents: &'s Documents,
    pub settings: &'s Settings,
    pub cluster: &'s Cluster,
}

/// Jobs of a cluster, made or not.
#[derive(Debug, Default)]
pub struct Wanted {
    pub jobs: Vec<Job>,
    pub unmade: BTreeMap<JobName, JobError>,
}

impl<'s> Soa<'s> {
    /// All jobs of the cluster, deployed or not.
    pub fn names(self) -> impl Iterator<Item = JobName> + use<'s> {
        self.documents.services().flat_map(move |(service, files)| {
            let names = load::names(files, Kind::Chronos, self.cluster);
            names.map(move |name| JobName::new(service, name))
        })
    }

    /// # Errors
    /// When it is not there or cannot be understood.
    pub fn instance(self, name: &JobName) -> Result<Instance, LoadError> {
        let nothing = ServiceDocuments::default();
        let files = self.documents.service(&name.service).unwrap_or(&nothing);
        load::instance(files, Kind::Chronos, &name.service, &name.instance, self.cluster)
    }

    /// # Errors
    /// See [`JobError`].
    pub fn job(self, name: &JobName, now: &Zoned) -> Result<Job, JobError> {
        let instance = &self.instance(name)?;
        let nothing = ServiceDocuments::default();
        let files = self.documents.service(&name.service).unwrap_or(&nothing);
        Job::make(Given { files, instance, settings: self.settings, now })
    }

    /// Makes these jobs.
    #[must_use]
    pub fn make(self, names: impl IntoIterator<Item = JobName>, now: &Zoned) -> Wanted {
        let mut wanted = Wanted::default();
        for name in names {
            match self.job(&name, now) {
                Ok(job) => wanted.jobs.push(job),
                Err(error) => drop(wanted.unmade.insert(name, error)),
            }
        }
        wanted
    }

    /// What is deployed of an instance. `None`: nothing.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn wish(self, name: &JobName) -> Result<Option<Wish>, JobError> {
        let instance = self.instance(name)?;
        let nothing = ServiceDocuments::default();
        let files = self.documents.service(&name.service).unwrap_or(&nothing);
        let deployment = match Deployment::v1(files, &instance) {
            Err(LoadError::NoDeployments(_)) => return Ok(None),
            deployment => deployment?,
        };
        if deployment.docker_image.is_empty() {
            return Ok(None);
        }
        let is_stopped = deployment.control.desired_state == DesiredState::Stop;
        let is_disabled = is_stopped || !JobConfig::read(&instance)?.disabled.is_falsy();
        Ok(Some(Wish::new(&deployment.docker_image, is_disabled)))
    }

    /// Whether an instance is there, as far as its files can be read.
    #[must_use]
    pub fn standing(self, name: &JobName, now: Timestamp) -> Standing {
        let Some(files) = self.documents.service(&name.service) else { return Standing::Gone };
        let mut names = load::names(files, Kind::Chronos, self.cluster);
        if !names.any(|known| known == name.instance) {
            let is_known = files.problems().next().is_none();
            return if is_known { Standing::Gone } else { Standing::Unknown };
        }
        let config = self.instance(name).ok();
        match config.and_then(|instance| JobConfig::read(&instance).ok()) {
            Some(config) => {
                let interval = Interval::of_job(&config, now).and_then(Interval::length);
                Standing::Stands { interval }
            }
            None => Standing::Unknown,
        }
    }
}
