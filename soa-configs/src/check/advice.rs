//! Which rule a finding is about and how to mend it, where the finder has nothing better to say.

use super::Finding;

/// Completes a finding: each has a rule and a remedy.
pub(super) fn complete(finding: &mut Finding, key: Option<&str>) {
    let (rule, remedy) = key.and_then(of_key).unwrap_or_else(|| of_check(finding.check));
    let diagnostic = &mut finding.diagnostic;
    diagnostic.rule.get_or_insert_with(|| rule.to_owned());
    diagnostic.remedy.get_or_insert_with(|| remedy.to_owned());
}

/// For a key of a Chronos job.
fn of_key(key: &str) -> Option<(&'static str, &'static str)> {
    Some(match key {
        "schedule" => (
            "a schedule is five cron fields, or R[n]/start/interval with an interval of 0 or at least PT60S",
            "write it as `0 3 * * *` or `R/2014-10-10T18:32:00Z/PT60M`",
        ),
        "schedule_time_zone" => {
            ("zones have the names of the time zone database", "write it as `America/Los_Angeles`")
        }
        "epsilon" => ("epsilon is an ISO 8601 duration", "write it as `PT15M`"),
        "cpus" | "mem" | "disk" | "retries" => ("this is a number", "write it without quotes"),
        "parents" => (
            "parents are other jobs of the same cluster, written service.instance",
            "name a job that exists",
        ),
        "cmd" => ("`%` begins a variable, as `%(shortdate)s`", "write `%%` for a percent sign"),
        "security" => (
            "security holds `outbound_firewall` and nothing else",
            "write `outbound_firewall: block` or `monitor`",
        ),
        "dependencies_reference" => (
            "dependencies_reference names a key of dependencies.yaml",
            "add the key to dependencies.yaml",
        ),
        _ => return None,
    })
}

fn of_check(check: &str) -> (&'static str, &'static str) {
    match check {
        "syntax" => (
            "the text follows the grammar of YAML 1.1, or of JSON",
            "look at the marked place and at the lines before it",
        ),
        "unreadable" => {
            ("files are texts of at most 1 MiB that may be read", "see what is said of it")
        }
        "no-files" => {
            ("a service is a directory with .yaml files", "add them, or correct the name")
        }
        "temporary-name" => ("names that begin with tmp are those of temporary jobs", "rename it"),
        "never-fires" => {
            ("a job has to run some day", "choose days that exist, or disable the job")
        }
        "nobody-registers" => (
            "an instance registers in the namespace of its own name, or in its registrations",
            "add it to the registrations of an instance, or remove the namespace",
        ),
        "not-for-chronos" => ("Chronos takes five cron fields of numbers", "write the fields out"),
        "schema" | "job" => ("values are what PaaSTA's own check takes", "write what is expected"),
        _ => ("values are what the tools can use", "write what is expected"),
    }
}
