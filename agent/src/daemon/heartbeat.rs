//! A file whose age shows that the agent works, for monitoring that looked at nerve's (nerve.md §1.2).

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// As often as nerve's main loop turns; configure_nerve takes 60 s for too long.
const BEAT: Duration = Duration::from_secs(10);

/// Touches `path` every 10 s until `stop`. Like the watchdog, it is a task like every other, and the end
/// of any other ends the process.
pub(super) async fn run(path: PathBuf, stop: CancellationToken) {
    let mut told = false;
    loop {
        let file = path.clone();
        let touched = tokio::task::spawn_blocking(move || touch(&file)).await;
        match touched.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => told = false,
            Err(error) if !told => {
                warn!(path = %path.display(), %error, "the heartbeat file cannot be touched");
                told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(BEAT) => {}
        }
    }
}

fn touch(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let file = File::options().create(true).append(true).open(path)?;
    file.set_modified(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_is_young_and_keeps_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nerve/heartbeat");
        touch(&path).unwrap();
        crate::atomic_file::write(&path, b"kept").unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        touch(&path).unwrap();
        assert!(std::fs::metadata(&path).unwrap().modified().unwrap() > old);
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
        assert!(touch(&path.join("below-a-file")).is_err());
    }
}
