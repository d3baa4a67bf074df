//! `smartstack why`: everything known of one thing, along the flow.

use std::process::ExitCode;

use super::{EXIT_FAILED, client::Client, output::print};
use crate::api::report::{RecordReport, Report};

pub(super) async fn run(client: &Client, what: &str) -> anyhow::Result<ExitCode> {
    let report: Report = serde_json::from_slice(&client.get("/status.json").await?)?;
    let answer = explain(&report, what);
    let found = !answer.is_empty();
    if found {
        print(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!(
        "nothing here is called `{what}`: no running container with labels of ours, no namespace of \
         soa-configs, no mark and no refused record. `smartstack status` lists what there is.\n"
    ))?;
    Ok(ExitCode::from(EXIT_FAILED))
}

/// One line for each stage that knows `what`, in the order of the flow; empty if none does.
fn explain(report: &Report, what: &str) -> String {
    let mut lines = Vec::new();
    let service = |namespace: &str| namespace == what || namespace.split('.').next() == Some(what);
    let of = |file: &str| file.contains(&format!("/{what}/")) || file == what;
    for problem in report.problems.iter().filter(|p| of(&p.file) || is_of_backend(&p.file, what)) {
        lines.push(format!("file: {}", problem.message.trim_end()));
    }
    for refusal in
        report.refused.iter().filter(|r| r.what == what || r.what.starts_with(&format!("{what} ")))
    {
        lines.push(format!("refused: {}: {}", refusal.what, refusal.reason));
    }
    for stranger in report.strangers.iter().filter(|s| s.what == what) {
        lines.push(format!("not ours: {}: {}", stranger.what, stranger.reason));
    }
    let here = |name: &str, id: &str| {
        name == what || id == what || (what.len() >= 12 && id.starts_with(what))
    };
    let mut namespaces: Vec<&str> = Vec::new();
    for task in report.tasks.iter().filter(|t| here(&t.title, &t.task) || service(&t.namespace)) {
        namespaces.push(&task.namespace);
        lines.push(format!(
            "task: {} serves {} on port {}: {} for {} s ({})",
            task.title, task.namespace, task.port, task.state, task.since_s, task.detail
        ));
        let further = |record: &RecordReport| {
            report.registry.further.iter().any(|further| further.ensemble == record.ensemble)
        };
        for record in &task.records {
            let place = if further(record) {
                format!("{} at {}", record.parent, record.ensemble)
            } else {
                record.parent.clone()
            };
            lines.push(match (&record.znode, &record.failure) {
                (Some(znode), _) if further(record) => {
                    format!("record: {znode} at {}", record.ensemble)
                }
                (Some(znode), _) => format!("record: {znode}"),
                (None, Some(failure)) => format!("record: none under {place}: {failure}"),
                (None, None) => format!("record: none under {place}"),
            });
        }
    }
    for mark in report.marks.iter().filter(|m| {
        let name = m.name.split(':').next().unwrap_or_default();
        name == "all" || service(name) || namespaces.contains(&name)
    }) {
        lines.push(format!("mark: {}: {}", mark.name, mark.reason));
    }
    for backend in &report.backends {
        if !service(&backend.namespace) && !namespaces.contains(&backend.namespace.as_str()) {
            continue;
        }
        let listens = backend.listens.as_deref().unwrap_or("discovery only");
        lines.push(format!(
            "namespace: {} ({listens}), {} servers",
            backend.namespace,
            backend.servers.len()
        ));
        if backend.doubted {
            lines.push("guard: a sudden loss of servers waits for a second read; the last known ones serve".to_owned());
        }
        lines.extend(backend.servers.iter().map(|server| {
            format!("server: {} {} {} sessions", server.name, server.status, server.sessions)
        }));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Whether a file for others is of a backend of this service or namespace.
fn is_of_backend(file: &str, what: &str) -> bool {
    let name = file.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    name.is_some_and(|(backend, _)| {
        let rest = backend.strip_prefix(what);
        backend.contains('.') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::report::EnsembleReport;

    fn report() -> Report {
        serde_json::from_value(serde_json::json!({
            "version": "0", "uptime_s": 1, "assumptions": [], "docker": "connected",
            "host": {"name": "h", "address": "127.0.0.1", "places": []},
            "registry": {"kind": "embedded", "connected": true, "records": 1, "namespaces": 1},
            "tasks": [{"task": "0123456789abcdef", "title": "web-1", "namespace": "web.main", "port": 1,
                "state": "marked", "detail": "d", "since_s": 2,
                "records": [{"parent": "/p", "znode": null, "failure": null}]}],
            "refused": [{"what": "bad", "reason": "label smartstack.port is `x`"}],
            "strangers": [{"what": "postgres", "reason": "no labels"}],
            "problems": [{"file": "/soa/api/smartstack.yaml", "message": "line 3"},
                {"file": "/run/services/files.main.habitat.json", "message": "cannot be written"}],
            "marks": [{"name": "web.main:1", "reason": "why not", "expiration": null}],
            "backends": [{"namespace": "web.main", "listens": null, "doubted": true, "servers": []}],
            "haproxy": {},
        }))
        .unwrap()
    }

    #[test]
    fn a_container_is_followed_from_task_to_backend() {
        for what in ["web-1", "0123456789ab", "web.main", "web"] {
            let text = explain(&report(), what);
            for part in ["task: web-1", "record: none", "mark: web.main:1: why not", "guard:"] {
                assert!(text.contains(part), "{what}: {text}");
            }
        }
    }

    #[test]
    fn a_record_of_a_further_ensemble_names_it() {
        let mut report = report();
        let ensemble = "zk9:2181".to_owned();
        report.registry.further = vec![EnsembleReport { ensemble, connected: false }];
        assert!(!explain(&report, "web").contains("zk9"), "the record is not there");
        report.tasks[0].records[0].ensemble = "zk9:2181".to_owned();
        assert!(explain(&report, "web").contains("record: none under /p at zk9:2181"));
    }

    #[test]
    fn refusals_and_broken_files_are_told_and_strangers_are_not() {
        assert!(explain(&report(), "bad").contains("smartstack.port"));
        assert!(explain(&report(), "api").contains("line 3"));
        for what in ["files", "files.main", "files.main.habitat"] {
            assert!(explain(&report(), what).contains("cannot be written"), "{what}");
        }
        for other in ["file", "files.ma", "smartstack"] {
            assert_eq!(explain(&report(), other), "");
        }
        assert!(explain(&report(), "postgres").contains("not ours: postgres: no labels"));
        assert_eq!(explain(&report(), "stranger"), "");
    }
}
