//! `marathon-<cluster>.yaml` (marathon-sync.md §3 and §24).

use super::key::{
    CFS_PERIOD, COUNT, Key, LIST, MEMORY, NUMBER, POSITIVE, Rule, TEXT_LIST, UNIQUE_LISTS,
    UNIQUE_MAPS, UNIQUE_TEXTS, WHOLE, health_params, method_params, security, ulimit,
};
use crate::yaml::{Fault, Map, Node, Span};

const MODES: &[&str] = &["cmd", "tcp", "http", "https"];
const DRAIN_METHODS: &[&str] = &["noop", "hacheck", "http", "test"];
const DRAIN_STEPS: [&str; 4] = ["drain", "stop_draining", "is_draining", "is_safe_to_kill"];

/// What the tools read and the schema does not know.
pub(super) const UNCHECKED: [&str; 6] =
    ["accepted_resource_roles", "branch", "container_port", "gpus", "healthcheck_port", "role"];

pub(super) static KEYS: [Key; 49] = [
    Key { name: "cpus", rule: POSITIVE },
    Key { name: "mem", rule: MEMORY },
    Key { name: "disk", rule: POSITIVE },
    Key { name: "cfs_period_us", rule: CFS_PERIOD },
    Key { name: "cpu_burst_pct", rule: COUNT },
    Key { name: "ulimit", rule: Rule::Own(ulimit) },
    Key { name: "cap_add", rule: TEXT_LIST },
    Key { name: "extra_docker_args", rule: Rule::Texts },
    Key { name: "instances", rule: COUNT },
    Key { name: "min_instances", rule: COUNT },
    Key { name: "max_instances", rule: COUNT },
    Key { name: "backoff_factor", rule: WHOLE },
    Key { name: "max_launch_delay_seconds", rule: WHOLE },
    Key { name: "registrations", rule: UNIQUE_TEXTS },
    Key { name: "nerve_ns", rule: Rule::Text },
    Key { name: "net", rule: Rule::Text },
    Key { name: "host_port", rule: Rule::Whole { least: 0, most: 65_535 } },
    Key { name: "cmd", rule: Rule::Text },
    Key { name: "args", rule: TEXT_LIST },
    Key { name: "env", rule: Rule::Texts },
    Key { name: "extra_volumes", rule: UNIQUE_MAPS },
    Key { name: "pool", rule: Rule::Text },
    Key { name: "constraints", rule: UNIQUE_LISTS },
    Key { name: "extra_constraints", rule: UNIQUE_LISTS },
    Key { name: "deploy_blacklist", rule: LIST },
    Key { name: "deploy_whitelist", rule: LIST },
    Key { name: "monitoring_blacklist", rule: LIST },
    Key { name: "healthcheck_mode", rule: Rule::OneOf(MODES) },
    Key { name: "healthcheck_cmd", rule: Rule::Text },
    Key { name: "healthcheck_uri", rule: Rule::Text },
    Key { name: "healthcheck_grace_period_seconds", rule: NUMBER },
    Key { name: "healthcheck_interval_seconds", rule: NUMBER },
    Key { name: "healthcheck_timeout_seconds", rule: NUMBER },
    Key { name: "healthcheck_max_consecutive_failures", rule: WHOLE },
    Key { name: "deploy_group", rule: Rule::Text },
    Key { name: "bounce_method", rule: Rule::Text },
    Key { name: "bounce_health_params", rule: Rule::Own(health_params) },
    Key { name: "bounce_method_params", rule: Rule::Own(method_params) },
    Key { name: "bounce_margin_factor", rule: Rule::Number { above: Some(0.0), most: Some(1.0) } },
    Key { name: "bounce_priority", rule: WHOLE },
    Key { name: "drain_method", rule: Rule::OneOf(DRAIN_METHODS) },
    Key { name: "drain_method_params", rule: Rule::Map },
    Key { name: "replication_threshold", rule: COUNT },
    Key { name: "monitoring", rule: Rule::Map },
    Key { name: "autoscaling", rule: Rule::Map },
    Key { name: "marathon_shard", rule: COUNT },
    Key { name: "previous_marathon_shards", rule: LIST },
    Key { name: "security", rule: Rule::Own(security) },
    Key { name: "dependencies_reference", rule: Rule::Text },
];

/// Rules over several keys.
pub(super) fn choices(map: &Map, at: Span) -> Vec<Fault> {
    health_check(map, at).into_iter().chain(drain(map, at)).collect()
}

/// `healthcheck_cmd` and the mode `cmd` need each other.
fn health_check(map: &Map, at: Span) -> Option<Fault> {
    let command = map.entry("healthcheck_cmd");
    match map.get("healthcheck_mode").map(Node::as_text) {
        Some(Some("cmd")) => {
            let is_text = command.is_some_and(|entry| entry.value.as_text().is_some());
            (!is_text).then(|| {
                Fault::new(at, "healthcheck_mode `cmd` needs a healthcheck_cmd")
                    .remedy("add `healthcheck_cmd`")
            })
        }
        Some(Some("tcp" | "http" | "https")) => None,
        Some(_) => Some(Fault::new(at, "the mode of the health check is not known")),
        None => command.filter(|entry| entry.value.as_text().is_some()).map(|entry| {
            Fault::new(entry.key.span, "healthcheck_cmd without healthcheck_mode does nothing")
                .remedy("add `healthcheck_mode: cmd`")
        }),
    }
}

/// The drain method `http` and the parameters for its four steps need each other.
fn drain(map: &Map, at: Span) -> Option<Fault> {
    let rule = "drain_method_params of http has drain, stop_draining, is_draining, is_safe_to_kill";
    let params = map.get("drain_method_params").and_then(Node::as_map);
    let has = |step: &&str| {
        let step = params.and_then(|params| params.get(step));
        step.is_some_and(|step| step.as_map().is_some())
    };
    let missing: Vec<&str> = DRAIN_STEPS.into_iter().filter(|step| !has(step)).collect();
    let Some(method) = map.entry("drain_method") else {
        let params = map.entry("drain_method_params").filter(|_| missing.is_empty())?;
        let fault = Fault::new(params.key.span, "these are the parameters of drain_method `http`");
        return Some(fault.rule(rule).remedy("add `drain_method: http`"));
    };
    match method.value.as_text() {
        Some("noop" | "hacheck" | "test") => None,
        Some("http") => (!missing.is_empty()).then(|| {
            Fault::new(method.value.span, "drain_method `http` needs its parameters")
                .rule(rule)
                .remedy(format!("add {}, each a map", missing.join(", ")))
        }),
        _ => Some(Fault::new(at, "the drain method is not known")),
    }
}
