//! All marks at one moment.

use std::{collections::HashMap, sync::Arc};

use super::{Mark, MarkKey, UnixTime};
use crate::names::{Host, ServiceName};

/// An immutable snapshot of the marks in force.
///
/// Laid out for the question that every request asks: it is answered from the text of the request,
/// without a copy of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarkTable {
    all: Option<Arc<Mark>>,
    services: HashMap<ServiceName, OfService>,
    length: usize,
}

/// The marks that name one service.
#[derive(Clone, Debug, Default, PartialEq)]
struct OfService {
    whole: Option<Arc<Mark>>,
    instances: HashMap<(Host, u16), Arc<Mark>>,
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
        service: &str,
        port: u16,
        host: Host,
        now: UnixTime,
    ) -> Option<&Arc<Mark>> {
        if self.length == 0 {
            return None;
        }
        let of_service = self.services.get(service);
        let whole = of_service.and_then(|marks| marks.whole.as_ref());
        let instance = of_service.and_then(|marks| marks.instances.get(&(host, port)));
        let widest_first = self.all.iter().chain(whole).chain(instance);
        widest_first.into_iter().find(|mark| !mark.is_expired(now))
    }

    /// The mark of exactly this key, also if it has expired since the snapshot was made.
    #[must_use]
    pub fn get(&self, key: &MarkKey) -> Option<&Arc<Mark>> {
        match key {
            MarkKey::All => self.all.as_ref(),
            MarkKey::Service(service) => self.services.get(service)?.whole.as_ref(),
            MarkKey::Instance(service, host, port) => {
                self.services.get(service)?.instances.get(&(*host, *port))
            }
        }
    }

    /// All marks, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mark>> {
        let services = self.services.values();
        let of_services =
            services.flat_map(|marks| marks.whole.iter().chain(marks.instances.values()));
        self.all.iter().chain(of_services)
    }

    /// How many marks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is held down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// When the next mark expires.
    pub(super) fn next_expiration(&self) -> Option<UnixTime> {
        let times = self.iter().filter_map(|mark| mark.expiration);
        times.min_by(|a, b| a.seconds().total_cmp(&b.seconds()))
    }

    /// Puts a mark in, over the one of the same key.
    fn put(&mut self, mark: Arc<Mark>) {
        let before = match &mark.key {
            MarkKey::All => self.all.replace(mark),
            MarkKey::Service(service) => {
                self.services.entry(service.clone()).or_default().whole.replace(mark)
            }
            MarkKey::Instance(service, host, port) => {
                let instance = (*host, *port);
                let of_service = self.services.entry(service.clone()).or_default();
                of_service.instances.insert(instance, mark)
            }
        };
        self.length += usize::from(before.is_none());
    }
}

/// Of several marks of one key the last one counts.
impl FromIterator<Arc<Mark>> for MarkTable {
    fn from_iter<I: IntoIterator<Item = Arc<Mark>>>(marks: I) -> Self {
        let mut table = Self::default();
        marks.into_iter().for_each(|mark| table.put(mark));
        table
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
            let found = table.lookup(service.as_str(), port, host, UnixTime::new(100.0).unwrap());
            assert_eq!(found.map(|m| m.reason.as_str()), expected, "{marks:?} {instance}");
        }
    }

    #[test]
    fn every_mark_is_found_by_its_key_and_counted_once() {
        let names = ["all", "svc", "svc:80", "svc:10.0.0.9:80", "other:80"];
        let marks: Vec<_> = names.iter().chain(&names).map(|name| (*name, None)).collect();
        let table = table(&marks);
        assert_eq!((table.len(), table.is_empty()), (5, false));
        for name in names {
            let found = table.get(&name.parse().unwrap()).map(|mark| mark.reason.as_str());
            assert_eq!(found, Some(name));
        }
        let mut all: Vec<_> = table.iter().map(|mark| mark.reason.as_str()).collect();
        all.sort_unstable();
        assert_eq!(all, ["all", "other:80", "svc", "svc:10.0.0.9:80", "svc:80"]);
        assert_eq!(table.get(&"other".parse().unwrap()), None);
    }

    #[test]
    fn the_next_expiration_is_the_earliest() {
        assert_eq!(table(&[("a", None)]).next_expiration(), None);
        let table = table(&[("a", Some(7.0)), ("b", Some(5.0)), ("c", None)]);
        assert_eq!(table.next_expiration(), UnixTime::new(5.0));
    }
}
