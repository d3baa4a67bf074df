//! Chronos jobs, one by one: the rules of PaaSTA's synchronisation, and their parents.

use jiff::Zoned;

use super::{Report, Severity, advice};
use crate::{
    Cluster, chronos,
    documents::{Document, Documents, ServiceDocuments},
    load::{self, Instance, Kind},
    schedule::{Schedule, is_time_zone},
    yaml::{Fault, Span},
};

pub(super) fn check(
    report: &mut Report,
    documents: &Documents,
    service: &str,
    files: &ServiceDocuments,
    now: &Zoned,
) {
    for (cluster, document) in files.clusters("chronos") {
        let Ok(cluster) = cluster.parse::<Cluster>() else { continue };
        for name in load::names(files, Kind::Chronos, &cluster) {
            let place = Place { document, files, name };
            match load::instance(files, Kind::Chronos, service, name, &cluster) {
                Ok(job) => place.job(report, documents, &job, now),
                Err(error) => place.report(report, Severity::Error, "job", "", &error.to_string()),
            }
        }
    }
}

/// Where a job stands, and what may hold its defaults.
struct Place<'d> {
    document: &'d Document,
    files: &'d ServiceDocuments,
    name: &'d str,
}

impl Place<'_> {
    fn job(&self, report: &mut Report, documents: &Documents, job: &Instance, now: &Zoned) {
        for complaint in chronos::validate(job, now) {
            // One complaint may have several sentences, each on a line.
            for line in complaint.message.lines() {
                self.report(report, Severity::Error, "job", complaint.key, line);
            }
        }
        self.parents(report, documents, job);
        self.schedule(report, job);
    }

    fn parents(&self, report: &mut Report, documents: &Documents, job: &Instance) {
        for parent in chronos::parents_of(&job.merged) {
            let Some((service, instance)) =
                parent.split_once('.').filter(|(_, instance)| !instance.contains('.'))
            else {
                continue;
            };
            if parent == job.to_string() {
                let message = format!("Job {job} cannot depend on itself");
                self.report(report, Severity::Error, "parent", "parents", &message);
            } else if !has_job(documents, service, instance, &job.cluster) {
                let message = format!("Parent job {parent} could not be found");
                self.report(report, Severity::Error, "parent", "parents", &message);
            }
        }
    }

    /// What passes but will not do what it says.
    fn schedule(&self, report: &mut Report, job: &Instance) {
        let text = |key: &str| job.merged.get(key).and_then(|node| node.as_text());
        if let Some(zone) = text("schedule_time_zone").filter(|zone| !is_time_zone(zone)) {
            let message = format!("the time zone {zone:?} is not known; Chronos refuses the job");
            self.report(report, Severity::Warning, "time-zone", "schedule_time_zone", &message);
        }
        let Some(Ok(schedule)) = text("schedule").map(Schedule::parse) else { return };
        if let Some(reason) = schedule.never_fires() {
            let message = format!("this schedule never fires: {reason}");
            self.report(report, Severity::Warning, "never-fires", "schedule", &message);
        }
        if let Some(reason) = schedule.refused_by_chronos() {
            let message = format!("Chronos refuses this schedule: {reason}");
            self.report(report, Severity::Warning, "not-for-chronos", "schedule", &message);
        }
    }

    fn report(
        &self,
        report: &mut Report,
        severity: Severity,
        check: &'static str,
        key: &str,
        message: &str,
    ) {
        let (document, span) = self.find(key);
        report.add(severity, check, document, &Fault::new(span, message));
        if let Some(finding) = report.findings.last_mut() {
            advice::complete(
                finding,
                Some(key).filter(|_| matches!(check, "job" | "parent" | "time-zone")),
            );
        }
    }

    /// The value of a key: in the job, else in `service.yaml`, else the name of the job.
    fn find(&self, key: &str) -> (&Document, Span) {
        let entry = self.document.node.as_map().and_then(|map| map.entry(self.name));
        let own = entry.and_then(|entry| entry.value.as_map()?.get(key));
        if let Some(node) = own {
            return (self.document, node.span);
        }
        let service = self.files.get("service.yaml");
        let default = service.and_then(|service| Some((service, service.node.as_map()?.get(key)?)));
        match default {
            Some((service, node)) => (service, node.span),
            None => (self.document, entry.map(|entry| entry.key.span).unwrap_or_default()),
        }
    }
}

fn has_job(documents: &Documents, service: &str, instance: &str, cluster: &Cluster) -> bool {
    documents.service(service).is_some_and(|files| {
        load::names(files, Kind::Chronos, cluster).any(|name| name == instance)
    })
}
