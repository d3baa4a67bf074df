//! What a killed daemon leaves behind: containers and their shims, mounts, sockets, cgroups.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::processes;

const PATIENCE: Duration = Duration::from_secs(20);
const CGROUPS: &str = "/sys/fs/cgroup";
/// Where containerd keeps one directory for each container, below the daemon's `exec`.
const TASKS: &str = "exec/containerd/daemon/io.containerd.runtime.v2.task/moby";

/// Ends and removes all that belongs to the daemon in `dir` with the cgroup `name`. True if nothing
/// is mounted below `dir` any more.
pub(super) fn clear(dir: &Path, name: &str) -> bool {
    let groups = cgroups(name);
    persist(|| {
        // The daemon itself, its containerd, the shims; then what runs in the containers.
        let named = processes::naming(&dir.join("exec"));
        let mut left: Vec<i32> = named.iter().map(|process| process.pid).collect();
        left.extend(groups.iter().flat_map(|group| members(group)));
        for pid in &left {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        left.is_empty()
    });
    remove_shim_sockets(dir);
    let unmounted = persist(|| {
        let mounts = mounts_below(dir);
        // What was mounted last comes off first.
        for mount in mounts.iter().rev() {
            let mut umount = Command::new("umount");
            let _ = umount.arg("-l").arg(mount).stdin(Stdio::null()).stderr(Stdio::null()).status();
        }
        mounts.is_empty()
    });
    persist(|| groups.iter().all(|group| remove_cgroup(group).is_ok()));
    unmounted
}

/// Tries until it is done, or for long enough.
fn persist(mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
}

/// The cgroup `name` of every controller.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut parents = entries(Path::new(CGROUPS));
    parents.push(CGROUPS.into());
    parents.iter().map(|parent| parent.join(name)).filter(|group| group.is_dir()).collect()
}

/// Processes of the containers directly below `group`.
fn members(group: &Path) -> Vec<i32> {
    let lists = entries(group).into_iter().map(|container| container.join("cgroup.procs"));
    let texts = lists.filter_map(|list| fs::read_to_string(list).ok());
    texts
        .flat_map(|text| text.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn remove_cgroup(group: &Path) -> io::Result<()> {
    for container in entries(group).iter().filter(|entry| entry.is_dir()) {
        fs::remove_dir(container)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The only thing that a shim keeps outside the daemon's directories.
fn remove_shim_sockets(dir: &Path) {
    for task in entries(&dir.join(TASKS)) {
        let address = fs::read_to_string(task.join("address")).unwrap_or_default();
        if let Some(socket) = address.trim().strip_prefix("unix://") {
            let _ = fs::remove_file(socket);
        }
    }
}

fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    mounts.filter(|mount| mount.starts_with(dir)).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
