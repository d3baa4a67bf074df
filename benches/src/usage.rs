//! What the agent itself takes of the machine.

use std::{fs, time::Duration};

use tokio::time::Instant;

use crate::{Failure, scene::Scene};

/// Of a second; the kernel shows CPU time in these on every architecture.
const TICKS: u64 = 100;

/// CPU time and memory of the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Over which the CPU time was taken.
    pub(crate) wall: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) most_resident_kib: u64,
    at: Instant,
}

impl Usage {
    /// As of now, over the life of the process.
    pub(crate) fn of(scene: &Scene) -> Result<Self, Failure> {
        let pid = scene.host.agent_pid().ok_or("the agent does not run")?;
        let cpu = cpu(&fs::read_to_string(format!("/proc/{pid}/stat"))?);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self {
            cpu: cpu.ok_or("the kernel shows no CPU time")?,
            wall: Duration::ZERO,
            resident_kib: kib(&status, "VmRSS:").unwrap_or_default(),
            most_resident_kib: kib(&status, "VmHWM:").unwrap_or_default(),
            at: Instant::now(),
        })
    }

    /// The CPU time taken since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        let (cpu, wall) = (self.cpu.saturating_sub(before.cpu), self.at - before.at);
        Self { cpu, wall, ..self }
    }
}

/// User and system time. The name in brackets may contain anything, so it is passed over.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

fn kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 99 1 2";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_found_by_its_key() {
        let status = "Name:\tsmartstack\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "VmHWM:")), (Some(10240), Some(20480)));
        assert_eq!(kib(status, "VmSwap:"), None);
    }
}
