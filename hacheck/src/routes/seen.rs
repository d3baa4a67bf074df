//! Who asked for what, for `/recent` and `/status/count` (hacheck.md §11).

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    net::IpAddr,
};

use parking_lot::Mutex;
use serde::Serialize;

use crate::{marks::UnixTime, names::ServiceName, server::Peer};

/// More names than any host runs; someone is guessing.
const MAX_SERVICES: usize = 10_000;
/// Counters of all services together; hosts beyond count as one, `other`.
const MAX_COUNTERS: usize = 100_000;

/// Bounded memory of services asked about.
#[derive(Debug, Default)]
pub(super) struct Seen {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    services: HashMap<ServiceName, Service>,
    counters: usize,
}

#[derive(Debug)]
struct Service {
    asked: UnixTime,
    last: Option<Last>,
    counts: HashMap<Asker, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Peer(Peer),
    Other,
}

/// One number, where the derived form would feed the hasher piece by piece: every request pays for it.
impl Hash for Asker {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Self::Peer(Peer::Ip(IpAddr::V4(address))) => hasher.write_u32(address.to_bits()),
            Self::Peer(Peer::Ip(IpAddr::V6(address))) => hasher.write_u128(address.to_bits()),
            Self::Peer(Peer::Unix) => hasher.write_u8(0),
            Self::Other => hasher.write_u8(1),
        }
    }
}

/// The last answer about a service.
#[derive(Clone, Copy, Debug)]
struct Last {
    code: u16,
    peer: Peer,
    time: UnixTime,
}

/// `/recent`
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Recent {
    seen_services: Vec<(String, Option<RecentAnswer>)>,
    threshold_seconds: i64,
}

#[derive(Debug, PartialEq, Serialize)]
struct RecentAnswer {
    code: u16,
    remote_ip: String,
    ts: f64,
}

/// `/status/count`
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Counts {
    service_access_counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Seen {
    /// `peer` asks about `service`.
    pub(super) fn ask(&self, service: &str, peer: Peer, now: UnixTime) {
        self.state.lock().note(service, peer, now, None);
    }

    /// `peer` has been told `code` about `service`.
    pub(super) fn answer(&self, service: &str, peer: Peer, code: u16, now: UnixTime) {
        if let Some(seen) = self.state.lock().services.get_mut(service) {
            seen.last = Some(Last { code, peer, time: now });
        }
    }

    /// `peer` has asked about `service` and has been told `code` at once.
    pub(super) fn note(&self, service: &str, peer: Peer, code: u16, now: UnixTime) {
        self.state.lock().note(service, peer, now, Some(code));
    }

    /// Services asked about within the last `threshold` seconds, by name.
    pub(super) fn recent(&self, threshold: i64, now: UnixTime) -> Recent {
        // Exact up to hundreds of millions of years.
        #[allow(clippy::cast_precision_loss)]
        let since = now.seconds() - threshold as f64;
        let state = self.state.lock();
        let recent = state.services.iter().filter(|(_, seen)| seen.asked.seconds() >= since);
        let mut recent: Vec<_> =
            recent.map(|(service, seen)| (service.clone(), seen.last)).collect();
        // Every request notes something here; what can wait is done without keeping them out.
        drop(state);
        recent.sort_by(|a, b| a.0.cmp(&b.0));
        let seen_services = recent
            .into_iter()
            .map(|(service, last)| (service.to_string(), last.map(RecentAnswer::from)))
            .collect();
        Recent { seen_services, threshold_seconds: threshold }
    }

    /// How often each peer has asked about each service since the start.
    pub(super) fn counts(&self) -> Counts {
        let state = self.state.lock();
        let services = state.services.iter();
        let counted: Vec<(_, Vec<_>)> = services
            .map(|(service, seen)| {
                let counts = seen.counts.iter().map(|(asker, count)| (*asker, *count));
                (service.clone(), counts.collect())
            })
            .collect();
        drop(state);
        let by_peer = |counts: Vec<(Asker, u64)>| {
            counts.into_iter().map(|(asker, count)| (asker.to_string(), count)).collect()
        };
        let service_access_counts = counted
            .into_iter()
            .map(|(service, counts)| (service.to_string(), by_peer(counts)))
            .collect();
        Counts { service_access_counts }
    }
}

impl Service {
    fn note(&mut self, peer: Peer, now: UnixTime, last: Option<Last>, counters: &mut usize) {
        self.asked = now;
        self.last = last.or(self.last);
        if let Some(count) = self.counts.get_mut(&Asker::Peer(peer)) {
            *count += 1;
            return;
        }
        let asker = if *counters >= MAX_COUNTERS {
            Asker::Other
        } else {
            *counters += 1;
            Asker::Peer(peer)
        };
        *self.counts.entry(asker).or_default() += 1;
    }
}

impl State {
    fn note(&mut self, service: &str, peer: Peer, now: UnixTime, code: Option<u16>) {
        let last = code.map(|code| Last { code, peer, time: now });
        if let Some(seen) = self.services.get_mut(service) {
            seen.note(peer, now, last, &mut self.counters);
            return;
        }
        // Paths have made sure that it is a name.
        let Ok(name) = service.parse() else { return };
        self.make_room();
        let mut seen = Service { asked: now, last: None, counts: HashMap::new() };
        seen.note(peer, now, last, &mut self.counters);
        self.services.insert(name, seen);
    }

    /// Forgets the service that nobody has asked about for the longest time if there are too many.
    fn make_room(&mut self) {
        if self.services.len() < MAX_SERVICES {
            return;
        }
        let age = |seen: &Service| seen.asked.seconds();
        let oldest = self.services.iter().min_by(|(_, a), (_, b)| age(a).total_cmp(&age(b)));
        let Some(oldest) = oldest.map(|(service, _)| service.clone()) else { return };
        if let Some(forgotten) = self.services.remove(&oldest) {
            let peers = forgotten.counts.keys().filter(|asker| **asker != Asker::Other);
            self.counters -= peers.count();
        }
    }
}

impl std::fmt::Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Other => f.write_str("other"),
        }
    }
}

