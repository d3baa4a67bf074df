//! Marks that this process holds in memory: never on disk, gone when it ends.
//!
//! The agent holds down what Docker has told to stop, so that hacheck answers 503 before the process
//! is dead; a file would outlive the task and hit the next one on its port (hacheck.md §16.19).

use std::{collections::BTreeMap, sync::Arc};

use super::{Mark, MarkKey, UnixTime};

/// What is held down, by key. Equal when nothing changed.
pub(super) type Held = BTreeMap<MarkKey, Arc<Mark>>;

/// The marks for `reasons`; one that was there before with the same reason keeps its creation.
pub(super) fn renewed(before: &Held, reasons: BTreeMap<MarkKey, String>, now: UnixTime) -> Held {
    let mark = |(key, reason): (MarkKey, String)| {
        let kept = before.get(&key).filter(|mark| mark.reason == reason);
        let mark = kept.map_or_else(
            || {
                let key = key.clone();
                Arc::new(Mark { key, reason, expiration: None, creation: Some(now) })
            },
            Arc::clone,
        );
        (key, mark)
    };
    reasons.into_iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_held_keeps_its_creation_and_what_is_let_go_is_gone() {
        let at = |seconds: f64| UnixTime::new(seconds).unwrap();
        let reasons = |names: &[(&str, &str)]| -> BTreeMap<MarkKey, String> {
            names.iter().map(|(k, r)| (k.parse().unwrap(), (*r).to_owned())).collect()
        };
        let first = renewed(&Held::new(), reasons(&[("a:1", "x"), ("b:2", "x")]), at(1.0));
        let second = renewed(&first, reasons(&[("a:1", "x"), ("c:3", "x")]), at(2.0));
        let creations: Vec<_> = second.values().map(|m| m.creation.unwrap().seconds()).collect();
        assert_eq!(creations, [1.0, 2.0]);
        assert_eq!(second, renewed(&second, reasons(&[("a:1", "x"), ("c:3", "x")]), at(3.0)));
    }
}
