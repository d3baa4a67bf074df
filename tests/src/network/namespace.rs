//! A network namespace behind a bridge, which can be parted from this machine.

use std::{io, net::Ipv4Addr};

use super::{Bridge, ip};

/// Dropping it removes it; what runs in it must have ended.
#[derive(Debug)]
pub(crate) struct Namespace {
    bridge: Bridge,
}

impl Namespace {
    pub(crate) fn make() -> io::Result<Self> {
        let this = Self { bridge: Bridge::make()? };
        // Left over from a test that was killed; the lock of the bridge says that it is nobody's.
        let _ = ip(&["netns", "delete", this.name()]);
        ip(&["netns", "add", this.name()])?;
        let (outside, inside) = (this.outside(), "inside");
        let pair = ["type", "veth", "peer", "name", inside, "netns", this.name()];
        ip(&[&["link", "add", &outside][..], &pair].concat())?;
        let address = format!("{}/24", this.address());
        ip(&["-n", this.name(), "address", "add", &address, "dev", inside])?;
        for link in [inside, "lo"] {
            ip(&["-n", this.name(), "link", "set", link, "up"])?;
        }
        ip(&["link", "set", &outside, "up"])?;
        this.join()?;
        Ok(this)
    }

    pub(crate) fn name(&self) -> &str {
        &self.bridge.name
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.bridge.address(2)
    }

    /// From now on packets vanish on their way, in both directions; nobody is told.
    pub(crate) fn part(&self) -> io::Result<()> {
        ip(&["link", "set", &self.outside(), "nomaster"])
    }

    /// Ends the partition.
    pub(crate) fn join(&self) -> io::Result<()> {
        ip(&["link", "set", &self.outside(), "master", self.name()])
    }

    fn outside(&self) -> String {
        self.name().replace("smartstack", "outside")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["link", "delete", &self.outside()]);
        let _ = ip(&["netns", "delete", self.name()]);
    }
}
