//! How many connections each client has open.
//!
//! A client whose requests wait for hung services, or who never sends any, fills its own places only:
//! else PaaSTA would wait behind it for `/spool`, and kill tasks undrained.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tracing::warn;

use super::Peer;

/// Counts connections by the address that they come from.
#[derive(Clone, Debug)]
pub(super) struct Guests {
    limit: usize,
    open: Arc<Mutex<HashMap<IpAddr, Open>>>,
}

#[derive(Debug, Default)]
struct Open {
    connections: usize,
    /// Told once, until all its connections have ended.
    told: bool,
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    address: Option<IpAddr>,
}

impl Guests {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, open: Arc::default() }
    }

    /// Counts one more connection of `peer`, if it may have one more. Whoever may open our Unix
    /// socket may have all of them.
    pub(super) fn admit(&self, peer: Peer) -> Option<Guest> {
        let Peer::Ip(address) = peer else {
            return Some(Guest { guests: self.clone(), address: None });
        };
        let mut open = self.open.lock();
        let of_peer = open.entry(address).or_default();
        if of_peer.connections >= self.limit {
            if !std::mem::replace(&mut of_peer.told, true) {
                warn!(%peer, limit = self.limit, "a client has too many connections; more are closed");
            }
            return None;
        }
        of_peer.connections += 1;
        Some(Guest { guests: self.clone(), address: Some(address) })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut of_peer) = self.guests.open.lock().entry(address) {
            of_peer.get_mut().connections -= 1;
            if of_peer.get().connections == 0 {
                of_peer.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_too_many_connections_is_refused_until_one_ends_and_others_are_not() {
        let guests = Guests::new(2);
        let ip = |text: &str| Peer::Ip(text.parse().unwrap());
        let first = guests.admit(ip("10.0.0.1"));
        let second = guests.admit(ip("10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(guests.admit(ip("10.0.0.1")).is_none());
        assert!(guests.admit(ip("10.0.0.2")).is_some());
        let unix: Vec<_> = (0..5).map(|_| guests.admit(Peer::Unix)).collect();
        assert!(unix.iter().all(Option::is_some));
        drop(first);
        assert!(guests.admit(ip("10.0.0.1")).is_some());
        drop(second);
        assert!(guests.open.lock().is_empty(), "who has none is forgotten");
    }
}
