//! Which tasks the HAProxy of their host sends to, from its statistics (marathon-sync.md §12).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use hacheck::drain::statistics::{self, Unreadable};

/// The servers of one namespace that are up in one HAProxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered(BTreeSet<(IpAddr, u16)>);

impl Registered {
    /// Reads HAProxy's statistics as CSV, for all namespaces. A name of a server that holds no address is
    /// none of SmartStack's.
    ///
    /// # Errors
    /// When it is no such text, so that nobody takes it for "no servers".
    pub fn all(csv: &str) -> Result<BTreeMap<String, Self>, Unreadable> {
        let mut all = BTreeMap::<String, Self>::new();
        for server in statistics::servers(csv)? {
            if !server.status.starts_with("UP") {
                continue;
            }
            let name = ServerName::parse(&server.name);
            let address = name.and_then(|name| Some((name.ip.parse().ok()?, name.port)));
            all.entry(server.backend.clone()).or_default().0.extend(address);
        }
        Ok(all)
    }

    /// Whether a task with one of these ports is among them, on a host with these addresses: which of them it
    /// is registered under is for whoever registers it.
    #[must_use]
    pub fn has(&self, ips: &[IpAddr], ports: &[u16]) -> bool {
        ips.iter().any(|ip| ports.iter().any(|port| self.0.contains(&(*ip, *port))))
    }
}

/// The name of a server in HAProxy: `host_ip:port`, or in old fleets `ip:port_host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    pub ip: String,
    pub port: u16,
    pub host: String,
}

impl ServerName {
    /// `None`: not exactly one of the parts is an address, or there is no other.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('_').collect();
        let is_address = |part: &&&str| part.split(':').count() == 2;
        let address = parts.iter().find(is_address)?;
        let host: Vec<&str> = parts.iter().filter(|part| !is_address(part)).copied().collect();
        if host.is_empty() || host.len() + 1 != parts.len() {
            return None;
        }
        let (ip, port) = address.split_once(':')?;
        Some(Self { ip: ip.to_owned(), port: port.parse().ok()?, host: host.join("_") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_exactly_one_address_are_none_of_smartstacks() {
        let name = ServerName::parse("my_host_10.0.0.1:80").unwrap();
        assert_eq!((name.host.as_str(), name.ip.as_str(), name.port), ("my_host", "10.0.0.1", 80));
        for other in ["", "host", "10.0.0.1:80", "a:1_b:2", "host_10.0.0.1:http", "h_::1:80"] {
            assert_eq!(ServerName::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_host_is_known_by_any_of_its_addresses() {
        let csv = "# pxname,svname,qcur,scur,status\nweb.main,h_10.0.0.1:80,0,0,UP\nweb.main,h_10.0.0.1:81,0,0,DOWN\n";
        let all = Registered::all(csv).unwrap();
        let has = |ips: &[&str], port| {
            let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
            all["web.main"].has(&ips, &[port])
        };
        assert!(has(&["fd00::1", "10.0.0.1"], 80));
        assert!(!has(&["fd00::1"], 80) && !has(&["10.0.0.1"], 81));
    }

    #[test]
    fn a_page_that_is_no_statistics_is_an_error() {
        assert!(Registered::all("<html></html>").is_err());
        let empty = Registered::all("# pxname,svname,qcur,scur,status\n").unwrap();
        assert!(empty.is_empty());
    }
}
