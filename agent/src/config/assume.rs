//! What is assumed for want of a setting.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs, UdpSocket};

/// The host's name as nerve takes it (nerve.md §5.5).
pub(super) fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok().filter(|name| !name.is_empty())
}

/// The address under which other hosts reach this one.
///
/// nerve takes what the host name resolves to; a loopback address there (Debian's `127.0.1.1` line)
/// would make every record useless, so then the address of the default route is taken.
pub(super) fn host_address(name: &str) -> Option<IpAddr> {
    let resolved = (name, 0).to_socket_addrs().ok().into_iter().flatten().map(|a| a.ip());
    resolved.filter(IpAddr::is_ipv4).find(|ip| !ip.is_loopback()).or_else(default_route)
}

/// No packet is sent: connecting a UDP socket only asks the kernel for the way.
fn default_route() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}
