//! What the status says about servers: HAProxy's own words, read a part at a time.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{limit::Limit, observed::Observed, render::Rendered, status},
    Keeper,
};

/// Statistics of backends read in one full pass; the whole table of a large host costs HAProxy
/// 0.4 s (synapse.md §13.7).
const STATS_PER_PASS: usize = 200;

impl<L: Limit> Keeper<L> {
    /// Reads the statistics of the observed backends; in a full pass of those without any, of
    /// those in doubt, and of some others in turn.
    pub(super) async fn statistics(&mut self, target: &Rendered, observed: &Observed, full: bool) {
        self.status.backends.retain(|name, _| target.backends.contains_key(name));
        let managed =
            observed.backends.iter().filter(|(name, _)| target.backends.contains_key(*name));
        let mut names: Vec<_> = managed.map(|(name, backend)| (name.clone(), backend.id)).collect();
        if full {
            let attention = self.attention(target);
            let start = names.partition_point(|(name, _)| *name <= self.stat_cursor);
            names.rotate_left(start);
            let mut budget = STATS_PER_PASS;
            names.retain(|(name, _)| {
                let seen = self.status.backends.get(name);
                let new = seen.is_none_or(|servers| status::is_unknown(servers))
                    || attention.contains(name);
                let turn = !new && budget > 0;
                budget -= usize::from(turn);
                new || turn
            });
            self.stat_cursor = names.last().map(|(name, _)| name.clone()).unwrap_or_default();
        }
        let ids: Vec<_> = names.iter().filter_map(|(_, id)| *id).collect();
        let mut rows = match self.runtime.stat(&ids).await {
            Ok(rows) => rows,
            Err(error) => {
                self.away_after(&error);
                return;
            }
        };
        let found: BTreeMap<_, _> = names
            .into_iter()
            .map(|(name, _)| (rows.remove(&name).unwrap_or_default(), name))
            .map(|(servers, name)| (name, Arc::new(servers)))
            .collect();
        self.status.backends.extend(found);
    }
}
