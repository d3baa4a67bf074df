//! `smartstack.yaml`, `monitoring.yaml` and `service.yaml`.

use super::{Finding, Report, Severity};
use crate::{
    documents::{Document, ServiceDocuments},
    file::FileError,
    load::Kind,
    schema,
    service::{self, Monitoring, Service},
    smartstack, spelling,
    yaml::{Entry, Fault, Map},
};

/// Every key of a namespace that some tool reads (synapse.md §8.4, nerve.md §7.4).
const NAMESPACE_KEYS: [&str; 33] = [
    "advertise",
    "allredisp",
    "balance",
    "canary",
    "chaos",
    "default_servers",
    "discover",
    "endpoint_timeouts",
    "extra_advertise",
    "extra_headers",
    "extra_healthcheck_headers",
    "fixed_delay",
    "guard",
    "healthcheck_body_expect",
    "healthcheck_mode",
    "healthcheck_port",
    "healthcheck_timeout_s",
    "healthcheck_uri",
    "is_proxy",
    "keepalive",
    "mode",
    "plugins",
    "proxied_through",
    "proxy_port",
    "retries",
    "routes",
    "slowstart_s",
    "spillover",
    "timeout_client_ms",
    "timeout_connect_ms",
    "timeout_server_ms",
    "updown_timeout_s",
    "use_previous_backends",
];

/// The keys of `monitoring.yaml` (cli-and-monitoring.md A3).
const MONITORING_KEYS: [&str; 13] = [
    "alert_after",
    "check_every",
    "check_oom_events",
    "irc_channels",
    "notification_email",
    "page",
    "project",
    "realert_every",
    "runbook",
    "slack_channels",
    "team",
    "ticket",
    "tip",
];

/// The keys of `service.yaml` that are no defaults for instances (marathon-sync.md §5.1).
const SERVICE_KEYS: [&str; 14] = [
    "data",
    "dependencies",
    "deploy",
    "description",
    "docker_registry",
    "external_link",
    "git_url",
    "lb_extras",
    "monitoring",
    "no_updown_service",
    "port",
    "runs_on",
    "smartstack",
    "vip",
];

pub(super) fn check(report: &mut Report, name: &str, files: &ServiceDocuments) {
    if let Some(document) = files.get("smartstack.yaml") {
        namespaces(report, name, document);
    }
    if let Some(document) = files.get("monitoring.yaml") {
        let entries = document.node.as_map().into_iter().flat_map(Map::iter);
        for entry in entries {
            warn_of_unknown(report, document, entry, &MONITORING_KEYS, "monitoring.yaml");
        }
    }
    if let Some(document) = files.get("service.yaml") {
        defaults(report, document);
    }
    // The tools take these, and stumble over them when they use them.
    let found = [
        Service::read(files).err(),
        Monitoring::read(files).err(),
        service::pipeline(files).err(),
        service::dependencies(files).err(),
    ];
    for error in found.into_iter().flatten() {
        if let FileError::Fault(diagnostic) = error {
            let check = "value";
            report.findings.push(Finding {
                severity: Severity::Warning,
                check,
                diagnostic: *diagnostic,
            });
        }
    }
}

fn namespaces(report: &mut Report, service: &str, document: &Document) {
    match smartstack::parse(service, &document.file, &document.text) {
        Ok(_) => {}
        Err(FileError::Fault(diagnostic)) => report.findings.push(Finding {
            severity: Severity::Error,
            check: "smartstack",
            diagnostic: *diagnostic,
        }),
        Err(error) => {
            report.add_whole(Severity::Error, "smartstack", error.file(), &error.reason());
        }
    }
    for namespace in document.node.as_map().into_iter().flat_map(Map::iter) {
        for entry in namespace.value.as_map().into_iter().flat_map(Map::iter) {
            warn_of_unknown(report, document, entry, &NAMESPACE_KEYS, "a namespace");
        }
    }
}

/// Every key of `service.yaml` may be a default of somebody, so only slips are told.
fn defaults(report: &mut Report, document: &Document) {
    let of_instances = Kind::ALL.into_iter().flat_map(schema::keys).map(|key| key.name);
    let known: Vec<&str> = of_instances.chain(SERVICE_KEYS).chain(MONITORING_KEYS).collect();
    for entry in document.node.as_map().into_iter().flat_map(Map::iter) {
        let Some(name) = entry.key.as_text().filter(|name| !known.contains(name)) else { continue };
        if let Some(meant) = spelling::nearest(name, known.iter().copied()) {
            let fault = Fault::new(entry.key.span, format!("unknown key {name:?} in service.yaml"));
            let fault = fault.remedy(format!("did you mean `{meant}`?"));
            report.add(Severity::Warning, "unknown-key", document, &fault);
        }
    }
}

fn warn_of_unknown(
    report: &mut Report,
    document: &Document,
    entry: &Entry,
    known: &[&'static str],
    place: &str,
) {
    let name = entry.key.as_text().unwrap_or_default();
    if known.contains(&name) {
        return;
    }
    let fault = Fault::new(entry.key.span, format!("unknown key {name:?} in {place}"))
        .rule("keys that no tool knows have no effect");
    let fault = match spelling::nearest(name, known.iter().copied()) {
        Some(meant) => fault.remedy(format!("did you mean `{meant}`?")),
        None => fault.remedy("remove it"),
    };
    report.add(Severity::Warning, "unknown-key", document, &fault);
}
