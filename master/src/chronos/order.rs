//! Jobs in the order of their parents: Chronos takes no job before all of its parents are there.

use std::collections::{BTreeMap, BTreeSet};

use super::JobName;

/// What a look at the parents of jobs comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order<'n> {
    /// Parents before children, else by name. Those that stand in a cycle are not among them.
    pub sorted: Vec<&'n JobName>,
    /// Jobs of which each is a parent of the next one, and the last one of the first.
    pub cycles: Vec<Vec<&'n JobName>>,
}

/// Parents that are not among the jobs do not count. What comes after a cycle is sorted as if the cycle
/// were not there.
#[must_use]
pub fn order<'n>(jobs: &BTreeMap<&'n JobName, &'n [JobName]>) -> Order<'n> {
    let mut waits: BTreeMap<&JobName, BTreeSet<&JobName>> = BTreeMap::new();
    let mut children: BTreeMap<&JobName, Vec<&'n JobName>> = BTreeMap::new();
    for (name, parents) in jobs {
        let known: BTreeSet<&JobName> = parents
            .iter()
            .filter_map(|parent| jobs.get_key_value(parent))
            .map(|(p, _)| *p)
            .collect();
        for parent in &known {
            children.entry(*parent).or_default().push(*name);
        }
        waits.insert(*name, known);
    }
    let mut order = Order::default();
    let mut ready: BTreeSet<&'n JobName> =
        jobs.keys().copied().filter(|name| waits[name].is_empty()).collect();
    loop {
        while let Some(name) = ready.pop_first() {
            order.sorted.push(name);
            waits.remove(name);
            release(name, &children, &mut waits, &mut ready);
        }
        let Some(cycle) = cycle(jobs, &waits) else { return order };
        for name in &cycle {
            waits.remove(*name);
        }
        for name in &cycle {
            release(name, &children, &mut waits, &mut ready);
        }
        order.cycles.push(cycle);
    }
}

/// The children of a job do not wait for it any longer.
fn release<'n>(
    name: &JobName,
    children: &BTreeMap<&JobName, Vec<&'n JobName>>,
    waits: &mut BTreeMap<&JobName, BTreeSet<&JobName>>,
    ready: &mut BTreeSet<&'n JobName>,
) {
    for child in children.get(name).into_iter().flatten().copied() {
        if let Some(waits) = waits.get_mut(child) {
            waits.remove(name);
            if waits.is_empty() {
                ready.insert(child);
            }
        }
    }
}

/// Of jobs that all wait for one another, one circle of parents. `None`: nothing waits.
fn cycle<'n>(
    jobs: &BTreeMap<&'n JobName, &'n [JobName]>,
    waits: &BTreeMap<&JobName, BTreeSet<&JobName>>,
) -> Option<Vec<&'n JobName>> {
    let own = |name: &JobName| jobs.get_key_value(name).map(|(name, _)| *name);
    let mut walk: Vec<&'n JobName> = vec![own(waits.keys().next()?)?];
    let mut seen: BTreeMap<&JobName, usize> = BTreeMap::new();
    loop {
        let last = *walk.last()?;
        if let Some(at) = seen.insert(last, walk.len() - 1) {
            let mut cycle = walk.split_off(at);
            cycle.pop();
            cycle.reverse();
            return Some(cycle);
        }
        walk.push(own(waits.get(last)?.first()?)?);
    }
}

/// All jobs that are connected with one through parents, in either direction, itself included.
#[must_use]
pub fn related<'n>(
    jobs: &BTreeMap<&'n JobName, &'n [JobName]>,
    to: &JobName,
) -> BTreeSet<&'n JobName> {
    let mut beside: BTreeMap<&JobName, Vec<&'n JobName>> = BTreeMap::new();
    for (name, parents) in jobs {
        for (parent, _) in parents.iter().filter_map(|parent| jobs.get_key_value(parent)) {
            beside.entry(*parent).or_default().push(*name);
            beside.entry(*name).or_default().push(*parent);
        }
    }
    let mut found: BTreeSet<&'n JobName> = BTreeSet::new();
    let mut next: Vec<&'n JobName> =
        jobs.get_key_value(to).map(|(name, _)| *name).into_iter().collect();
    while let Some(name) = next.pop() {
        if found.insert(name) {
            next.extend(beside.get(name).into_iter().flatten().copied());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> JobName {
        JobName::new("s", &format!("j{number:03}"))
    }

    fn graph(edges: &[Vec<usize>]) -> Vec<(JobName, Vec<JobName>)> {
        let jobs = edges.iter().enumerate();
        jobs.map(|(at, parents)| (name(at), parents.iter().map(|p| name(*p)).collect())).collect()
    }

    fn view(graph: &[(JobName, Vec<JobName>)]) -> BTreeMap<&JobName, &[JobName]> {
        graph.iter().map(|(name, parents)| (name, parents.as_slice())).collect()
    }

    fn texts(names: &[&JobName]) -> Vec<String> {
        names.iter().map(|name| name.instance.clone()).collect()
    }

    #[test]
    fn parents_come_first_and_a_cycle_holds_nobody_up() {
        // 0 ← 3 ← 1; 2 and 4 are parents of one another, 5 comes after 4, 6 is its own parent.
        let graph = graph(&[vec![], vec![3], vec![4], vec![0], vec![2], vec![4, 99], vec![6]]);
        let order = order(&view(&graph));
        assert_eq!(texts(&order.sorted), ["j000", "j003", "j001", "j005"]);
        let cycles: Vec<_> = order.cycles.iter().map(|cycle| texts(cycle)).collect();
        assert_eq!(cycles, [vec!["j004", "j002"], vec!["j006"]]);
        let related = related(&view(&graph), &name(1));
        assert_eq!(texts(&related.into_iter().collect::<Vec<_>>()), ["j000", "j001", "j003"]);
    }

    proptest! {
        /// Every job comes once, in a cycle or after all parents that stand in none.
        #[test]
        fn any_graph_is_ordered(edges in prop::collection::vec(prop::collection::vec(0..12_usize, 0..4), 1..12)) {
            let graph = graph(&edges);
            let view = view(&graph);
            let order = order(&view);
            let sorted = order.sorted.iter().enumerate();
            let at: BTreeMap<&JobName, usize> = sorted.map(|(at, name)| (*name, at)).collect();
            let in_cycles: usize = order.cycles.iter().map(Vec::len).sum();
            prop_assert_eq!(at.len() + in_cycles, graph.len());
            for (name, parents) in &graph {
                for parent in parents {
                    if let (Some(child), Some(parent)) = (at.get(name), at.get(parent)) {
                        prop_assert!(parent < child);
                    }
                }
            }
            for cycle in &order.cycles {
                for (at, name) in cycle.iter().enumerate() {
                    let next = cycle[(at + 1) % cycle.len()];
                    prop_assert!(view[next].contains(name), "{} is no parent of {}", name, next);
                }
            }
        }
    }
}
