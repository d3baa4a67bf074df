//! Talks to systemd: ready, watchdog, stopping. Without systemd nothing happens.

use std::{convert::Infallible, future::pending, time::Duration};

use sd_notify::NotifyState;
use tokio::time;
use tracing::{debug, error};

use super::serving::Beats;

/// The least that a sleeping machine needs to wake up.
const SHORTEST: Duration = Duration::from_millis(10);

pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells systemd that all is well as long as every thread that answers requests is alive. Never ends.
pub(super) async fn feed_watchdog(beats: &Beats) -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled() else { return pending().await };
    let pulse = (limit / 4).max(SHORTEST);
    let mut well = true;
    loop {
        let oldest = beats.oldest();
        if oldest < limit / 2 {
            tell(&[NotifyState::Watchdog]);
        } else if well {
            error!(seconds = oldest.as_secs(), "a thread that answers requests hangs");
        }
        well = oldest < limit / 2;
        time::sleep(pulse).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager does not listen");
    }
}
