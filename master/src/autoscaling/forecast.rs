//! What an instance is expected to have to do, by what it had to do (marathon-sync.md §19).

use super::history::History;

/// How the load is foreseen.
#[derive(Clone, Debug, PartialEq)]
pub enum Forecast {
    /// As it is.
    Current,
    /// As it was in the mean, over so many seconds.
    MovingAverage(f64),
    /// As it goes on.
    Linear {
        /// Seconds that are looked at.
        window: f64,
        /// Seconds after the last point; the greatest load of all these counts.
        ahead: Vec<f64>,
        /// Of a single point: load a second.
        default_slope: f64,
    },
}

impl Forecast {
    /// Of an empty history it is nothing.
    #[must_use]
    pub fn of(&self, history: &History) -> f64 {
        let Some((now, load)) = history.last() else { return 0.0 };
        match self {
            Self::Current => load,
            Self::MovingAverage(window) => mean(history.window(*window).map(|(_, load)| load)),
            Self::Linear { window, ahead, default_slope } => {
                let points = history.window(*window);
                let time = mean(points.clone().map(|(time, _)| time));
                let load = mean(points.clone().map(|(_, load)| load));
                let (mut both, mut square, mut count) = (0.0, 0.0, 0);
                for (t, l) in points {
                    both += (t - time) * (l - load);
                    square += (t - time) * (t - time);
                    count += 1;
                }
                let slope = if count > 1 && square > 0.0 { both / square } else { *default_slope };
                let intercept = load - slope * time;
                let at = |ahead: &f64| slope * (now + ahead) + intercept;
                ahead.iter().map(at).fold(f64::NEG_INFINITY, f64::max)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a history has some ten thousand points")]
fn mean(numbers: impl Iterator<Item = f64> + Clone) -> f64 {
    numbers.clone().sum::<f64>() / numbers.count() as f64
}
