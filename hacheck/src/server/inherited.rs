//! Listening sockets that this process was started with (systemd's socket activation).
//!
//! A socket that systemd holds stays open while the program behind it is restarted: connections wait
//! in the kernel instead of being refused.

use std::net::{IpAddr, SocketAddr, TcpListener};

use listenfd::ListenFd;
use tracing::warn;

use super::{ListenError, bind};

/// Sockets handed over at the start and not taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Inherited {
    /// Takes what `LISTEN_FDS` announces to this process, and the announcement with it. To be called
    /// first of all, before there are other threads that may look at the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut announced = ListenFd::from_env();
        let mut listeners = Vec::new();
        for number in 0..announced.len() {
            let taken = announced.take_tcp_listener(number).and_then(|listener| {
                let Some(listener) = listener else { return Ok(None) };
                listener.set_nonblocking(true)?;
                Ok(Some((listener.local_addr()?, listener)))
            });
            match taken {
                Ok(listener) => listeners.extend(listener),
                Err(error) => {
                    warn!(number, %error, "a socket handed over at the start is of no use")
                }
            }
        }
        Self { listeners }
    }

    /// Listens on `address`: on the socket handed over for it, else on a new one.
    ///
    /// # Errors
    /// None was handed over, and somebody else listens there.
    pub fn listen(&mut self, address: SocketAddr) -> Result<TcpListener, ListenError> {
        let found = self.listeners.iter().position(|(own, _)| covers(*own, address));
        match found {
            Some(number) => Ok(self.listeners.swap_remove(number).1),
            None => bind(address),
        }
    }

    /// The addresses that were handed over and are not taken.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }
}

/// Whether a socket on `own` serves everyone who connects to `wanted`. systemd makes of a bare port
/// number the IPv6 address `::`, which takes IPv4 too.
fn covers(own: SocketAddr, wanted: SocketAddr) -> bool {
    let everywhere = |address: IpAddr| address.is_unspecified();
    let same = own.ip().to_canonical() == wanted.ip().to_canonical();
    let wider = own.is_ipv6() && everywhere(own.ip()) && everywhere(wanted.ip());
    own.port() == wanted.port() && (same || wider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_socket_is_matched_by_its_address() {
        let cases = [
            ("0.0.0.0:6666", "0.0.0.0:6666", true),
            ("[::]:6666", "0.0.0.0:6666", true),
            ("[::]:6666", "[::]:6666", true),
            ("[::ffff:127.0.0.1]:6666", "127.0.0.1:6666", true),
            ("0.0.0.0:6666", "[::]:6666", false),
            ("0.0.0.0:6666", "0.0.0.0:6667", false),
            ("127.0.0.1:6666", "0.0.0.0:6666", false),
            ("0.0.0.0:6666", "127.0.0.1:6666", false),
            ("[::]:6666", "127.0.0.1:6666", false),
        ];
        for (own, wanted, expected) in cases {
            assert_eq!(covers(address(own), address(wanted)), expected, "{own} {wanted}");
        }
    }

    #[test]
    fn a_socket_that_was_handed_over_is_taken_once_and_others_are_made() {
        let given = bind(address("127.0.0.1:0")).unwrap();
        let own = given.local_addr().unwrap();
        let mut inherited = Inherited { listeners: vec![(own, given)] };
        assert_eq!(inherited.addresses(), [own]);
        let other = inherited.listen(address("127.0.0.1:0")).unwrap();
        assert_ne!(other.local_addr().unwrap(), own);
        let taken = inherited.listen(own).unwrap();
        assert_eq!(taken.local_addr().unwrap(), own);
        let error = inherited.listen(own).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {own}"));
    }
}
