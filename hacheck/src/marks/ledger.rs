//! Which marks are in force: those on disk, and those on their way to it.
//!
//! A mark holds from the moment it is asked for, before the disk knows and also if the disk refuses.
//! It is removed only once its file is gone, since otherwise the next reading would bring it back.

use std::{collections::HashMap, sync::Arc};

use super::{Mark, MarkKey, MarkTable, UnixTime, held::Held};

/// The place of a change in the order of all changes.
pub(super) type Sequence = u64;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// As last read or written.
    disk: HashMap<MarkKey, Arc<Mark>>,
    /// Asked for and not (yet) on disk. These win over the disk.
    unsaved: HashMap<MarkKey, (Sequence, Arc<Mark>)>,
    last: Sequence,
}

impl Ledger {
    /// The number of a new change.
    pub(super) fn next(&mut self) -> Sequence {
        self.last += 1;
        self.last
    }

    /// `mark` is asked for and holds from now on.
    pub(super) fn wanted(&mut self, sequence: Sequence, mark: &Arc<Mark>) {
        self.unsaved.insert(mark.key.clone(), (sequence, Arc::clone(mark)));
    }

    /// `mark` has reached the disk.
    pub(super) fn written(&mut self, sequence: Sequence, mark: Arc<Mark>) {
        self.forget_unsaved(sequence, &mark.key);
        self.disk.insert(mark.key.clone(), mark);
    }

    /// The file of `key` is gone. A mark that was asked for later stays.
    pub(super) fn removed(&mut self, sequence: Sequence, key: &MarkKey) {
        self.forget_unsaved(sequence, key);
        self.disk.remove(key);
    }

    /// The directory holds `marks` and nothing else.
    pub(super) fn read(&mut self, marks: HashMap<MarkKey, Arc<Mark>>) {
        self.disk = marks;
    }

    /// Marks that the disk has refused so far, with their place in the order.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = (Sequence, &Arc<Mark>)> {
        self.unsaved.values().map(|(sequence, mark)| (*sequence, mark))
    }

    /// The mark of this key, asked for or on disk; perhaps expired.
    pub(super) fn get(&self, key: &MarkKey) -> Option<&Arc<Mark>> {
        self.unsaved.get(key).map(|(_, mark)| mark).or_else(|| self.disk.get(key))
    }

    /// Whether another mark of this key is allowed with at most `limit` marks in all.
    pub(super) fn has_room(&self, key: &MarkKey, limit: usize) -> bool {
        let known = self.disk.contains_key(key) || self.unsaved.contains_key(key);
        known || self.disk.len() + self.unsaved.len() < limit
    }

    /// The marks in force: those of the directory before those `held` in memory.
    pub(super) fn table(&mut self, now: UnixTime, held: &Held) -> MarkTable {
        self.unsaved.retain(|_, (_, mark)| !mark.is_expired(now));
        let unsaved = self.unsaved.values().map(|(_, mark)| mark);
        let all = held.values().chain(self.disk.values()).chain(unsaved);
        all.filter(|mark| !mark.is_expired(now)).map(Arc::clone).collect()
    }

    fn forget_unsaved(&mut self, sequence: Sequence, key: &MarkKey) {
        if self.unsaved.get(key).is_some_and(|(asked, _)| *asked <= sequence) {
            self.unsaved.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: &str, reason: &str) -> Arc<Mark> {
        let key = name.parse().unwrap();
        Arc::new(Mark { key, reason: reason.into(), expiration: None, creation: None })
    }

    fn marks(marks: &[&Arc<Mark>]) -> HashMap<MarkKey, Arc<Mark>> {
        marks.iter().map(|mark| (mark.key.clone(), Arc::clone(mark))).collect()
    }

    fn reason(ledger: &mut Ledger, name: &str) -> Option<String> {
        let table = ledger.table(UnixTime::now(), &Held::new());
        table.get(&name.parse().unwrap()).map(|mark| mark.reason.clone())
    }

    #[test]
    fn a_wanted_mark_holds_before_and_without_the_disk() {
        let mut ledger = Ledger::default();
        let (old, new) = (mark("svc", "old"), mark("svc", "new"));
        ledger.read(marks(&[&old]));
        let sequence = ledger.next();
        ledger.wanted(sequence, &new);
        assert_eq!(reason(&mut ledger, "svc").as_deref(), Some("new"));
        ledger.read(marks(&[&old]));
        assert_eq!(reason(&mut ledger, "svc").as_deref(), Some("new"));
        assert_eq!(ledger.unsaved().count(), 1);
        ledger.written(sequence, new);
        assert_eq!(ledger.unsaved().count(), 0);
        assert_eq!(reason(&mut ledger, "svc").as_deref(), Some("new"));
    }

    #[test]
    fn a_removal_takes_with_it_what_came_before_and_not_what_came_after() {
        let mut ledger = Ledger::default();
        let (first, second, third) = (ledger.next(), ledger.next(), ledger.next());
        ledger.wanted(first, &mark("svc", "before"));
        ledger.removed(second, &"svc".parse().unwrap());
        assert_eq!(reason(&mut ledger, "svc"), None);
        ledger.wanted(third, &mark("svc", "after"));
        ledger.removed(second, &"svc".parse().unwrap());
        assert_eq!(reason(&mut ledger, "svc").as_deref(), Some("after"));
    }

    #[test]
    fn an_older_write_does_not_hide_a_newer_wish() {
        let mut ledger = Ledger::default();
        let (first, second) = (ledger.next(), ledger.next());
        ledger.wanted(second, &mark("svc", "newer"));
        ledger.written(first, mark("svc", "older"));
        assert_eq!(reason(&mut ledger, "svc").as_deref(), Some("newer"));
    }

    #[test]
    fn the_number_of_marks_is_bounded_but_known_marks_can_be_renewed() {
        let mut ledger = Ledger::default();
        ledger.read(marks(&[&mark("a", ""), &mark("b", "")]));
        assert!(ledger.has_room(&"a".parse().unwrap(), 2));
        assert!(!ledger.has_room(&"c".parse().unwrap(), 2));
        assert!(ledger.has_room(&"c".parse().unwrap(), 3));
    }
}
