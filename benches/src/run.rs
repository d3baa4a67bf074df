//! A run of `paasta-master` as a process of its own: how long it takes, and how much memory.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use end_to_end::{Place, host::program, processes};
use tokio::{process::Command, time};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a run took.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    pub(crate) most_kib: u64,
}

impl Took {
    #[expect(clippy::cast_precision_loss, reason = "nothing here takes 2^52 KiB")]
    pub(crate) fn mebibytes(&self) -> f64 {
        self.most_kib as f64 / 1024.0
    }
}

/// # Errors
/// When it does not end well.
pub(crate) async fn run(place: &Place, words: &[&str]) -> Result<Took, Failure> {
    let begun = Instant::now();
    let mut command = Command::new(program("paasta-master"));
    command.args(words).current_dir(place.path()).env("PAASTA_SYSTEM_CONFIG_DIR", "etc");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
    let pid = child.id().ok_or("it has ended already")?;
    let mut most_kib = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = time::sleep(Duration::from_millis(2)) => {
                most_kib = most_kib.max(processes::memory(pid).map_or(0, |memory| memory.most_kib));
            }
        }
    };
    if !status.success() {
        return Err(format!("{words:?} ended with {status}").into());
    }
    Ok(Took { wall: begun.elapsed(), most_kib })
}
