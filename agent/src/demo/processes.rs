//! The demo's services as local processes, named in a file.

use std::time::Duration;

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time,
};

use super::{NAMES, NAMESPACE, Scene, say};

pub(super) struct Processes(Vec<Child>);

pub(super) fn start(scene: &Scene) -> anyhow::Result<Processes> {
    let mut children = Vec::new();
    let mut tasks = String::new();
    for (name, port) in NAMES.iter().zip(scene.services) {
        say(&format!("starting {name} on port {port}"));
        let child = Command::new(&scene.program)
            .args(["demo-service", "--name", name, "--port", &port.to_string()])
            // Ctrl-C in the terminal goes to this process alone; it then stops its services.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a service")?;
        children.push(child);
        tasks.push_str(&format!("- {{name: {name}, namespaces: [{NAMESPACE}], port: {port}}}\n"));
    }
    crate::atomic_file::write(&scene.path("tasks.yaml"), tasks.as_bytes())?;
    Ok(Processes(children))
}

impl Processes {
    pub(super) async fn stop(self) {
        for mut child in self.0 {
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            if time::timeout(Duration::from_secs(3), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}
