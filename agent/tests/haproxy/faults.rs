//! What can happen to the files and sockets between the agent and HAProxy.

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    NS,
    host::{Host, Web, eventually, namespace},
    serving, serving_on, until_served_by,
};

/// Only a HAProxy that starts anew makes it again: at a reload the new worker inherits the open one.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_socket_haproxy_serves_on_and_the_file_is_ready_for_the_next_start() {
    let (mut host, port, _hacheck, first) = serving().await;
    let before = host.until_up(NS, &first.server).await;
    std::fs::remove_file(&host.settings.socket).unwrap();
    let second = Web::start(host.address(), "second").await;
    let both = vec![first.server.clone(), second.server.clone()];
    host.set([(NS, namespace(port), both.clone())]);
    // Over the connection that is still open.
    host.until_up(NS, &second.server).await;
    host.restart_keeper().await;
    let third = Web::start(host.address(), "third").await;
    host.set([(NS, namespace(port), [both, vec![third.server.clone()]].concat())]);
    eventually("the file has it", async || host.config().contains(&third.server.name)).await;
    assert!(!host.status.borrow().reachable);
    until_served_by(&host, port, "second").await;
    let worker = i32::try_from(before.worker_pid.unwrap()).unwrap();
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    let after = host.until_up(NS, &third.server).await;
    assert_ne!(after.worker_pid, before.worker_pid);
    until_served_by(&host, port, "third").await;
    host.stop().await;
}

/// A file system of this size. Dropping it unmounts it.
struct Small(PathBuf);

impl Small {
    fn mount(on: PathBuf) -> Self {
        std::fs::create_dir(&on).unwrap();
        let this = Self(on);
        assert!(this.run(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs"]));
        this
    }

    fn run(&self, command: &[&str]) -> bool {
        let mut program = Command::new(command[0]);
        program.args(&command[1..]).arg(&self.0).stdin(Stdio::null());
        program.status().is_ok_and(|status| status.success())
    }

    /// Leaves no room; the file that takes it.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("rubbish");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.run(&["umount", "--lazy"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_servers_are_followed_and_the_file_when_there_is_room_again() {
    let mounts = tempfile::tempdir().unwrap();
    let small = Small::mount(mounts.path().join("small"));
    let config_file = small.0.join("haproxy.cfg");
    let host = Host::start_with(|settings| settings.config_file = config_file.clone()).await;
    let (mut host, port, _hacheck, first) = serving_on(host).await;
    let rubbish = small.fill();
    let second = Web::start(host.address(), "second").await;
    let both = || [(NS, namespace(port), vec![first.server.clone(), second.server.clone()])];
    host.set(both());
    let after = host.until_up(NS, &second.server).await;
    assert_eq!(after.counters.reloads, 0);
    let full = |status: &agent::synapse::haproxy::Status| {
        status.alarm.as_ref().is_some_and(|alarm| alarm.contains("No space left on device"))
    };
    host.until("the full disk is told", full).await;
    assert!(!host.config().contains(&second.server.name), "the last good file stands");
    // What needs a reload waits as well, and breaks nothing.
    let new = ("new.main", namespace(0), vec![]);
    host.set(both().into_iter().chain([new]));
    host.until("a reload fails", |status| status.counters.reload_failures > 0).await;
    until_served_by(&host, port, "second").await;
    std::fs::remove_file(rubbish).unwrap();
    host.set(both());
    eventually("the file follows", async || host.config().contains(&second.server.name)).await;
    host.until("the alarm ends", |status| status.alarm.is_none()).await;
    host.stop().await;
}
