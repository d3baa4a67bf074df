//! One pass: Chronos is brought in line with soa-configs.

use std::collections::{BTreeMap, HashSet};

use jiff::Zoned;
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    json,
    load::{self, Instance, Kind, LoadError},
    paasta::Settings,
    yaml::Node,
};

use super::{
    Given, Job, JobError, JobName, Listed,
    client::{self, Chronos},
    sync::{self, Done, Plan},
    telling::Telling,
};

/// So many writes in a row that no server answers mean that Chronos is gone.
const IN_A_ROW: usize = 2;

/// What is asked of Chronos in one cluster.
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

/// How it went with all jobs, by name.
pub type Report = BTreeMap<JobName, Done>;

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
}

/// Carries out what [`sync::plan`] decided of the jobs that are `listed`. What is written goes to the log
/// of its service.
pub async fn carry_out(
    plan: &Plan<'_>,
    listed: &[Listed],
    chronos: &Chronos,
    telling: &mut Telling<'_>,
) -> Report {
    let mut report = Report::new();
    let mut present: HashSet<String> = listed.iter().map(|job| job.name.clone()).collect();
    let mut unanswered = 0;
    for write in &plan.writes {
        let job = write.job;
        let absent = sync::absent(job, &present);
        let done = if unanswered == IN_A_ROW {
            Done::Left
        } else if !absent.is_empty() {
            Done::NoParents(absent.into_iter().cloned().collect())
        } else {
            let done = put(write, chronos, telling).await;
            unanswered = if matches!(done, Done::Gone(_)) { unanswered + 1 } else { 0 };
            if done == Done::Written {
                present.insert(job.name.to_string());
            }
            done
        };
        report.insert(job.name.clone(), done);
    }
    report.extend(plan.unchanged.iter().map(|job| (job.name.clone(), Done::Unchanged)));
    for cycle in &plan.cycles {
        let names: Vec<JobName> = cycle.iter().map(|name| (*name).clone()).collect();
        report.extend(names.iter().map(|name| (name.clone(), Done::Cycle(names.clone()))));
    }
    report
}

async fn put(write: &sync::Write<'_>, chronos: &Chronos, telling: &mut Telling<'_>) -> Done {
    let job = write.job;
    let request = job.request(&write.past.map(|past| past.fields()).unwrap_or_default());
    let text = json::canonical(&Node::made(request.clone())).unwrap_or_default();
    match chronos.put(request, job.is_dependent()).await {
        Ok(()) => {
            telling.log(&job.name, &format!("Job to update: {text}"), false);
            telling.log(&job.name, &format!("Updated Chronos job: {}", job.name), true);
            Done::Written
        }
        Err(error) if error.is_gone() => Done::Gone(told(error)),
        Err(error) => Done::Refused(told(error)),
    }
}

/// With everything that is behind it.
fn told(error: client::Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
