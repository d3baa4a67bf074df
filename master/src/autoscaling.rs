//! How many tasks an autoscaled instance is to have, by how much its tasks have to do
//! (marathon-sync.md §19).
//!
//! Pure: what was measured, what was wanted before and the time go in.

pub mod forecast;
pub mod history;
pub mod measure;
pub mod policy;

use self::{
    history::History,
    policy::{Pid, PidState, Policy, Proportional},
};

/// An instance before it is scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Tasks that it is to have now.
    pub current: i64,
    pub min: i64,
    pub max: i64,
    /// Tasks that were measured.
    pub healthy: usize,
    /// The mean share of its capacity that a task uses.
    pub utilization: f64,
    /// The share that it should use.
    pub setpoint: f64,
    /// Seconds since 1970.
    pub now: f64,
}

/// How many tasks there are to be, and what is remembered for the next time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaled {
    /// `None`: the service writes the count itself.
    pub to: Option<i64>,
    /// To be written. `None`: as it was.
    pub history: Option<History>,
    pub pid: Option<PidState>,
}

impl Load {
    /// How far the utilisation is from where it should be. One task less is no reason to scale down as long
    /// as the others would be at the setpoint.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
    pub fn error(&self) -> f64 {
        let count = self.current as f64;
        let lower = self.setpoint * (count - 1.0) / count;
        if self.utilization > self.setpoint {
            self.utilization - self.setpoint
        } else if self.utilization < lower {
            self.utilization - lower
        } else {
            0.0
        }
    }

    /// Decides by a policy. `history` and `pid` are what the last time left.
    #[must_use]
    pub fn scaled(&self, policy: &Policy, history: History, pid: PidState) -> Scaled {
        let error = self.error();
        match policy {
            Policy::Bespoke => Scaled::default(),
            Policy::Threshold => {
                let step = part(self.current, 0.1).max(1);
                let delta = if error > 0.0 {
                    step
                } else if error < 0.0 {
                    -step
                } else {
                    0
                };
                Scaled { to: Some(self.limited(delta)), ..Scaled::default() }
            }
            Policy::Proportional(policy) => {
                let (delta, history) = self.proportional(policy, history);
                Scaled { to: Some(self.limited(delta)), history: Some(history), pid: None }
            }
            Policy::Pid => {
                let limits = (self.min - self.current, self.max - self.current);
                let (delta, state) = Pid { error, now: self.now, limits }.next(pid);
                Scaled { to: Some(self.limited(delta)), history: None, pid: Some(state) }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
    fn proportional(&self, policy: &Proportional, mut history: History) -> (i64, History) {
        let load = (self.utilization - policy.offset) * self.healthy as f64;
        history.push(self.now, load);
        let predicted = policy.forecast.of(&history);
        let for_one = predicted / self.current as f64 + policy.offset;
        let is_good_enough =
            policy.good_enough.is_some_and(|(least, most)| (least..=most).contains(&for_one));
        let desired = if is_good_enough {
            self.current
        } else {
            whole((predicted / (self.setpoint - policy.offset)).round_ties_even())
        };
        (self.within(desired) - self.current, history)
    }

    /// Never down by more than three tenths at once.
    fn limited(&self, delta: i64) -> i64 {
        self.within(self.current.saturating_add(delta).max(part(self.current, 0.7)))
    }

    /// The lower limit counts where the two contradict each other, as for whoever deploys (§6.7).
    fn within(&self, count: i64) -> i64 {
        count.min(self.max).max(self.min)
    }

    /// Too many or too few tasks run for what is wanted: what was measured says nothing about fewer.
    #[must_use]
    pub fn is_unsettled(&self, running: usize) -> bool {
        let running = i64::try_from(running).unwrap_or(i64::MAX);
        running > part(self.current, 1.3) || running < part(self.current, 0.7)
    }

    /// In words, for the log.
    #[must_use]
    pub fn in_words(&self) -> String {
        let percent = self.error() * 100.0;
        if percent > 0.0 {
            format!("{}% overutilized", percent.ceil())
        } else if percent < 0.0 {
            format!("{}% underutilized", (-percent).floor())
        } else {
            "utilization within thresholds".to_owned()
        }
    }
}

/// The integral part of a share of a count.
#[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
fn part(count: i64, share: f64) -> i64 {
    whole((count as f64 * share).trunc())
}

/// An integral number; one that is none, or does not fit, is the nearest that does.
#[expect(clippy::cast_possible_truncation, reason = "the conversion saturates")]
fn whole(number: f64) -> i64 {
    number as i64
}
