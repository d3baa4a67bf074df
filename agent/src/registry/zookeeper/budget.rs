//! Spreads watched paths over sessions.
//!
//! A session with more than 128 KiB of watched paths cannot survive a reconnect (crates.md §3.3 A).

/// The most path bytes that one session watches: 3/4 of the fatal amount.
pub(super) const LIMIT: usize = 96 * 1024;

/// How many path bytes each session watches.
#[derive(Debug, Default)]
pub(super) struct Budget {
    used: Vec<usize>,
}

impl Budget {
    /// The session that is to watch `bytes` more: the first with room, else a further one.
    pub(super) fn take(&mut self, bytes: usize) -> usize {
        let room = self.used.iter().position(|used| used + bytes <= LIMIT);
        let index = room.unwrap_or_else(|| {
            self.used.push(0);
            self.used.len() - 1
        });
        self.used[index] += bytes;
        // Only what does not fit into an empty session may exceed the limit, and no path is so long.
        debug_assert!(self.used[index] <= LIMIT.max(bytes), "session {index} watches too much");
        index
    }

    /// Gives back what was taken.
    pub(super) fn release(&mut self, index: usize, bytes: usize) {
        if let Some(used) = self.used.get_mut(index) {
            *used = used.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_released_is_used_again() {
        let mut budget = Budget::default();
        assert_eq!(budget.take(LIMIT), 0);
        assert_eq!(budget.take(1), 1);
        budget.release(0, 10);
        assert_eq!(budget.take(10), 0);
        assert_eq!(budget.take(1), 1);
    }

    proptest! {
        #[test]
        fn no_session_watches_more_than_the_limit(
            paths in proptest::collection::vec(1_usize..1000, 0..2000),
        ) {
            let mut budget = Budget::default();
            let mut sums = Vec::new();
            for bytes in paths {
                let index = budget.take(bytes);
                sums.resize(sums.len().max(index + 1), 0);
                sums[index] += bytes;
            }
            prop_assert!(sums.iter().all(|sum| *sum <= LIMIT));
            let fullness = sums.iter().sum::<usize>().div_ceil(LIMIT - 1000);
            prop_assert!(sums.len() <= fullness.max(1), "sessions are wasted");
        }
    }
}
