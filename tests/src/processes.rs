//! Who runs on this machine, from `/proc`.

use std::{collections::BTreeSet, fs, path::Path};

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
