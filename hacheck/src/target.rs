//! Which host and port a request means: the path's port, unless HAProxy or nerve say otherwise in a
//! header (hacheck.md §5).

use std::net::IpAddr;

use crate::names::{Host, LocalAddresses};

/// Where one instance listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host it runs on.
    pub host: Host,
    /// Its port there.
    pub port: u16,
}

/// Why the target of a request is not checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedTarget {
    /// HAProxy's header names a port that is none.
    #[error("`{0}` in x-haproxy-server-state is not a port")]
    Port(String),
    /// A header names a host that is not to be reached through here (hacheck.md §16.14).
    #[error(
        "`{0}` is neither an address of this host or of one of its containers nor in an allowed \
         network, so it is not checked from here"
    )]
    Host(String),
}

/// What HAProxy says about the server it is about to check (`http-check send-state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ServerState<'a> {
    address: Option<&'a str>,
    port: Option<&'a str>,
}

impl<'a> ServerState<'a> {
    /// Pieces divided by `;`, of which those with exactly one `=` count; of duplicates the last.
    fn parse(header: &'a str) -> Self {
        let mut state = Self::default();
        for piece in header.split(';') {
            match piece.trim().split_once('=') {
                Some((_, value)) if value.contains('=') => {}
                Some(("address", value)) => state.address = Some(value),
                Some(("port", value)) => state.port = Some(value),
                _ => {}
            }
        }
        state
    }
}

/// The target of a request for `port` with the values of its headers `X-Haproxy-Server-State` and
/// `X-Nerve-Check-IP`.
///
/// # Errors
/// The header's port is no port, or its host is neither this one nor at an `allowed` address.
pub fn target(
    port: u16,
    server_state: Option<&str>,
    check_ip: Option<&str>,
    local: &LocalAddresses,
    allowed: impl Fn(IpAddr) -> bool,
) -> Result<Target, RefusedTarget> {
    let state = server_state.map(ServerState::parse).unwrap_or_default();
    let present = |text: &&str| !text.is_empty();
    let port = match state.port.filter(present) {
        Some(text) => parse_port(text).ok_or_else(|| RefusedTarget::Port(shown(text)))?,
        None => port,
    };
    let host = match state.address.filter(present).or(check_ip.filter(present)) {
        None => Host::Local,
        Some(text) => match local.host(text) {
            Some(Host::Local) => Host::Local,
            Some(Host::Other(address)) if allowed(address) => Host::Other(address),
            _ => return Err(RefusedTarget::Host(shown(text))),
        },
    };
    Ok(Target { host, port })
}

/// Digits only; leading zeros are allowed (hacheck.md §3).
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A foreign text as an answer may show it.
fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &str = "UP 1/3; address=192.0.2.2; port=31000; name=svc.main/srv1_192.0.2.2:31000; \
                        node=host1; weight=1/11; scur=0/0; qcur=0";

    fn parse(server_state: Option<&str>, check_ip: Option<&str>) -> Result<Target, RefusedTarget> {
        let local = LocalAddresses::new(["192.0.2.2".parse().unwrap()], None);
        let allowed: crate::network::Network = "10.4.0.0/16".parse().unwrap();
        target(80, server_state, check_ip, &local, |address| allowed.contains(address))
    }

    #[test]
    fn the_headers_of_haproxy_and_nerve_name_the_target() {
        let other = |text: &str| Host::Other(text.parse().unwrap());
        let cases = [
            (None, None, Host::Local, 80),
            (Some(REAL), None, Host::Local, 31000),
            (Some("UP; port=31000"), Some("10.4.0.9"), other("10.4.0.9"), 31000),
            (Some("address=10.4.0.8"), Some("10.4.0.9"), other("10.4.0.8"), 80),
            (Some("address=; port="), Some(""), Host::Local, 80),
            (Some("port=1;port=2"), None, Host::Local, 2),
            (Some("port=1=2; no check"), None, Host::Local, 80),
            (None, Some("192.0.2.2"), Host::Local, 80),
            (None, Some("localhost"), Host::Local, 80),
        ];
        for (server_state, check_ip, host, port) in cases {
            let expected = Ok(Target { host, port });
            assert_eq!(parse(server_state, check_ip), expected, "{server_state:?} {check_ip:?}");
        }
    }

    #[test]
    fn foreign_hosts_and_odd_ports_are_refused() {
        for text in ["203.0.113.9", "127.0.0.2", "0.0.0.0", "example.com", "169.254.169.254", "x\n"]
        {
            assert!(matches!(parse(None, Some(text)), Err(RefusedTarget::Host(_))), "{text}");
        }
        for text in ["port=x", "port=70000", "port=-1", "port=+1", "port=1 2"] {
            assert!(matches!(parse(Some(text), None), Err(RefusedTarget::Port(_))), "{text}");
        }
        let text = parse(None, Some("a\nb")).unwrap_err().to_string();
        assert!(text.starts_with("`a\\nb` is neither"), "{text}");
    }

    /// Files in `__fuzz__` are tried first; found crashes are kept there.
    #[test]
    fn fuzz_server_state() {
        let allowed: crate::network::Network = "10.4.0.0/16".parse().unwrap();
        bolero::check!().with_iterations(20_000).for_each(|header: &[u8]| {
            let Ok(header) = hyper::header::HeaderValue::from_bytes(header) else { return };
            let text = String::from_utf8_lossy(header.as_bytes());
            if let Ok(Target { host: Host::Other(address), .. }) = parse(Some(&text), None) {
                assert!(allowed.contains(address), "{text}");
            }
        });
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(state in "\\PC*", check_ip in "\\PC*") {
            let _ = parse(Some(&state), Some(&check_ip));
        }

        #[test]
        fn a_written_header_reads_back(
            address: std::net::Ipv4Addr,
            port: u16,
            before in "[A-Za-z /0-9]{0,9}",
            after in "[a-z]{1,4}=[a-z]{1,9}",
        ) {
            prop_assume!(!after.starts_with("port=") && !after.starts_with("address="));
            let header = format!("{before}; address={address}; port={port};{after}");
            let state = ServerState::parse(&header);
            let (address, port) = (address.to_string(), port.to_string());
            let expected = ServerState { address: Some(&address), port: Some(&port) };
            prop_assert_eq!(state, expected);
        }
    }
}
