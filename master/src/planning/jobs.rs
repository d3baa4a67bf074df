//! What the next pass over Chronos would do.

use std::collections::HashMap;

use jiff::Zoned;
use paasta_master::{
    chronos::{
        Job, JobName,
        cleanup::{Rules, stale},
        client::Chronos,
        soa::Soa,
        sync,
    },
    deploy::guard,
    difference::{self, Difference},
};
use serde_json::{Value, json};
use soa_configs::{documents::ServiceDocuments, load::Instance, paasta::MarathonServer};

use super::show::fields;

/// What is planned, and what is wrong with it.
#[derive(Default)]
pub(super) struct Planned {
    pub(super) words: String,
    pub(super) jobs: Vec<Value>,
    /// Jobs of Chronos that are nobody's.
    pub(super) remove: Vec<String>,
    pub(super) complaints: Vec<String>,
}

/// Plans these jobs; `are_all` says that they are all of the cluster, so that others are nobody's.
///
/// # Errors
/// When Chronos does not answer.
pub(super) async fn plan(
    soa: Soa<'_>,
    servers: &MarathonServer,
    names: Vec<JobName>,
    are_all: bool,
) -> anyhow::Result<Planned> {
    let mut planned = Planned::default();
    if names.is_empty() && !are_all {
        return Ok(planned);
    }
    let now = Zoned::now();
    let (listed, definitions): (Vec<_>, Vec<_>) =
        Chronos::new(servers).whole_jobs().await?.into_iter().unzip();
    let found: HashMap<&str, &Value> =
        listed.iter().map(|job| job.name.as_str()).zip(&definitions).collect();
    let wanted = soa.make(names, &now);
    for (name, error) in wanted.unmade.iter().filter(|(_, error)| !error.is_not_deployed()) {
        planned.complaints.push(format!("{}: {}", name.dotted(), one_line(error)));
    }
    let plan = sync::plan(&wanted.jobs, &listed);
    for cycle in &plan.cycles {
        let names: Vec<String> = cycle.iter().map(|name| name.dotted()).collect();
        planned.complaints.push(format!("{} are their own parents", names.join(", ")));
    }
    for write in &plan.writes {
        let (beside, differences) = compared(soa, write.job, &found)?;
        planned.add(write.job, beside, Some(&differences));
    }
    for job in plan.unchanged.iter().filter(|_| !are_all) {
        planned.add(job, None, None);
    }
    if are_all {
        let now = now.timestamp();
        let gone = stale(&listed, |name| soa.standing(name, now), Rules::Safe, now);
        planned.complaints.extend(gone.within(guard::MOST).err().map(|error| error.to_string()));
        planned.remove = gone.jobs.iter().map(|job| job.name.clone()).collect();
        for name in &planned.remove {
            planned.words.push_str(&format!("{name}: remove from Chronos\n"));
        }
    }
    Ok(planned)
}

fn one_line(error: &impl ToString) -> String {
    error.to_string().replace('\n', "; ")
}

/// The job that Chronos has, and how it differs.
fn compared<'f>(
    soa: Soa<'_>,
    job: &Job,
    found: &HashMap<&'f str, &Value>,
) -> anyhow::Result<(Option<&'f str>, Vec<Difference>)> {
    let nothing = ServiceDocuments::default();
    let files = soa.documents.service(&job.name.service).unwrap_or(&nothing);
    let instance: Instance = soa.instance(&job.name)?;
    let found = found.get_key_value(job.name.to_string().as_str());
    let definition = found.map(|(_, definition)| *definition);
    let differences = difference::of_job(definition, job, (&instance, files), soa.settings)?;
    Ok((found.map(|(name, _)| *name), differences))
}

impl Planned {
    /// `differences` of a job that stays as it is are none.
    fn add(&mut self, job: &Job, beside: Option<&str>, differences: Option<&[Difference]>) {
        let name = job.name.dotted();
        let (is_new, is_written) =
            (beside.is_none() && differences.is_some(), differences.is_some());
        let what = match (is_written, is_new) {
            (true, true) => "create in Chronos",
            (true, false) => "update in Chronos",
            (false, _) => "nothing to do",
        };
        self.words.push_str(&format!("{name}: {what}\n"));
        self.words.push_str(&fields("its job", beside, differences));
        self.jobs.push(json!({
            "job": name,
            "create": is_new,
            "update": is_written && !is_new,
            "differences": difference::as_json(differences.unwrap_or_default()),
        }));
    }
}
