//! Who runs on this machine, from `/proc`.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

/// Of a second; the kernel shows CPU time in these on every architecture.
const TICKS: u64 = 100;

/// A process that cannot be taken for a later one with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    parent: i32,
    /// Clock ticks after the machine's start.
    started: u64,
    /// Its command line, words apart.
    pub line: String,
}

impl Process {
    /// `None` when it is gone, or a zombie that waits for its parent.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let dir = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(dir.join("stat")).ok()?;
        // The name in brackets may itself hold brackets.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        if ["Z", "X"].contains(fields.first()?) {
            return None;
        }
        let line = fs::read(dir.join("cmdline")).unwrap_or_default();
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            line: String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned(),
        })
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// All processes.
#[must_use]
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).collect()
}

/// The process, its children, their children.
#[must_use]
pub fn family(pid: i32) -> Vec<Process> {
    let all = all();
    let mut pids = BTreeSet::from([pid]);
    loop {
        let known = pids.len();
        pids.extend(
            all.iter().filter(|p| pids.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if pids.len() == known {
            return all.into_iter().filter(|process| pids.contains(&process.pid)).collect();
        }
    }
}

/// Processes whose command line names `path`.
#[must_use]
pub fn naming(path: &Path) -> Vec<Process> {
    let path = path.display().to_string();
    all().into_iter().filter(|process| process.line.contains(&path)).collect()
}

/// Resident memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub now_kib: u64,
    /// At most, since it started.
    pub most_kib: u64,
}

/// CPU time that a process has taken; `None` when it is gone.
#[must_use]
pub fn cpu_time(pid: u32) -> Option<Duration> {
    cpu(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Memory of a process; `None` when it is gone.
#[must_use]
pub fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Memory { now_kib: kib(&status, "VmRSS:")?, most_kib: kib(&status, "VmHWM:")? })
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
