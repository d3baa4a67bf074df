//! A network bridge that no two tests are given at the same time.

use std::{
    fs::{self, File},
    io,
    net::Ipv4Addr,
};

use super::ip;

/// A bridge with a subnet of its own from the range set aside for tests (RFC 2544). Dropping it
/// removes it.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    number: u8,
    _lock: File,
}

impl Bridge {
    pub(crate) fn make() -> io::Result<Self> {
        let dir = std::env::temp_dir().join("smartstack-test-bridges");
        fs::create_dir_all(&dir)?;
        for number in 1..255_u8 {
            let lock = File::create(dir.join(number.to_string()))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let bridge = Self { name: format!("smartstack-{number}"), number, _lock: lock };
            // Left over from a test that was killed: the lock says that it is nobody's.
            let _ = ip(&["link", "delete", &bridge.name]);
            ip(&["link", "add", &bridge.name, "type", "bridge"])?;
            let address = format!("{}/24", bridge.address(1));
            ip(&["address", "add", &address, "dev", &bridge.name])?;
            ip(&["link", "set", &bridge.name, "up"])?;
            return Ok(bridge);
        }
        Err(io::Error::other("no free bridge"))
    }

    /// The `host`th address of its subnet; the bridge itself has the first.
    pub(crate) fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, host)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = ip(&["link", "delete", &self.name]);
    }
}
