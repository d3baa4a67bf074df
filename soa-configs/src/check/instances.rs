//! The files of instances, each against its table of keys.

use super::{Report, Severity};
use crate::{documents::ServiceDocuments, load::Kind, schema};

pub(super) fn check(report: &mut Report, files: &ServiceDocuments) {
    for (name, document) in files.iter().filter(|(name, _)| name.ends_with(".yaml")) {
        // PaaSTA looks at the beginning of the name, and passes over links: their target is checked.
        let kind = Kind::ALL.into_iter().find(|kind| name.starts_with(kind.as_str()));
        let Some(kind) = kind.filter(|_| !document.file.is_symlink()) else { continue };
        for violation in schema::check(kind, &document.node, &document.text) {
            report.add(Severity::Error, "schema", document, &violation.fault);
        }
    }
}
