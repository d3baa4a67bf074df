//! Checks a tree of soa-configs the way a careful colleague would: everything at once, each fault at
//! its place, with the rule and how to mend it.
//!
//! What PaaSTA's own check refuses is an error (cli-and-monitoring.md D1), and so is what cannot work
//! across files. What works but is hardly meant is a warning.

mod across;
mod advice;
mod instances;
mod jobs;
mod others;

use std::path::Path;

use jiff::Zoned;

use crate::{
    Diagnostic,
    documents::{Document, Documents, ServiceDocuments},
    file::Problem,
    yaml::{Fault, Span},
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The tools refuse it, or it cannot work.
    Error,
    /// It works, and is hardly meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// Which check found it: a short name that stays the same.
    pub check: &'static str,
    pub diagnostic: Diagnostic,
}

/// What a check of a tree found, by file and line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// How many services were checked.
    pub services: usize,
    /// How many files were read.
    pub files: usize,
}

impl Report {
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether there is no error.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    fn add(&mut self, severity: Severity, check: &'static str, at: &Document, fault: &Fault) {
        let diagnostic = Diagnostic::new(&at.file, &at.text, fault);
        self.findings.push(Finding { severity, check, diagnostic });
    }

    /// A finding that is that of a whole file or directory.
    fn add_whole(&mut self, severity: Severity, check: &'static str, at: &Path, message: &str) {
        let fault = Fault::new(Span::default(), message);
        let diagnostic = Diagnostic::new(at, "", &fault);
        self.findings.push(Finding { severity, check, diagnostic });
    }
}

/// Checks all services, or one of them. `now` is the moment for which the time variables in commands
/// are tried.
#[must_use]
pub fn check(documents: &Documents, only: Option<&str>, now: &Zoned) -> Report {
    let mut report = Report::default();
    let is_asked = |name: &str| only.is_none_or(|only| only == name);
    if let Some(name) = only.filter(|name| documents.service(name).is_none()) {
        missing(&mut report, &documents.soa_dir().join(name));
    }
    for (name, files) in documents.services().filter(|(name, _)| is_asked(name)) {
        service(&mut report, documents, name, files, now);
    }
    across::check(&mut report, documents, &is_asked);
    for finding in &mut report.findings {
        advice::complete(finding, None);
    }
    // Two rules can find the same at the same place.
    let key = |finding: &Finding| {
        let Diagnostic { file, line, column, message, .. } = &finding.diagnostic;
        (file.clone(), *line, *column, message.clone())
    };
    report.findings.sort_by_cached_key(key);
    report.findings.dedup_by_key(|finding| key(finding));
    report
}

fn missing(report: &mut Report, dir: &Path) {
    let message = if dir.is_dir() {
        "this directory does not contain any .yaml files"
    } else {
        "there is no such directory"
    };
    report.add_whole(Severity::Error, "no-files", dir, message);
}

fn service(
    report: &mut Report,
    documents: &Documents,
    name: &str,
    files: &ServiceDocuments,
    now: &Zoned,
) {
    report.services += 1;
    report.files += files.iter().count();
    let dir = documents.soa_dir().join(name);
    if !files.iter().any(|(file, _)| file.ends_with(".yaml")) && files.problems().next().is_none() {
        missing(report, &dir);
    }
    if name.starts_with("tmp") {
        report.add_whole(
            Severity::Error,
            "temporary-name",
            &dir,
            "services using scheduled tasks cannot be named tmp, as it clashes with the identifier \
             used for temporary jobs",
        );
    }
    for problem in files.problems() {
        broken(report, problem);
    }
    instances::check(report, files);
    if !name.starts_with("tmp") {
        jobs::check(report, documents, name, files, now);
    }
    others::check(report, name, files);
}

fn broken(report: &mut Report, problem: &Problem) {
    match &problem.diagnostic {
        Some(diagnostic) => report.findings.push(Finding {
            severity: Severity::Error,
            check: "syntax",
            diagnostic: (**diagnostic).clone(),
        }),
        None => report.add_whole(Severity::Error, "unreadable", &problem.file, &problem.reason),
    }
}

#[cfg(test)]
mod tests;
