//! When who is told of what: at once of the first kill, once a minute of those that follow, and of a minute
//! without any.
//!
//! Pure: kills and the time go in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use soa_configs::Namespace;
use tokio::time::Instant;

use crate::registry::TaskId;

/// As often as PaaSTA's check ran.
const MINUTE: Duration = Duration::from_secs(60);
/// When whoever should be told could not be.
const AGAIN: Duration = Duration::from_secs(30);
/// More instances than any host runs.
const MOST: usize = 1000;

/// How it went to tell of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its people heard.
    Heard,
    /// They are not to hear, or there are none.
    Nobody,
    /// They should, and did not.
    Unheard,
}

/// Something to tell the people of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) name: Namespace,
    /// Without any it is over.
    pub(super) kills: u64,
    /// The container of the last one.
    pub(super) container: Option<TaskId>,
    /// They were told of kills, and not that these are over.
    pub(super) is_alarmed: bool,
    /// It was tried before.
    pub(super) is_again: bool,
}

#[derive(Debug)]
struct Account {
    /// Since its people were last told.
    kills: u64,
    container: Option<TaskId>,
    /// When they are told next.
    due: Instant,
    is_alarmed: bool,
    is_again: bool,
}

impl Account {
    fn new(due: Instant) -> Self {
        Self { kills: 0, container: None, due, is_alarmed: false, is_again: false }
    }
}

/// The instances that have something to be told of.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<Namespace, Account>);

impl Ledger {
    /// Of an earlier process: these were told of kills, and not that they are over.
    pub(super) fn remembering(alarmed: BTreeSet<Namespace>, now: Instant) -> Self {
        let account = || Account { is_alarmed: true, ..Account::new(now + MINUTE) };
        Self(alarmed.into_iter().take(MOST).map(|name| (name, account())).collect())
    }

    /// Returns whether it is kept: there is room for so many instances.
    pub(super) fn killed(&mut self, name: &Namespace, container: &TaskId, now: Instant) -> bool {
        if !self.0.contains_key(name) && self.0.len() >= MOST {
            return false;
        }
        let account = self.0.entry(name.clone()).or_insert_with(|| Account::new(now));
        account.kills = account.kills.saturating_add(1);
        account.container = Some(container.clone());
        true
    }

