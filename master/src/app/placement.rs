//! Where the tasks of an app may run, and how they are spread (marathon-sync.md §6.6).

use std::collections::BTreeSet;

use soa_configs::{
    container::Container,
    json,
    marathon::MarathonConfig,
    paasta::Settings,
    yaml::{Node, Value},
};

use super::{AppError, Given, number};

pub(crate) type Constraint = Vec<String>;
type Whitelist = Option<(String, Vec<String>)>;

/// `wanted` is the number of tasks that are to run now.
pub(super) fn constraints(
    given: Given<'_>,
    config: &MarathonConfig,
    wanted: &Node,
) -> Result<Node, AppError> {
    let lists = match &config.container.constraints {
        Some(own) => own.clone(),
        None => computed(given, config, wanted)?,
    };
    Ok(written(lists))
}

/// Lists of lists of texts.
pub(crate) fn written(lists: impl IntoIterator<Item = Constraint>) -> Node {
    let node = |list: Constraint| Node::made(list.into_iter().map(Node::made).collect::<Vec<_>>());
    Node::made(lists.into_iter().map(node).collect::<Vec<_>>())
}

fn computed(
    given: Given<'_>,
    config: &MarathonConfig,
    wanted: &Node,
) -> Result<Vec<Constraint>, AppError> {
    let (own, settings) = (&config.container, given.settings);
    let mut all = own.extra_constraints.clone();
    if let Some(hosts) = &settings.expected_slave_attributes {
        let discover = &config.namespace.discover;
        let places = places(given, config, hosts, discover)?;
        all.push(vec![discover.clone(), "GROUP_BY".to_owned(), places.to_string()]);
    }
    all.extend(by_lists_and_pool(own, settings));
    let most = config.max_instances.as_ref().filter(|most| !most.is_falsy());
    let size = number(most.unwrap_or(wanted)).unwrap_or(0.0);
    let is_unique = i32::try_from(settings.auto_hostname_unique_size)
        .is_ok_and(|limit| size <= f64::from(limit));
    if is_unique {
        all.push(vec!["hostname".to_owned(), "UNIQUE".to_owned()]);
    }
    Ok(all)
}

/// What the lists of an instance and of its host say, and its pool: of Marathon and Chronos alike.
pub(crate) fn by_lists_and_pool<'c>(
    own: &'c Container,
    settings: &'c Settings,
) -> impl Iterator<Item = Constraint> + use<'c> {
    let pool = vec!["pool".to_owned(), "LIKE".to_owned(), shown(&own.pool)];
    unlike(&own.deploy_blacklist)
        .chain(like(&own.deploy_whitelist))
        .chain(unlike(&settings.deploy_blacklist))
        .chain(like(&settings.deploy_whitelist))
        .chain([pool])
}

fn unlike(blacklist: &[(String, String)]) -> impl Iterator<Item = Constraint> {
    blacklist.iter().map(|(kind, value)| vec![kind.clone(), "UNLIKE".to_owned(), value.clone()])
}

fn like(whitelist: &Whitelist) -> Option<Constraint> {
    let (kind, values) = whitelist.as_ref()?;
    Some(vec![kind.clone(), "LIKE".to_owned(), values.join("|")])
}

/// Into how many places the hosts that may run the app are divided.
fn places(
    given: Given<'_>,
    config: &MarathonConfig,
    hosts: &[Node],
    discover: &str,
) -> Result<usize, AppError> {
    let (own, settings) = (&config.container, given.settings);
    let mut fit = hosts.iter().filter(|host| {
        let is_barred =
            |(kind, value): &(String, String)| attribute(host, kind).as_ref() == Some(value);
        let is_let_in = |whitelist: &Whitelist| match whitelist {
            Some((kind, values)) if !values.is_empty() => {
                attribute(host, kind).is_some_and(|value| values.contains(&value))
            }
            _ => true,
        };
        !own.deploy_blacklist.iter().chain(&settings.deploy_blacklist).any(is_barred)
            && is_let_in(&own.deploy_whitelist)
            && is_let_in(&settings.deploy_whitelist)
    });
    let Some(first) = fit.next() else {
        return Err(AppError::NoSlavesAvailable(given.instance.to_string()));
    };
    let rest: Vec<_> = fit.collect();
    let mut places = BTreeSet::new();
    for host in std::iter::once(first).chain(rest.iter().copied()) {
        match attribute(host, discover) {
            Some(place) => places.insert(place),
            // PaaSTA sorts the values, and nothing cannot be compared.
            None if !rest.is_empty() => return Err(AppError::UnknownPlace(discover.to_owned())),
            None => false,
        };
    }
    places.remove("");
    Ok(places.len())
}

fn attribute(host: &Node, kind: &str) -> Option<String> {
    let node = host.as_map()?.get(kind).filter(|node| !node.is_null())?;
    Some(shown(node))
}

/// As Python's `str` has it.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.to_string(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        _ => json::canonical(node).unwrap_or_default(),
    }
}
