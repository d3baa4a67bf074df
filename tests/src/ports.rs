//! Ports that no two tests are given at the same time.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io,
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
};

/// A port of 127.0.0.1 that nobody listens on, ours until this is dropped.
#[derive(Debug)]
pub struct Port {
    pub number: u16,
    _lock: File,
}

/// Below the range from which the kernel gives ports to clients, so that a port stays free while
/// its server restarts.
const FIRST: u16 = 12_000;
const COUNT: u64 = 20_000;

/// A hundred ports of 127.0.0.1 that [`Port`] gives to nobody, ours until this is dropped.
#[derive(Debug)]
pub struct Hundred {
    pub ports: RangeInclusive<u16>,
    _lock: File,
}

impl Hundred {
    /// # Errors
    /// When the lock directory cannot be written, or everything is taken.
    pub fn free() -> io::Result<Self> {
        let dir = std::env::temp_dir().join("smartstack-test-ports");
        fs::create_dir_all(&dir)?;
        for first in (32_000..=32_600).step_by(100) {
            let lock = File::create(dir.join(format!("{first}-hundred")))?;
            if lock.try_lock().is_ok() {
                return Ok(Self { ports: first..=first + 99, _lock: lock });
            }
        }
        Err(io::Error::other("no hundred free ports"))
    }
}

impl Port {
    /// # Errors
    /// When the lock directory cannot be written, or everything is taken.
    pub fn free() -> io::Result<Self> {
        let dir = std::env::temp_dir().join("smartstack-test-ports");
        fs::create_dir_all(&dir)?;
        for attempt in 0..1000_u32 {
            let random = RandomState::new().hash_one(attempt) % COUNT;
            let number = FIRST + u16::try_from(random).unwrap_or_default();
            let lock = File::create(dir.join(number.to_string()))?;
            let ours = lock.try_lock().is_ok();
            if ours && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(io::Error::other("no free port"))
    }
}
