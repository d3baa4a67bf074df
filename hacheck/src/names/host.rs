//! A host as seen from this one.

use std::net::{IpAddr, Ipv4Addr};

/// Where the checked instance is.
///
/// All addresses of this host are one and the same, so that nerve's and HAProxy's checks of one
/// instance share an answer and see the same marks (hacheck.md §5, §16.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// This host; checks go to 127.0.0.1.
    Local,
    /// Any other, for instance a pod with an address of its own.
    Other(IpAddr),
}

impl Host {
    /// The address that checks connect to.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Local => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Other(address) => address,
        }
    }
}
