//! `chronos-<cluster>.yaml` (chronos-sync.md §2).

use super::key::{
    CFS_PERIOD, COUNT, Key, LIST, MEMORY, POSITIVE, Rule, TEXT_LIST, UNIQUE_LISTS, UNIQUE_MAPS,
    UNIQUE_TEXTS, WHOLE, security,
};
use crate::{
    fields::Input,
    yaml::{Fault, Map, Span},
};

pub(super) static KEYS: [Key; 27] = [
    Key { name: "schedule", rule: Rule::Text },
    Key { name: "parents", rule: Rule::Own(parents) },
    Key { name: "schedule_time_zone", rule: Rule::Text },
    Key { name: "cmd", rule: Rule::Text },
    Key { name: "args", rule: TEXT_LIST },
    Key { name: "epsilon", rule: Rule::Text },
    Key { name: "retries", rule: WHOLE },
    Key { name: "disabled", rule: Rule::Boolean },
    Key { name: "cpus", rule: POSITIVE },
    Key { name: "mem", rule: MEMORY },
    Key { name: "disk", rule: POSITIVE },
    Key { name: "net", rule: Rule::Text },
    Key { name: "bounce_method", rule: Rule::OneOf(&["graceful"]) },
    Key { name: "monitoring", rule: Rule::Map },
    Key { name: "env", rule: Rule::Texts },
    Key { name: "extra_volumes", rule: UNIQUE_MAPS },
    Key { name: "constraints", rule: UNIQUE_LISTS },
    Key { name: "extra_constraints", rule: UNIQUE_LISTS },
    Key { name: "pool", rule: Rule::Text },
    Key { name: "deploy_blacklist", rule: LIST },
    Key { name: "deploy_whitelist", rule: LIST },
    Key { name: "deploy_group", rule: Rule::Text },
    Key { name: "cfs_period_us", rule: CFS_PERIOD },
    Key { name: "cpu_burst_pct", rule: COUNT },
    Key { name: "extra_docker_args", rule: Rule::Texts },
    Key { name: "dependencies_reference", rule: Rule::Text },
    Key { name: "security", rule: Rule::Own(security) },
];

/// One `service.instance`, or a list of different ones.
fn parents(input: Input<'_>) -> Vec<(Option<String>, Fault)> {
    let mut found = Vec::new();
    match input.node.as_list() {
        None => found.extend(Rule::Text.check(input)),
        Some(_) => found.extend(UNIQUE_TEXTS.check(input)),
    }
    let list = input.node.as_list().unwrap_or_default().iter().enumerate();
    let listed = list.map(|(index, node)| (Some(index.to_string()), node));
    let alone = input.node.as_text().map(|_| (None, input.node));
    for (path, node) in listed.chain(alone) {
        if node.as_text().is_some_and(|name| !is_job(name)) {
            let fault = input.with(node).expected("service.instance");
            found.push((path, fault.rule("both names are letters, digits, - and _")));
        }
    }
    found
}

fn is_job(name: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    name.split_once('.').is_some_and(|(service, instance)| word(service) && word(instance))
}

/// Exactly one of `schedule` and `parents`.
pub(super) fn choices(map: &Map, at: Span) -> Vec<Fault> {
    let rule = "a job has a schedule or parents, and not both";
    match (map.entry("schedule"), map.entry("parents")) {
        (None, None) => {
            vec![Fault::new(at, "this job has neither a schedule nor parents").rule(rule)]
        }
        (Some(_), Some(parents)) => {
            let fault = Fault::new(parents.key.span, "this job has a schedule and parents");
            vec![fault.rule(rule).remedy("remove one of the two; the schedule wins")]
        }
        _ => Vec::new(),
    }
}