impl From<Last> for RecentAnswer {
    fn from(last: Last) -> Self {
        let (remote_ip, ts) = (last.peer.to_string(), last.time.seconds());
        Self { code: last.code, remote_ip, ts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::Ip(text.parse().unwrap())
    }

    fn at(seconds: f64) -> UnixTime {
        UnixTime::new(seconds).unwrap()
    }

    fn service(name: &str) -> ServiceName {
        name.parse().unwrap()
    }

    #[test]
    fn the_documents_have_the_form_that_halist_reads() {
        let seen = Seen::default();
        seen.ask("b.main", peer("127.0.0.1"), at(1000.5));
        seen.answer("b.main", peer("127.0.0.1"), 599, at(1001.25));
        seen.ask("a.main", peer("10.0.0.9"), at(1000.0));
        seen.ask("a.main", peer("10.0.0.9"), at(1000.0));
        seen.ask("a.main", Peer::Unix, at(1000.0));
        seen.ask("old.main", peer("10.0.0.9"), at(300.0));
        let recent = serde_json::to_string(&seen.recent(600, at(1002.0))).unwrap();
        let expected = r#"{"seen_services":[["a.main",null],["b.main",{"code":599,"remote_ip":"127.0.0.1","ts":1001.25}]],"threshold_seconds":600}"#;
        assert_eq!(recent, expected);
        let counts = serde_json::to_string(&seen.counts()).unwrap();
        let expected = r#"{"service_access_counts":{"a.main":{"10.0.0.9":2,"unix":1},"b.main":{"127.0.0.1":1},"old.main":{"10.0.0.9":1}}}"#;
        assert_eq!(counts, expected);
    }

    #[test]
    fn invented_names_push_out_old_ones_and_memory_stays_bounded() {
        let seen = Seen::default();
        for number in 0..MAX_SERVICES + 10 {
            let now = at(1000.0 + f64::from(u32::try_from(number).unwrap()));
            seen.ask(&format!("svc{number}"), peer("10.0.0.9"), now);
        }
        let state = seen.state.lock();
        assert_eq!((state.services.len(), state.counters), (MAX_SERVICES, MAX_SERVICES));
        assert!(!state.services.contains_key(&service("svc9")));
        assert!(state.services.contains_key(&service("svc10")));
    }

    #[test]
    fn peers_beyond_the_limit_are_counted_together() {
        let seen = Seen::default();
        seen.state.lock().counters = MAX_COUNTERS - 1;
        for last in [1, 2, 3, 1] {
            seen.ask("svc", peer(&format!("10.0.0.{last}")), at(7.0));
        }
        let counts = serde_json::to_string(&seen.counts()).unwrap();
        assert_eq!(counts, r#"{"service_access_counts":{"svc":{"10.0.0.1":2,"other":2}}}"#);
    }
}
