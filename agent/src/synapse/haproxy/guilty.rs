//! When HAProxy refuses a configuration: which namespaces are at fault, so that all others go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use soa_configs::{Namespace, NamespaceConfig};
use tokio::time::{Duration, Instant};

use super::model::Accepted;

/// HAProxy is asked so often at most; who is then still under suspicion waits.
const MOST_TRIALS: usize = 64;
const LONGEST: Duration = Duration::from_secs(30);

/// A namespace that HAProxy would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The settings that are not taken; others are tried.
    pub config: Arc<NamespaceConfig>,
    /// What it is rendered with meanwhile; `None`: it is left out.
    pub instead: Option<Arc<NamespaceConfig>>,
    pub reason: String,
}

/// Those who are not taken.
pub type HeldBack = BTreeMap<Namespace, Held>;

/// A search by halves: everything that is accepted together is cleared together.
#[derive(Debug)]
pub(super) struct Search {
    /// Under suspicion, in groups.
    groups: Vec<Vec<Namespace>>,
    /// Whom HAProxy takes, with these settings.
    cleared: Accepted,
    suspects: Accepted,
    guilty: BTreeMap<Namespace, String>,
    trials: usize,
    until: Instant,
}

impl Search {
    /// `proven` ran before; everybody whose settings differ is a suspect.
    pub(super) fn new(accepted: &Accepted, proven: &Accepted) -> Self {
        let mut suspects = accepted.clone();
        suspects.retain(|name, config| proven.get(name) != Some(config));
        let names: Vec<_> = suspects.keys().cloned().collect();
        let mut cleared = proven.clone();
        cleared.retain(|name, _| accepted.contains_key(name));
        Self {
            groups: if names.is_empty() { Vec::new() } else { vec![names] },
            cleared,
            suspects,
            guilty: BTreeMap::new(),
            trials: 0,
            until: Instant::now() + LONGEST,
        }
    }

    /// What HAProxy has to be asked next; `None`: the search is over.
    pub(super) fn next(&self) -> Option<Accepted> {
        let group = self.groups.last()?;
        if self.trials >= MOST_TRIALS || Instant::now() >= self.until {
            return None;
        }
        let mut trial = self.cleared.clone();
        trial.extend(self.settings_of(group));
        Some(trial)
    }

    /// HAProxy's answer to the last question.
    pub(super) fn answered(&mut self, refusal: Option<String>) {
        self.trials += 1;
        let Some(mut group) = self.groups.pop() else { return };
        match refusal {
            None => {
                let settings: Vec<_> = self.settings_of(&group).collect();
                self.cleared.extend(settings);
            }
            Some(reason) if group.len() == 1 => {
                self.guilty.extend(group.pop().map(|name| (name, reason)));
            }
            Some(_) => {
                let rest = group.split_off(group.len() / 2);
                self.groups.extend([rest, group]);
            }
        }
    }

    fn settings_of<'a>(
        &'a self,
        group: &'a [Namespace],
    ) -> impl Iterator<Item = (Namespace, Arc<NamespaceConfig>)> + 'a {
        group.iter().filter_map(|name| {
            self.suspects.get(name).map(|config| (name.clone(), Arc::clone(config)))
        })
    }

    /// Who is held back; empty when the search has cleared everybody, or nobody: then the fault is
    /// elsewhere.
    pub(super) fn found(self, proven: &Accepted) -> HeldBack {
        let untried: BTreeSet<Namespace> = self.groups.into_iter().flatten().collect();
        let doubt = |name| (name, "haproxy refused it together with others".to_owned());
        let guilty = self.guilty.into_iter().chain(untried.into_iter().map(doubt));
        guilty
            .filter_map(|(name, reason)| {
                let config = Arc::clone(self.suspects.get(&name)?);
                let instead = proven.get(&name).cloned();
                Some((name, Held { config, instead, reason }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(retries: u16) -> Arc<NamespaceConfig> {
        Arc::new(NamespaceConfig { retries: Some(retries), ..NamespaceConfig::default() })
    }

    fn all(count: usize, retries: u16) -> Accepted {
        let name = |n: usize| format!("s{n}.main").parse().unwrap();
        (0..count).map(|n| (name(n), config(retries))).collect()
    }

    /// Asks until the search is over; who is found, and after how many questions.
    fn search(accepted: &Accepted, proven: &Accepted, guilty: &[&str]) -> (Vec<String>, usize) {
        let mut search = Search::new(accepted, proven);
        let mut trials = 0;
        while let Some(trial) = search.next() {
            trials += 1;
            let is_guilty = |(name, config): (&Namespace, &Arc<NamespaceConfig>)| {
                guilty.contains(&name.as_str()) && config.retries == Some(2)
            };
            let found = trial.iter().any(is_guilty);
            search.answered(found.then(|| "no".to_owned()));
        }
        let found = search.found(proven);
        assert!(found.iter().all(|(name, held)| held.instead.as_ref() == proven.get(name)));
        (found.keys().map(ToString::to_string).collect(), trials)
    }

    #[test]
    fn the_guilty_are_found_among_a_thousand_by_halves() {
        let (accepted, proven) = (all(1000, 2), all(900, 1));
        let guilty = ["s17.main", "s950.main"];
        let (found, trials) = search(&accepted, &proven, &guilty);
        assert_eq!(found, guilty);
        assert!(trials < 50, "{trials}");
    }

    #[test]
    fn only_who_has_changed_is_under_suspicion() {
        let mut accepted = all(1000, 1);
        accepted.insert("s3.main".parse().unwrap(), config(2));
        accepted.insert("s4.main".parse().unwrap(), config(2));
        let (found, trials) = search(&accepted, &all(1000, 1), &["s3.main"]);
        assert_eq!((found, trials), (vec!["s3.main".to_owned()], 3));
        assert_eq!(search(&all(5, 1), &all(5, 1), &[]), (vec![], 0));
    }

    #[test]
    fn too_many_guilty_ones_end_the_search_and_all_the_rest_wait() {
        let accepted = all(200, 2);
        let names: Vec<String> = accepted.keys().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (found, trials) = search(&accepted, &Accepted::new(), &names);
        assert_eq!((found.len(), trials), (200, MOST_TRIALS));
    }
}
