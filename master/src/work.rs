//! Which instances of a cluster Marathon does not have as soa-configs ask (marathon-sync.md §16).
//!
//! Pure: what is wanted and what is there go in.

use std::collections::{BTreeMap, BTreeSet};

use soa_configs::ids::JobId;

use crate::marathon::Listed;

/// An app that is to be, on one group of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Without a leading slash.
    pub id: String,
    pub instances: i64,
    /// The place of its group.
    pub shard: usize,
}

/// What a comparison finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// `service.instance`: an app is missing, is one too many, is where it should not be, or has another
    /// count.
    pub instances: BTreeSet<String>,
    /// Ids of apps that are nobody's instances. They are left alone.
    pub foreign: BTreeSet<String>,
}

/// Compares. `listed` has the apps of each group of servers, by its place.
#[must_use]
pub fn compare(wanted: &[Wanted], listed: &[Vec<Listed>]) -> Work {
    let mut work = Work::default();
    let mut there = BTreeMap::new();
    for (shard, apps) in listed.iter().enumerate() {
        for app in apps {
            let id = app.id.trim_start_matches('/');
            match JobId::parse(id) {
                Ok(_) => drop(there.insert((id.to_owned(), shard), app.instances)),
                Err(_) => drop(work.foreign.insert(app.id.clone())),
            }
        }
    }
    for Wanted { id, instances, shard } in wanted {
        if there.remove(&(id.clone(), *shard)) != Some(Some(*instances)) {
            work.instances.extend(short(id));
        }
    }
    work.instances.extend(there.into_keys().filter_map(|(id, _)| short(&id)));
    work
}

/// `service.instance` of an app, as it is written in soa-configs. `None`: it is nobody's.
#[must_use]
pub fn short(id: &str) -> Option<String> {
    let JobId { service, instance, .. } = JobId::parse(id).ok()?;
    Some(format!("{service}.{instance}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(apps: &[(&str, i64)]) -> Vec<Listed> {
        apps.iter()
            .map(|(id, instances)| Listed { id: format!("/{id}"), instances: Some(*instances) })
            .collect()
    }

    fn wanted(id: &str, instances: i64, shard: usize) -> Wanted {
        Wanted { id: id.to_owned(), instances, shard }
    }

    fn names(work: &Work) -> Vec<&str> {
        work.instances.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_is_as_it_should_be_needs_nothing() {
        let there = [listed(&[("a--b.main.git1.config1", 3)])];
        assert_eq!(compare(&[wanted("a--b.main.git1.config1", 3, 0)], &there), Work::default());
    }

    #[test]
    fn everything_else_needs_work_once_for_each_instance() {
        let there = [
            listed(&[
                ("a.count.g1.c1", 2),
                ("a.old.g1.c1", 1),
                ("a.moved.g1.c1", 1),
                ("toolbox", 1),
            ]),
            listed(&[("a.stale.g1.c1", 1)]),
        ];
        let wanted = [
            wanted("a.count.g1.c1", 3, 0),
            wanted("a.old.g2.c1", 1, 0),
            wanted("a.moved.g1.c1", 1, 1),
            wanted("a.new.g1.c1", 1, 1),
        ];
        let work = compare(&wanted, &there);
        assert_eq!(names(&work), ["a.count", "a.moved", "a.new", "a.old", "a.stale"]);
        assert_eq!(work.foreign, ["/toolbox".to_owned()].into());
    }
}
