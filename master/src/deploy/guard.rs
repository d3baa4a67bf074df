//! No pass stops much of what runs: an empty or broken checkout of soa-configs must not empty a cluster.
//!
//! Pure. What a single instance is to do is never refused: somebody has named it.

/// Default of the share that may stop.
pub const MOST: f64 = 0.5;

/// An instance before a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// Tasks that it has, of whatever version.
    pub running: usize,
    /// Tasks that it is to have.
    pub want: u32,
}

/// More would stop than may.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "{stops} of {running} running tasks would be stopped for good, which is more than {most} of them; \
     nothing is done. If that is meant, say --force"
)]
pub struct TooMuch {
    pub stops: usize,
    pub running: usize,
    pub most: f64,
}

/// Refuses when more than a share `most` of all running tasks would have no successor. Exactly that share
/// is allowed.
///
/// # Errors
/// See [`TooMuch`].
#[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
pub fn within(instances: impl IntoIterator<Item = Before>, most: f64) -> Result<(), TooMuch> {
    let (mut stops, mut running) = (0_usize, 0_usize);
    for before in instances {
        running += before.running;
        stops += before.running.saturating_sub(before.want as usize);
    }
    if stops as f64 > most * running as f64 {
        return Err(TooMuch { stops, running, most });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(running: usize, want: u32) -> Before {
        Before { running, want }
    }

    #[test]
    fn half_may_stop_and_not_one_more() {
        let (a, b) = (before(4, 4), before(4, 0));
        assert_eq!(within([a, b], 0.5), Ok(()));
        let most = TooMuch { stops: 5, running: 9, most: 0.5 };
        assert_eq!(within([a, before(5, 0)], 0.5), Err(most));
    }

    #[test]
    fn a_new_version_stops_nothing_for_good_and_an_idle_cluster_has_nothing_to_lose() {
        // Old and new tasks side by side: the bounce ends with what is wanted.
        assert_eq!(within([before(5, 5), before(3, 10)], 0.0), Ok(()));
        assert_eq!(within([], 0.0), Ok(()));
        assert_eq!(within([before(0, 0)], 0.0), Ok(()));
    }
}
