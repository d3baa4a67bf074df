//! A network bridge that no two tests are given at the same time.

use std::{
    fs::{self, File},
    io,
    process::{Command, Stdio},
};

/// A bridge with a subnet of its own from the range set aside for tests (RFC 2544). Dropping it
/// removes it.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) name: String,
    _lock: File,
}

impl Bridge {
    pub(super) fn make() -> io::Result<Self> {
        let dir = std::env::temp_dir().join("smartstack-test-bridges");
        fs::create_dir_all(&dir)?;
        for number in 1..255_u8 {
            let lock = File::create(dir.join(number.to_string()))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let bridge = Self { name: format!("smartstack-{number}"), _lock: lock };
            // Left over from a test that was killed: the lock says that it is nobody's.
            let _ = ip(&["link", "delete", &bridge.name]);
            ip(&["link", "add", &bridge.name, "type", "bridge"])?;
            let address = format!("198.18.{number}.1/24");
            ip(&["address", "add", &address, "dev", &bridge.name])?;
            ip(&["link", "set", &bridge.name, "up"])?;
            return Ok(bridge);
        }
        Err(io::Error::other("no free bridge"))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = ip(&["link", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("ip {}: {complaint}", arguments.join(" "))))
}