    /// When the next one is to be told.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|account| account.due).min()
    }

    /// Who is to be told now, and of what.
    pub(super) fn due(&self, now: Instant) -> Vec<Due> {
        let due = self.0.iter().filter(|(_, account)| account.due <= now);
        let due = due.map(|(name, account)| {
            let Account { kills, container, is_alarmed, is_again, .. } = account;
            let (name, container) = (name.clone(), container.clone());
            Due { name, kills: *kills, container, is_alarmed: *is_alarmed, is_again: *is_again }
        });
        due.collect()
    }

    /// How that went.
    pub(super) fn told(&mut self, due: &Due, told: Told, now: Instant) {
        let Some(account) = self.0.get_mut(&due.name) else { return };
        account.is_again = told == Told::Unheard;
        if told == Told::Unheard {
            account.due = now + AGAIN;
            return;
        }
        account.kills = account.kills.saturating_sub(due.kills);
        account.due = now + MINUTE;
        account.is_alarmed = due.kills > 0 && told == Told::Heard;
        if due.kills == 0 && account.kills == 0 {
            self.0.remove(&due.name);
        }
    }

    /// Who was told of kills, and not that they are over.
    pub(super) fn alarmed(&self) -> BTreeSet<Namespace> {
        let alarmed = self.0.iter().filter(|(_, account)| account.is_alarmed);
        alarmed.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kills of `web.main` and what its people are told, at minutes from the start.
    struct Story {
        ledger: Ledger,
        start: Instant,
    }

    impl Story {
        fn new() -> Self {
            Self { ledger: Ledger::default(), start: Instant::now() }
        }

        fn at(&self, minutes: f64) -> Instant {
            self.start + MINUTE.mul_f64(minutes)
        }

        fn killed(&mut self, minutes: f64) {
            let at = self.at(minutes);
            assert!(self.ledger.killed(&web(), &TaskId("c".into()), at));
        }

        /// How many kills are to be told of, and that it goes so.
        fn tell(&mut self, minutes: f64, told: Told) -> Option<u64> {
            let at = self.at(minutes);
            let due = self.ledger.due(at).pop()?;
            self.ledger.told(&due, told, at);
            Some(due.kills)
        }
    }

    fn web() -> Namespace {
        "web.main".parse().unwrap()
    }

    #[test]
    fn the_first_kill_is_told_at_once_a_storm_once_a_minute_and_its_end_after_a_quiet_one() {
        let mut story = Story::new();
        assert_eq!(story.ledger.next(), None);
        story.killed(0.0);
        assert_eq!(story.tell(0.0, Told::Heard), Some(1));
        (0..10_000).for_each(|_| story.killed(0.5));
        assert_eq!(story.tell(0.5, Told::Heard), None);
        assert_eq!(story.ledger.next(), Some(story.at(1.0)));
        let due = story.ledger.due(story.at(1.0)).pop().unwrap();
        // One that comes while they are being told is not lost.
        story.killed(1.0);
        story.ledger.told(&due, Told::Heard, story.at(1.0));
        assert_eq!((due.kills, due.container), (10_000, Some(TaskId("c".into()))));
        assert_eq!(story.tell(2.0, Told::Heard), Some(1));
        assert_eq!(story.ledger.alarmed(), [web()].into());
        assert_eq!(story.tell(3.0, Told::Heard), Some(0));
        assert_eq!((story.ledger.next(), story.ledger.alarmed()), (None, BTreeSet::new()));
    }

    #[test]
    fn who_could_not_be_told_is_told_later_of_everything() {
        let mut story = Story::new();
        story.killed(0.0);
        assert_eq!(story.tell(0.0, Told::Unheard), Some(1));
        assert!(story.ledger.alarmed().is_empty());
        story.killed(0.1);
        assert!(story.ledger.due(story.at(0.5))[0].is_again);
        assert_eq!(story.tell(0.5, Told::Heard), Some(2));
        assert_eq!(story.tell(1.5, Told::Unheard), Some(0));
        // An alarm that nobody ends would stand for ever.
        let due = story.ledger.due(story.at(2.0)).pop().unwrap();
        assert!(due.is_alarmed && due.kills == 0);
    }

    #[test]
    fn where_nobody_is_to_be_told_the_account_ends_in_silence() {
        let mut story = Story::new();
        story.killed(0.0);
        assert_eq!(story.tell(0.0, Told::Nobody), Some(1));
        assert!(!story.ledger.due(story.at(1.0))[0].is_alarmed);
        assert_eq!(story.tell(1.0, Told::Nobody), Some(0));
        assert_eq!(story.ledger.next(), None);
    }

    #[test]
    fn an_alarm_of_an_earlier_process_is_ended_by_the_next_one() {
        let mut story = Story::new();
        story.ledger = Ledger::remembering([web()].into(), story.start);
        assert_eq!(story.tell(0.5, Told::Heard), None);
        assert!(story.ledger.due(story.at(1.0))[0].is_alarmed);
        assert_eq!(story.tell(1.0, Told::Heard), Some(0));
    }

    #[test]
    fn there_is_an_end_to_the_instances_that_are_kept() {
        let (mut ledger, start, container) =
            (Ledger::default(), Instant::now(), TaskId("c".into()));
        let name = |at: usize| format!("s{at}.main").parse().unwrap();
        let kept = (0..2 * MOST).filter(|at| ledger.killed(&name(*at), &container, start));
        assert_eq!(kept.count(), MOST);
        assert!(ledger.killed(&name(0), &container, start));
    }
}
