//! What many runs come to, and how many runs there may be.

use std::time::Duration;

use tokio::time::Instant;

/// Median, 90th percentile and worst of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) median: Duration,
    pub(crate) p90: Duration,
    pub(crate) worst: Duration,
    pub(crate) runs: usize,
}

impl Figures {
    /// Each figure is one of the samples (nearest rank). Without samples all are zero.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let runs = samples.len();
        let rank = |percent: usize| {
            let at = (runs * percent).div_ceil(100).saturating_sub(1);
            samples.get(at).copied().unwrap_or_default()
        };
        Self { median: rank(50), p90: rank(90), worst: rank(100), runs }
    }
}

/// How long a measurement may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    runs: usize,
    until: Instant,
}

impl Pace {
    /// At most `runs`, and none that begins later than `within` from now.
    pub(crate) fn new(runs: usize, within: Duration) -> Self {
        Self { runs, until: Instant::now() + within }
    }

    /// Whether another run may follow `done` ones. The first always may.
    pub(crate) fn goes_on(&self, done: usize) -> bool {
        done < self.runs && (done == 0 || Instant::now() < self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn figures_are_samples_by_nearest_rank() {
        let figures = Figures::of((1..=50).rev().map(|n| n * MS).collect());
        let expected = Figures { median: 25 * MS, p90: 45 * MS, worst: 50 * MS, runs: 50 };
        assert_eq!(figures, expected);
        let one = Figures::of(vec![7 * MS]);
        assert_eq!((one.median, one.p90, one.worst, one.runs), (7 * MS, 7 * MS, 7 * MS, 1));
        assert_eq!(Figures::of(Vec::new()).runs, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_measurement_ends_after_its_runs_or_when_its_time_is_over() {
        let pace = Pace::new(3, 10 * MS);
        assert!(pace.goes_on(2) && !pace.goes_on(3));
        tokio::time::advance(10 * MS).await;
        assert!(pace.goes_on(0) && !pace.goes_on(1));
    }
}
