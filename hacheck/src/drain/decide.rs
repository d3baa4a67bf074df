//! Which servers of HAProxy are the target, and which of them may still be sent to. No clock, no
//! network.

use std::net::SocketAddr;

use super::{Target, statistics::Server};
use crate::names::{Host, LocalAddresses};

/// The servers that stand for the target. On another host the same port is another instance; a
/// server whose address nobody knows may be ours and counts.
pub(super) fn meant(servers: Vec<Server>, target: &Target, local: &LocalAddresses) -> Vec<Server> {
    servers.into_iter().filter(|server| is_meant(server, target, local)).collect()
}

fn is_meant(server: &Server, target: &Target, local: &LocalAddresses) -> bool {
    if !(target.service.is_all() || is_backend_of(&server.backend, target.service.as_str())) {
        return false;
    }
    match address(server) {
        Some(address) => {
            let here = local.host(&address.ip().to_string()) == Some(Host::Local);
            here && target.port.is_none_or(|port| port == address.port())
        }
        None => target.port.is_none_or(|port| {
            let last = server.address.as_ref().unwrap_or(&server.name);
            let named = last.rsplit_once(':').and_then(|(_, number)| number.parse::<u16>().ok());
            named.is_none_or(|number| number == port)
        }),
    }
}

/// The backend of a service, or one of the wider places that it falls back to (synapse.md §8.3).
fn is_backend_of(backend: &str, service: &str) -> bool {
    let rest = backend.strip_prefix(service);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Where a server is: by its address, else by its name, which ends in `_ADDRESS:PORT`.
fn address(server: &Server) -> Option<SocketAddr> {
    let stated = server.address.as_ref().and_then(|address| address.parse().ok());
    stated.or_else(|| {
        let (_, place) = server.name.rsplit_once('_')?;
        let (host, port) = place.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
    })
}

/// What a server is still good for; `None` if nothing is sent to it and nothing is under way.
pub(super) fn business(server: &Server) -> Option<String> {
    let Server { backend, name, status, sessions, queued, .. } = server;
    // NOLB serves only who was there before; a word that is not known may mean anything.
    let word = status.split(' ').next().unwrap_or_default();
    let eligible = !matches!(word, "DOWN" | "MAINT" | "DRAIN" | "NOLB");
    if !eligible && *sessions == 0 && *queued == 0 {
        return None;
    }
    let mut text = format!("{backend}/{name} is {status}");
    for (number, what) in [(sessions, "sessions"), (queued, "queued")] {
        if *number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(backend: &str, name: &str, address: &str) -> Server {
        let address = Some(address.to_owned()).filter(|address| !address.is_empty());
        Server { backend: backend.into(), name: name.into(), address, ..Server::default() }
    }

    #[test]
    fn the_servers_of_this_host_are_found_by_address_or_name() {
        let local = LocalAddresses::new(["10.0.0.7".parse().unwrap()], None);
        let cases = [
            ("web.main:80", "web.main", "a_10.0.0.7:80", "", true),
            ("web.main:80", "web.main", "a_10.0.0.7:81", "", false),
            ("web.main:80", "web.main", "a_10.0.0.8:80", "", false),
            ("web.main:80", "web.main.superregion", "a_10.0.0.7:80", "", true),
            ("web.main:80", "web.main2", "a_10.0.0.7:80", "", false),
            ("web.main:80", "other.main", "a_10.0.0.7:80", "", false),
            ("web.main", "web.main", "a_10.0.0.7:81", "", true),
            ("web.main", "web.main", "a_10.0.0.8:81", "", false),
            ("all", "other.main", "a_10.0.0.7:81", "", true),
            ("all", "other.main", "a_10.0.0.8:81", "", false),
            ("web.main:80", "web.main", "srv1", "10.0.0.7:80", true),
            ("web.main:80", "web.main", "srv1", "127.0.0.1:80", true),
            ("web.main:80", "web.main", "srv1", "10.0.0.8:80", false),
            ("web.main:80", "web.main", "a_10.0.0.8:80", "10.0.0.7:80", true),
            ("web.main:80", "web.main", "host_[fd00::7]:80", "", false),
            ("web.main:80", "web.main", "host_[::1]:80", "", true),
            ("web.main:80", "web.main", "srv1", "", true),
            ("web.main:80", "web.main", "host7:80", "", true),
            ("web.main:80", "web.main", "host7:81", "", false),
        ];
        for (target, backend, name, address, expected) in cases {
            let server = server(backend, name, address);
            let target: Target = target.parse().unwrap();
            assert_eq!(is_meant(&server, &target, &local), expected, "{target} {server:?}");
        }
    }

    #[test]
    fn only_a_server_that_gets_nothing_and_does_nothing_is_out() {
        let cases = [
            ("UP", 0, 0, false),
            ("UP 1/3", 0, 0, false),
            ("no check", 0, 0, false),
            ("", 0, 0, false),
            ("STRANGE", 0, 0, false),
            ("DOWN", 0, 0, true),
            ("DOWN 1/2", 0, 0, true),
            ("DOWN (agent)", 0, 0, true),
            ("MAINT", 0, 0, true),
            ("MAINT (via web/a)", 0, 0, true),
            ("DRAIN", 0, 0, true),
            ("NOLB", 0, 0, true),
            ("DRAIN", 1, 0, false),
            ("DOWN", 0, 1, false),
        ];
        for (status, sessions, queued, out) in cases {
            let server = Server { status: status.into(), sessions, queued, ..Server::default() };
            assert_eq!(business(&server).is_none(), out, "{server:?}");
        }
        let busy = Server { status: "UP".into(), sessions: 3, ..server("web.main", "a", "") };
        assert_eq!(business(&busy).unwrap(), "web.main/a is UP, 3 sessions");
    }
}
