//! `paasta-master validate`: checks soa-configs before they are in force.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use jiff::Zoned;
use serde_json::{Value, json};
use soa_configs::{
    check::{self, Finding, Report, Severity},
    documents::Documents,
    tree,
};

use crate::Outcome;

/// Check soa-configs: everything at once, each fault with its place, the rule and how to mend it.
///
/// Refuses what `paasta validate` refuses, and what cannot work across files. What works but is hardly
/// meant is a warning.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 no error was found, 1 there are errors (with --strict: or warnings), 2 the arguments
are wrong.

Examples:
  paasta-master validate
  paasta-master validate -d ./yelpsoa-configs -s web
  paasta-master validate -d . --json | jq -r '.findings[] | select(.severity == \"error\") | .file'")]
pub(crate) struct Arguments {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Check this service only; the others are read for what it refers to
    #[arg(short, long)]
    service: Option<String>,

    /// Print one JSON object: whether the tree is valid, and every finding
    #[arg(long)]
    json: bool,

    /// Let warnings fail, too
    #[arg(long)]
    strict: bool,
}

/// # Errors
/// When the directory cannot be listed, or standard output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut documents = Documents::new(&arguments.soa_dir);
    documents.refresh()?;
    let report = check::check(&documents, arguments.service.as_deref(), &Zoned::now());
    let text = if arguments.json { as_json(&report) } else { as_text(&report) };
    io::stdout().lock().write_all(text.as_bytes())?;
    let failed = !report.is_valid() || arguments.strict && !report.findings.is_empty();
    Ok(if failed { Outcome::Incomplete } else { Outcome::Complete })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for Finding { severity, diagnostic, .. } in &report.findings {
        text.push_str(&format!("{}: {diagnostic}\n\n", word(*severity)));
    }
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let Report { services, files, .. } = report;
    text.push_str(&format!(
        "{services} services, {files} files: {errors} errors, {warnings} warnings\n"
    ));
    text
}

fn as_json(report: &Report) -> String {
    let findings: Vec<Value> = report.findings.iter().map(finding).collect();
    let report = json!({
        "valid": report.is_valid(),
        "services": report.services,
        "files": report.files,
        "findings": findings,
    });
    format!("{report:#}\n")
}

/// Of a fault of a whole file, `line` and what depends on it is null.
fn finding(finding: &Finding) -> Value {
    let diagnostic = &finding.diagnostic;
    let at = |value: Value| if diagnostic.line == 0 { Value::Null } else { value };
    json!({
        "severity": word(finding.severity),
        "check": finding.check,
        "file": diagnostic.file.to_string_lossy(),
        "line": at(diagnostic.line.into()),
        "column": at(diagnostic.column.into()),
        "excerpt": at(diagnostic.excerpt.as_str().into()),
        "underline": at(json!({"start": diagnostic.underline.0, "length": diagnostic.underline.1})),
        "message": diagnostic.message,
        "rule": diagnostic.rule,
        "remedy": diagnostic.remedy,
    })
}
