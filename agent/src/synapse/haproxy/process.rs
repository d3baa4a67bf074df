//! Runs HAProxy as a child: for the demo and for tests. On a fleet host systemd runs it, so that
//! traffic does not depend on the agent.

use std::{io, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{master, settings::Settings};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps HAProxy running until `stop`: waits for the configuration file, starts it, starts it again
/// when it dies. A HAProxy that already answers on the master socket is left alone.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let ready = settings.config_file.exists()
            && !master::is_there(&settings.master_socket, settings.command_timeout).await;
        if ready {
            match start(&settings) {
                Ok(child) => {
                    let began = time::Instant::now();
                    if watch(child, &stop).await {
                        return;
                    }
                    // Long enough to have been a success.
                    if began.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => {
                    warn!(%error, program = %settings.program.display(), "cannot start haproxy")
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let pause = if ready { pause } else { FIRST_PAUSE };
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(pause) => {}
        }
    }
}

fn start(settings: &Settings) -> io::Result<Child> {
    // HAProxy takes its levels as words after the path; it wants the path absolute.
    let master = format!("{},level,admin", settings.master_socket.display());
    let child = Command::new(&settings.program)
        .arg("-W")
        .arg("-S")
        .arg(master)
        .arg("-f")
        .arg(&settings.config_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal is for the agent, which then ends it in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    info!(pid = child.id(), "haproxy started");
    Ok(child)
}

/// Waits until the child ends or must end. Returns whether it had to.
async fn watch(mut child: Child, stop: &CancellationToken) -> bool {
    let log = child.stderr.take().map(|stderr| tokio::spawn(forward(stderr)));
    let stopped = tokio::select! {
        () = stop.cancelled() => true,
        status = child.wait() => {
            warn!(?status, "haproxy ended");
            false
        }
    };
    if stopped {
        end(&mut child).await;
    }
    if let Some(log) = log {
        log.abort();
    }
    stopped
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // SIGTERM reaches the workers through the master; SIGKILL would orphan them.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if time::timeout(GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

async fn forward(stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        debug!(target: "haproxy", "{line}");
    }
}
