//! Which addresses are this host.
//!
//! A mark for `SVC:PORT` must hold whatever address of the host a proxy names, so every address on an
//! interface counts, and what the host's own name resolves to (hacheck.md §16.1).

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Host;

/// Addresses come and go with containers and cables; nobody waits for them more than this.
const REREAD: Duration = Duration::from_secs(30);
/// How long the resolver may take; it often means a name server that does not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses of this host at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddresses {
    addresses: HashSet<IpAddr>,
    name: Option<String>,
}

impl LocalAddresses {
    /// `addresses`, 127.0.0.1 and ::1, and `name`, which the host calls itself.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>, name: Option<String>) -> Self {
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let addresses = addresses.into_iter().map(|address| address.to_canonical());
        Self { addresses: addresses.chain(loopback).collect(), name }
    }

    /// Whether `address` is this host.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }

    /// The host that `text` names: an address, or this host by name. `None` for other names, which
    /// would have to be resolved for whoever asks (hacheck.md §16.14, §16.16).
    #[must_use]
    pub fn host(&self, text: &str) -> Option<Host> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(if self.contains(address) { Host::Local } else { Host::Other(address) });
        }
        let mut own = self.name.as_deref().into_iter().chain(["localhost"]);
        own.any(|name| name.eq_ignore_ascii_case(text)).then_some(Host::Local)
    }
}

/// All of them, in an order that stays the same.
impl fmt::Display for LocalAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        addresses.sort();
        for (place, address) in addresses.into_iter().enumerate() {
            write!(f, "{}{address}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Keeps a snapshot of [`LocalAddresses`] up to date.
#[derive(Debug)]
pub struct LocalAddressesTask {
    current: watch::Sender<Arc<LocalAddresses>>,
    /// What is known without looking.
    told: Vec<IpAddr>,
    /// What each source said last, kept while it does not answer.
    interfaces: Vec<IpAddr>,
    resolved: Vec<IpAddr>,
}

impl LocalAddressesTask {
    /// Reads the addresses once. The receiver stays valid; [`Self::run`] feeds it.
    pub async fn start() -> (Self, watch::Receiver<Arc<LocalAddresses>>) {
        Self::start_with(Vec::new()).await
    }

    /// The same, with addresses that lead to this host though no interface has them: proxies name a
    /// server by the address in its record, which may be translated on the way here.
    pub async fn start_with(told: Vec<IpAddr>) -> (Self, watch::Receiver<Arc<LocalAddresses>>) {
        let (current, addresses) = watch::channel(Arc::new(LocalAddresses::new([], None)));
        let mut task = Self { current, told, interfaces: Vec::new(), resolved: Vec::new() };
        task.reread().await;
        (task, addresses)
    }

    /// Reads the addresses again every 30 seconds until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = time::sleep(REREAD) => self.reread().await,
            }
        }
    }

    async fn reread(&mut self) {
        match interface_addresses() {
            Ok(addresses) => self.interfaces = addresses,
            Err(error) => warn!(%error, "cannot read the addresses of the interfaces"),
        }
        let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        if let Some(resolved) = resolve(name.as_deref()).await {
            self.resolved = resolved;
        }
        let all = self.told.iter().chain(&self.interfaces).chain(&self.resolved).copied();
        let addresses = LocalAddresses::new(all, name);
        self.current.send_if_modified(|current| {
            let changed = **current != addresses;
            if changed {
                info!(%addresses, "addresses of this host");
                *current = Arc::new(addresses);
            }
            changed
        });
    }
}

fn interface_addresses() -> nix::Result<Vec<IpAddr>> {
    let addresses = nix::ifaddrs::getifaddrs()?.filter_map(|interface| interface.address);
    Ok(addresses
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect())
}

/// What `name` resolves to; `None` if the resolver does not say.
async fn resolve(name: Option<&str>) -> Option<Vec<IpAddr>> {
    let found = time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name?, 0))).await.ok()?;
    Some(found.ok()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> LocalAddresses {
        let own = ["10.0.0.7", "172.17.0.1", "127.0.1.1", "fd00::7", "::ffff:10.9.9.9"];
        LocalAddresses::new(own.iter().map(|a| a.parse().unwrap()), Some("Host7".into()))
    }

    #[test]
    fn every_address_and_name_of_this_host_is_local_and_nothing_else() {
        let local = ["127.0.0.1", "::1", "10.0.0.7", "172.17.0.1", "127.0.1.1", "fd00::7"];
        for text in local.into_iter().chain(["::ffff:10.0.0.7", "10.9.9.9", "localhost", "host7"]) {
            assert_eq!(addresses().host(text), Some(Host::Local), "{text}");
        }
        for text in ["127.0.0.2", "0.0.0.0", "::", "10.0.0.8", "fd00::8"] {
            assert_eq!(addresses().host(text), Some(Host::Other(text.parse().unwrap())), "{text}");
        }
        for text in ["", "example.com", "10.0.0", "10.0.0.7:80", " 10.0.0.7", "host70"] {
            assert_eq!(addresses().host(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn the_first_snapshot_is_there_at_once() {
        let (_task, addresses) = LocalAddressesTask::start().await;
        let interfaces = interface_addresses().unwrap();
        assert!(!interfaces.is_empty());
        assert!(interfaces.iter().all(|address| addresses.borrow().contains(*address)));
    }

    #[tokio::test]
    async fn an_address_that_records_carry_is_this_host_on_whatever_interface() {
        let translated: IpAddr = "192.0.2.7".parse().unwrap();
        let (mut task, addresses) = LocalAddressesTask::start_with(vec![translated]).await;
        task.reread().await;
        assert!(addresses.borrow().contains(translated));
    }
}
