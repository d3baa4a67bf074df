//! Which kills for want of memory are known already.

use std::collections::VecDeque;

use crate::registry::TaskId;

/// After a reconnect Docker tells again of what it told within the last two seconds. In a storm some count
/// twice then.
const REMEMBERED: usize = 64;

/// The last kills: of which container, and when by Docker's clock, in nanoseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Kills(VecDeque<(TaskId, i128)>);

impl Kills {
    pub(super) fn are_news(&mut self, id: &TaskId, at: Option<i128>) -> bool {
        let Some(at) = at else { return true };
        if self.0.iter().any(|(known, when)| known == id && *when == at) {
            return false;
        }
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front((id.clone(), at));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_that_docker_repeats_counts_once_and_no_clock_hides_another() {
        let (mut kills, id) = (Kills::default(), |name: &str| TaskId(name.into()));
        assert!(kills.are_news(&id("a"), Some(10)));
        assert!(!kills.are_news(&id("a"), Some(10)));
        assert!(kills.are_news(&id("b"), Some(10)) && kills.are_news(&id("a"), Some(9)));
        assert!(kills.are_news(&id("a"), None) && kills.are_news(&id("a"), None));
        assert!((11..1000).all(|at| kills.are_news(&id("a"), Some(at))));
        assert!(!kills.are_news(&id("a"), Some(999)));
        assert_eq!(kills.0.len(), REMEMBERED);
    }
}
