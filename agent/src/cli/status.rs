//! `smartstack status`.

use std::process::ExitCode;

use super::{
    client::Client,
    output::{Table, print},
};
use crate::api::report::{Report, TaskReport};

pub(super) async fn run(client: &Client, json: bool) -> anyhow::Result<ExitCode> {
    let body = client.get("/status.json").await?;
    if json {
        print(&String::from_utf8_lossy(&body))?;
    } else {
        print(&text(&serde_json::from_slice(&body)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The report for people.
pub(super) fn text(report: &Report) -> String {
    let mut text = head(report);
    section(&mut text, "tasks of this host", &tasks(&report.tasks), "no task is registered here");
    section(
        &mut text,
        "namespaces",
        &backends(report),
        "soa-configs name no namespace with a proxy_port",
    );
    let mut marks = Table::new(&["MARK", "ENDS", "REASON"]);
    for mark in &report.marks {
        let until =
            mark.expiration.map_or_else(|| "when it is lifted".to_owned(), |at| format!("{at:.0}"));
        marks.row([mark.name.clone(), until, mark.reason.clone()]);
    }
    if !marks.is_empty() {
        section(&mut text, "marks", &marks, "");
    }
    let mut refused = Table::new(&["WHAT", "WHY"]);
    for refusal in &report.refused {
        refused.row([refusal.what.clone(), refusal.reason.clone()]);
    }
    if !refused.is_empty() {
        section(&mut text, "refused", &refused, "");
    }
    for problem in &report.problems {
        text.push_str(&format!("\n{}\n", problem.message.trim_end()));
    }
    text
}

fn head(report: &Report) -> String {
    let haproxy = &report.haproxy;
    let running = if haproxy["reachable"] == true { "running" } else { "not reachable" };
    let away = if report.registry.connected { "" } else { " (away; the last known records stand)" };
    let mut text = format!(
        "{} ({})  {}\ndocker {}, registry {}{away}, {} records written, HAProxy {running}\n",
        report.host.name,
        report.host.address,
        report.host.places.join(" "),
        report.docker,
        report.registry.kind,
        report.registry.records,
    );
    for away in report.registry.further.iter().filter(|further| !further.connected) {
        let ensemble = &away.ensemble;
        text.push_str(&format!("zookeeper at {ensemble} is out of reach; its records wait\n"));
    }
    if let Some(alarm) = haproxy["alarm"].as_str() {
        text.push_str(&format!("ALARM: {alarm}\n"));
    }
    text
}

fn section(text: &mut String, title: &str, table: &Table, none: &str) {
    text.push_str(&format!("\n{title}\n"));
    if table.is_empty() {
        text.push_str(&format!("  {none}\n"));
    } else {
        text.push_str(&table.text());
    }
}

pub(super) fn tasks(tasks: &[TaskReport]) -> Table {
    let mut table =
        Table::new(&["TASK", "NAMESPACE", "PORT", "STATE", "SINCE", "RECORDS", "CHECK"]);
    for task in tasks {
        let written = task.records.iter().filter(|record| record.znode.is_some()).count();
        table.row([
            task.title.clone(),
            task.namespace.clone(),
            task.port.to_string(),
            task.state.clone(),
            format!("{}s", task.since_s),
            format!("{written}/{}", task.records.len()),
            task.detail.clone(),
        ]);
    }
    table
}

fn backends(report: &Report) -> Table {
    let mut table =
        Table::new(&["NAMESPACE", "CLIENTS CONNECT TO", "SERVER", "HAPROXY", "SESSIONS"]);
    for backend in &report.backends {
        let listens = backend.listens.clone().unwrap_or_else(|| "discovery only".to_owned());
        if backend.servers.is_empty() {
            table.row([backend.namespace.clone(), listens.clone(), "no servers".to_owned()]);
        }
        for (n, server) in backend.servers.iter().enumerate() {
            let first = |text: &String| if n == 0 { text.clone() } else { String::new() };
            table.row([
                first(&backend.namespace),
                first(&listens),
                server.name.clone(),
                server.status.clone(),
                server.sessions.to_string(),
            ]);
        }
    }
    table
}
