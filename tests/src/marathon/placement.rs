//! On which hosts an app may run one more task.

use std::collections::BTreeMap;

use super::{
    definition::{Constraint, Definition},
    hosts::Host,
    pattern::Alternatives,
    task::Task,
};

/// The places in `hosts` that satisfy all constraints, those with the fewest tasks first.
///
/// `tasks` are all there are; of the app's own, those that are active count.
pub(super) fn candidates(app: &Definition, hosts: &[Host], tasks: &[&Task]) -> Vec<usize> {
    let own: Vec<&Host> = tasks
        .iter()
        .filter(|task| task.app == app.id && task.is_active())
        .filter_map(|task| hosts.iter().find(|host| host.name == task.host))
        .collect();
    let fits = |host: &Host| app.constraints.iter().all(|rule| is_met(rule, host, &own));
    let load = |host: &Host| tasks.iter().filter(|task| task.host == host.name).count();
    let mut fitting: Vec<(usize, usize)> = hosts
        .iter()
        .enumerate()
        .filter(|(_, host)| fits(host))
        .map(|(at, host)| (load(host), at))
        .collect();
    fitting.sort_unstable();
    fitting.into_iter().map(|(_, at)| at).collect()
}

fn is_met(rule: &Constraint, host: &Host, own: &[&Host]) -> bool {
    let value = host.attribute(&rule.field);
    let same = own.iter().filter(|other| other.attribute(&rule.field) == value).count();
    let like = || {
        let value = value?;
        Some(Alternatives::parse(&rule.value)?.matches(value))
    };
    match rule.operator.as_str() {
        "UNIQUE" => value.is_some() && same == 0,
        "CLUSTER" => value == Some(rule.value.as_str()),
        "LIKE" => like() == Some(true),
        "UNLIKE" => like() != Some(true),
        "MAX_PER" => value.is_some() && rule.value.parse().is_ok_and(|most: usize| same < most),
        "GROUP_BY" => value.is_some() && same <= fewest(rule, own),
        _ => false,
    }
}

/// How many of the app's tasks the group has that has the fewest; 0 while there are fewer groups than
/// the constraint wants.
fn fewest(rule: &Constraint, own: &[&Host]) -> usize {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for group in own.iter().filter_map(|host| host.attribute(&rule.field)) {
        *sizes.entry(group).or_default() += 1;
    }
    let wanted = rule.value.parse().unwrap_or(1);
    if sizes.len() < wanted { 0 } else { sizes.into_values().min().unwrap_or(0) }
}
