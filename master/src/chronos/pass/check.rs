//! Sensu is told of every job how its last run went.

use jiff::Timestamp;
use soa_configs::{chronos::JobConfig, documents::ServiceDocuments, yaml::Map};

use super::{Pass, told};
use crate::{
    chronos::{
        Interval, JobName, Listed,
        check::{self, Asked, Finding},
        client,
        telling::Telling,
    },
    events,
};

const CHECK: &str = "check_chronos_jobs";

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Of the jobs that are deployed and ran once.
    pub findings: Vec<(JobName, Finding)>,
    /// A line for each job that could not be looked at, and for what went wrong else.
    pub complaints: Vec<String>,
    /// Everything was looked at.
    pub is_fine: bool,
}

impl<'p> Pass<'p> {
    /// Looks at all jobs of the cluster.
    ///
    /// # Errors
    /// When Chronos does not tell of its jobs: then nobody is told anything of a job.
    pub async fn check(self, now: Timestamp) -> Result<Checked, (client::Error, Vec<String>)> {
        let mut telling = self.telling();
        let mut complaints = Vec::new();
        match self.list(&mut telling).await {
            Ok(listed) => {
                let names = self.soa.names();
                let mut checked = self.check_beside(names, &listed, now, &mut telling).await;
                self.finish(telling, &mut checked.complaints).await;
                Ok(checked)
            }
            Err(error) => {
                self.finish(telling, &mut complaints).await;
                Err((error, complaints))
            }
        }
    }

    /// Looks at these jobs beside what Chronos has.
    pub(super) async fn check_beside(
        self,
        names: impl Iterator<Item = JobName>,
        listed: &[Listed],
        now: Timestamp,
        telling: &mut Telling<'p>,
    ) -> Checked {
        let newest = check::newest(listed);
        let mut checked = Checked { is_fine: true, ..Checked::default() };
        for name in names {
            let job = newest.get(&name).copied();
            match self.find(&name, job, now).await {
                Ok(Some((finding, overrides))) => {
                    let told = (finding.status, finding.output.as_str());
                    telling.event(self.soa.documents, CHECK, &name, told, &overrides);
                    checked.findings.push((name, finding));
                }
                Ok(None) => {}
                Err(reason) => {
                    checked.is_fine = false;
                    checked.complaints.push(format!("{}: {reason}", name.dotted()));
                }
            }
        }
        checked
    }

    /// `None`: it is not deployed, or never ran.
    async fn find(
        self,
        name: &JobName,
        job: Option<&Listed>,
        now: Timestamp,
    ) -> Result<Option<(Finding, Map)>, String> {
        let files = self.soa.documents.service(&name.service);
        let Some(files) = files.filter(|files| files.get("deployments.json").is_some()) else {
            return Ok(None);
        };
        let instance = self.soa.instance(name).map_err(|error| error.to_string())?;
        let config = JobConfig::read(&instance).map_err(|error| error.to_string())?;
        self.judge(name, &config, files, job, now).await.map_err(told)
    }

    async fn judge(
        self,
        name: &JobName,
        config: &JobConfig,
        files: &ServiceDocuments,
        job: Option<&Listed>,
        now: Timestamp,
    ) -> Result<Option<(Finding, Map)>, client::Error> {
        let asked = Asked {
            name,
            cluster: self.soa.cluster.as_str(),
            is_disabled: !config.disabled.is_falsy(),
            schedule: config.schedule.as_deref(),
            zone: config.schedule_time_zone.as_deref(),
            interval: Interval::of_job(config, now),
        };
        let run_time = match job.filter(|job| check::depends_on_run_time(&asked, job, now)) {
            Some(job) => self.chronos.run_time(&job.name).await?,
            None => None,
        };
        let Some(finding) = check::judge(&asked, job, run_time, now) else { return Ok(None) };
        let mut overrides = events::of_instance(files, &config.container.monitoring, "15m");
        let finding = check::remind(finding, &mut overrides, asked.interval);
        Ok(Some((finding, overrides)))
    }
}
