//! Which ports HAProxy holds, and which another process holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::{IpAddr, TcpListener},
};

use tokio::time::Instant;
use tracing::warn;

use super::AFTER_FAILURE;

#[derive(Debug)]
pub(super) struct Ports {
    address: IpAddr,
    /// Of the running HAProxy; `None`: its configuration is not known, so it may hold any.
    held: Option<BTreeSet<u16>>,
    /// Ports on which another process was found to listen, and when.
    taken: BTreeMap<u16, Instant>,
}

impl Ports {
    pub(super) fn new(address: IpAddr) -> Self {
        Self { address, held: None, taken: BTreeMap::new() }
    }

    /// Another worker runs, and these are its ports.
    pub(super) fn are_held(&mut self, held: Option<BTreeSet<u16>>) {
        self.held = held;
    }

    pub(super) fn is_held(&self, port: u16) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(&port))
    }

    pub(super) fn taken(&self) -> BTreeSet<u16> {
        self.taken.keys().copied().collect()
    }

    /// After HAProxy could not start: which of `wanted` does it not hold yet and are not free?
    pub(super) fn look(&mut self, wanted: &BTreeSet<u16>) {
        let Some(held) = &self.held else { return };
        for port in wanted.difference(held) {
            if is_taken(self.address, *port) {
                warn!(port, "another process listens there");
                self.taken.insert(*port, Instant::now());
            }
        }
    }

    /// Looks once a minute whether a port that was taken has become free.
    pub(super) fn look_again(&mut self) {
        let address = self.address;
        self.taken.retain(|port, found| {
            if found.elapsed() < AFTER_FAILURE {
                return true;
            }
            *found = Instant::now();
            is_taken(address, *port)
        });
    }
}

fn is_taken(address: IpAddr, port: u16) -> bool {
    let listen = TcpListener::bind((address, port));
    listen.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_looked_at_only_when_it_is_known_not_to_be_haproxys_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut ports = Ports::new([127, 0, 0, 1].into());
        for (held, taken) in [
            (None, BTreeSet::new()),
            (Some([port].into()), BTreeSet::new()),
            (Some(BTreeSet::new()), [port].into()),
        ] {
            ports.are_held(held);
            ports.look(&[port].into());
            assert_eq!(ports.taken(), taken);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_has_become_free_is_given_back_after_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut ports = Ports::new([127, 0, 0, 1].into());
        ports.are_held(Some(BTreeSet::new()));
        ports.look(&[port].into());
        tokio::time::advance(AFTER_FAILURE).await;
        ports.look_again();
        assert_eq!(ports.taken(), [port].into(), "still taken");
        drop(listener);
        ports.look_again();
        assert_eq!(ports.taken(), [port].into(), "not looked at yet");
        tokio::time::advance(AFTER_FAILURE).await;
        ports.look_again();
        assert_eq!(ports.taken(), BTreeSet::new());
    }
}
