//! All marks at one moment.

use std::{collections::HashMap, sync::Arc};

use super::{Mark, MarkKey, UnixTime};
use crate::names::{Host, ServiceName};

/// An immutable snapshot of the marks in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarkTable {
    marks: HashMap<MarkKey, Arc<Mark>>,
}

impl MarkTable {
    /// The mark that holds an instance down, if any: on the host, the service or the instance, in
    /// this order (hacheck.md §9).
    ///
    /// `port` is the one the service is registered with, whatever port its health is checked on, so
    /// that a drain takes effect on both (hacheck.md §16.9).
    #[must_use]
    pub fn lookup(
        &self,
        service: &ServiceName,
        port: u16,
        host: Host,
        now: UnixTime,
    ) -> Option<&Arc<Mark>> {
        if self.marks.is_empty() {
            return None;
        }
        let instance = MarkKey::Instance(service.clone(), host, port);
        [MarkKey::All, MarkKey::Service(service.clone()), instance]
            .iter()
            .filter_map(|key| self.marks.get(key))
            .find(|mark| !mark.is_expired(now))
    }

    /// The mark of exactly this key, also if it has expired since the snapshot was made.
    #[must_use]
    pub fn get(&self, key: &MarkKey) -> Option<&Arc<Mark>> {
        self.marks.get(key)
    }

    /// All marks, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mark>> {
        self.marks.values()
    }

    /// How many marks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether nothing is held down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// When the next mark expires.
    pub(super) fn next_expiration(&self) -> Option<UnixTime> {
        let times = self.marks.values().filter_map(|mark| mark.expiration);
        times.min_by(|a, b| a.seconds().total_cmp(&b.seconds()))
    }
}

impl FromIterator<Arc<Mark>> for MarkTable {
    fn from_iter<I: IntoIterator<Item = Arc<Mark>>>(marks: I) -> Self {
        Self { marks: marks.into_iter().map(|mark| (mark.key.clone(), mark)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// File name and expiration.
    type Set<'a> = &'a [(&'a str, Option<f64>)];

    fn table(marks: Set<'_>) -> MarkTable {
        let marks = marks.iter().map(|(name, expiration)| {
            Arc::new(Mark {
                key: name.parse().unwrap(),
                reason: (*name).into(),
                expiration: expiration.and_then(UnixTime::new),
                creation: None,
            })
        });
        marks.collect()
    }

    #[test]
    fn the_widest_mark_that_has_not_expired_wins() {
        let past = Some(99.0);
        let everything = [("all", None), ("svc", None), ("svc:80", None)];
        let cases: [(Set<'_>, &str, Option<&str>); 14] = [
            (&[], "svc:80", None),
            (&everything, "svc:80", Some("all")),
            (&everything[1..], "svc:80", Some("svc")),
            (&everything[1..], "svc:10.0.0.9:80", Some("svc")),
            (&everything[2..], "svc:80", Some("svc:80")),
            (&everything[2..], "svc:81", None),
            (&everything[2..], "svc:10.0.0.9:80", None),
            (&everything[2..], "svc2:80", None),
            (&[("svc:10.0.0.9:80", None)], "svc:10.0.0.9:80", Some("svc:10.0.0.9:80")),
            (&[("svc:10.0.0.9:80", None)], "svc:80", None),
            (&[("all:80", None)], "svc:80", None),
            (&[("all:80", None)], "all:80", Some("all:80")),
            (&[("all", past), ("svc", past), ("svc:80", None)], "svc:80", Some("svc:80")),
            (&[("svc:80", past)], "svc:80", None),
        ];
        for (marks, instance, expected) in cases {
            let Ok(MarkKey::Instance(service, host, port)) = instance.parse() else {
                panic!("{instance} is no instance")
            };
            let table = table(marks);
            let found = table.lookup(&service, port, host, UnixTime::new(100.0).unwrap());
            assert_eq!(found.map(|m| m.reason.as_str()), expected, "{marks:?} {instance}");
        }
    }

    #[test]
    fn the_next_expiration_is_the_earliest() {
        assert_eq!(table(&[("a", None)]).next_expiration(), None);
        let table = table(&[("a", Some(7.0)), ("b", Some(5.0)), ("c", None)]);
        assert_eq!(table.next_expiration(), UnixTime::new(5.0));
    }
}
