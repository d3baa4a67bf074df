//! How Marathon asks an app for its health (marathon-sync.md §6.3).

use soa_configs::{
    marathon::{HealthCheck, MarathonConfig},
    paasta::Settings,
    yaml::{Map, Node, Value},
};

pub(super) fn checks(settings: &Settings, config: &MarathonConfig) -> Node {
    let checks = config.health_check.iter().map(|check| Node::made(made(settings, check)));
    Node::made(checks.collect::<Vec<_>>())
}

fn made(settings: &Settings, check: &HealthCheck) -> Map {
    let mut made = Map::default();
    match check.mode.as_str() {
        "cmd" => {
            let command = check.command.clone().unwrap_or_else(|| Node::made(Value::Null));
            let command: Map = [("value", command)].into_iter().collect();
            made.set("protocol", Node::made("COMMAND"));
            made.set("command", Node::made(command));
        }
        mode => {
            let mut protocol = mode.to_uppercase();
            if mode != "tcp" {
                if settings.use_mesos_healthchecks {
                    protocol = format!("MESOS_{protocol}");
                }
                made.set("path", check.uri.clone());
            }
            made.set("protocol", Node::made(protocol));
            made.set("portIndex", Node::made(0));
        }
    }
    made.set("gracePeriodSeconds", check.grace_period.clone());
    made.set("intervalSeconds", check.interval.clone());
    made.set("timeoutSeconds", check.timeout.clone());
    made.set("maxConsecutiveFailures", check.max_consecutive_failures.clone());
    made
}
