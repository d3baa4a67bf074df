//! What each ensemble is asked to hold: decisions on values alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::registry::{Ensemble, ParentPath, Published, RecordKey, Spot, TaskId, Wanted};

/// Divides what is wanted between the ensembles.
///
/// A record that has moved (the list of servers of its ensemble has changed, or this host got another
/// place) stays where it was, as it was, until it stands where it is to be: the old and the new list may
/// well be one registry, and readers must not find it empty. What an earlier life left stays for it, too.
///
/// `asked` is what each open ensemble was last asked for, `standing` what came of it.
pub(super) fn shares(
    wanted: &Wanted,
    asked: &BTreeMap<Ensemble, Arc<Wanted>>,
    standing: &BTreeMap<Ensemble, Arc<Published>>,
) -> BTreeMap<Ensemble, Wanted> {
    let mut shares: BTreeMap<Ensemble, Wanted> = BTreeMap::new();
    let named = wanted.records.keys().map(|key| &key.ensemble).chain(asked.keys());
    for ensemble in named {
        let empty = || Wanted { complete: wanted.complete, ..Wanted::default() };
        shares.entry(ensemble.clone()).or_insert_with(empty);
    }
    for (key, record) in &wanted.records {
        if let Some(share) = shares.get_mut(&key.ensemble) {
            share.records.insert(key.clone(), record.clone());
        }
    }
    for spot in &wanted.undecided {
        if let Some(share) = shares.get_mut(&spot.ensemble) {
            share.undecided.insert(spot.clone());
        }
    }
    let arriving: Vec<_> =
        wanted.records.iter().filter(|(key, _)| !stands(key, standing)).collect();
    let tasks: BTreeSet<(&ParentPath, &TaskId)> =
        arriving.iter().map(|(key, _)| (&key.parent, &key.task)).collect();
    for (ensemble, share) in &mut shares {
        let elsewhere = arriving.iter().filter(|(key, _)| key.ensemble != *ensemble);
        let spots = elsewhere
            .map(|(key, record)| Spot { ensemble: ensemble.clone(), ..Spot::of(key, record) });
        share.undecided.extend(spots);
        let before = asked.get(ensemble).into_iter().flat_map(|before| &before.records);
        for (key, record) in before {
            let moves = tasks.contains(&(&key.parent, &key.task)) && stands(key, standing);
            if moves && !wanted.records.contains_key(key) {
                share.records.insert(key.clone(), record.clone());
            }
        }
    }
    shares
}

fn stands(key: &RecordKey, standing: &BTreeMap<Ensemble, Arc<Published>>) -> bool {
    standing.get(&key.ensemble).is_some_and(|published| published.records.contains_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::zookeeper::plan::tests::record;

    const WEB: &str = "/smartstack/global/web.main";

    fn key(ensemble: &str, task: &str) -> RecordKey {
        let (ensemble, parent) = (ensemble.parse().unwrap(), WEB.parse().unwrap());
        RecordKey { ensemble, parent, task: TaskId(task.into()) }
    }

    fn wanted<const N: usize>(keys: [RecordKey; N]) -> Wanted {
        let records = keys.map(|key| (key, record(1))).into();
        Wanted { complete: true, records, ..Wanted::default() }
    }

    fn asked<const N: usize>(keys: [RecordKey; N]) -> BTreeMap<Ensemble, Arc<Wanted>> {
        let of = |key: RecordKey| (key.ensemble.clone(), Arc::new(wanted([key])));
        keys.map(of).into()
    }

    fn standing<const N: usize>(keys: [RecordKey; N]) -> BTreeMap<Ensemble, Arc<Published>> {
        let of = |key: RecordKey| {
            let ensemble = key.ensemble.clone();
            let records = [(key, "/path".to_owned())].into();
            (ensemble, Arc::new(Published { records, ..Published::default() }))
        };
        keys.map(of).into()
    }

    fn held(shares: &BTreeMap<Ensemble, Wanted>) -> Vec<(&str, usize)> {
        shares.iter().map(|(ensemble, w)| (ensemble.as_str(), w.records.len())).collect()
    }

    #[test]
    fn each_ensemble_gets_its_own_and_those_that_are_open_get_word_of_it() {
        let (a, b) = (key("a:1", "t"), key("b:1", "t"));
        let mut all = wanted([a.clone(), b.clone()]);
        all.undecided.insert(Spot::of(&a, &record(2)));
        let shares = shares(&all, &asked([key("c:1", "x")]), &standing([a.clone(), b]));
        assert_eq!(held(&shares), [("a:1", 1), ("b:1", 1), ("c:1", 0)]);
        assert_eq!(shares[&a.ensemble].undecided, all.undecided);
        assert!(shares.values().all(|share| share.complete));
        assert!(shares[&"b:1".parse().unwrap()].undecided.is_empty());
    }

    #[test]
    fn a_record_that_moves_stays_until_it_has_arrived_and_no_longer_than_its_task() {
        let (old, new) = (key("a:1", "t"), key("b:1", "t"));
        let moved = wanted([new.clone()]);
        let before = asked([old.clone()]);
        let waits = shares(&moved, &before, &standing([old.clone()]));
        assert_eq!(held(&waits), [("a:1", 1), ("b:1", 1)]);
        let arrived = shares(&moved, &before, &standing([old.clone(), new]));
        assert_eq!(held(&arrived), [("a:1", 0), ("b:1", 1)]);
        let over = shares(&wanted([]), &before, &standing([old.clone()]));
        assert_eq!(held(&over), [("a:1", 0)]);
        let another = shares(&wanted([key("b:1", "u")]), &before, &standing([old]));
        assert_eq!(held(&another), [("a:1", 0), ("b:1", 1)], "another task is no successor");
    }

    #[test]
    fn a_place_that_is_given_up_goes_at_once_though_a_third_is_out_of_reach() {
        let (here, there) = (key("a:1", "t"), key("b:1", "t"));
        let both = standing([here.clone(), there.clone()]);
        let only_here = shares(&wanted([here.clone()]), &asked([here, there]), &both);
        assert_eq!(held(&only_here), [("a:1", 1), ("b:1", 0)]);
    }

    #[test]
    fn what_an_earlier_life_left_waits_for_what_replaces_it_elsewhere() {
        let (old, new) = (key("a:1", "t"), key("b:1", "t"));
        let moved = wanted([new.clone()]);
        let opened = BTreeMap::from([(old.ensemble.clone(), Arc::default())]);
        let spot = Spot::of(&old, &record(1));
        let waits = shares(&moved, &opened, &BTreeMap::new());
        assert!(waits[&old.ensemble].undecided.contains(&spot));
        let arrived = shares(&moved, &opened, &standing([new]));
        assert!(arrived[&old.ensemble].undecided.is_empty());
    }
}
