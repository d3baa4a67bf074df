//! `autoscaling` of an instance: how it is measured, and how its count follows (marathon-sync.md §19).

use soa_configs::yaml::{Map, Node, Value};

use super::forecast::Forecast;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Processor time, as the Mesos agents count it.
    MesosCpu,
    /// Each task says it, as `utilization` at this path.
    Http(String),
    /// The share of busy workers that each task's uwsgi says at this path.
    Uwsgi(String),
}

/// How the count follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    Proportional(Proportional),
    /// A tenth more or less, as long as the utilisation is not where it should be.
    Threshold,
    Pid,
    /// The service writes its count itself.
    Bespoke,
}

/// As many tasks as the load needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Proportional {
    /// Utilisation of a task without work. Default 0.
    pub offset: f64,
    /// Default [`Forecast::Current`].
    pub forecast: Forecast,
    /// The foreseen utilisation at which nothing is changed.
    pub good_enough: Option<(f64, f64)>,
}

/// An entry of `autoscaling` that there is not, or not of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("autoscaling: `{key}`: expected {expected}")]
pub struct Invalid {
    key: &'static str,
    expected: &'static str,
}

/// All of `autoscaling`.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaling {
    pub provider: Provider,
    pub policy: Policy,
    /// Above 0. Default 0.8.
    pub setpoint: f64,
}

impl Autoscaling {
    /// Reads the map, defaults included.
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn read(map: &Map) -> Result<Self, Invalid> {
        let word = |key: &'static str, default: &'static str| match map.get(key) {
            None => Ok(default.to_owned()),
            Some(node) => {
                node.as_text().map(str::to_owned).ok_or(Invalid { key, expected: "a word" })
            }
        };
        let provider = match word("metrics_provider", "mesos_cpu")?.as_str() {
            "mesos_cpu" => Provider::MesosCpu,
            "http" => Provider::Http(word("endpoint", "status")?),
            "uwsgi" => Provider::Uwsgi(word("endpoint", "status/uwsgi")?),
            _ => {
                let expected = "mesos_cpu, http or uwsgi";
                return Err(Invalid { key: "metrics_provider", expected });
            }
        };
        let policy = match word("decision_policy", "proportional")?.as_str() {
            "proportional" => Policy::Proportional(Proportional::read(map)?),
            "threshold" => Policy::Threshold,
            "pid" => Policy::Pid,
            "bespoke" => Policy::Bespoke,
            _ => {
                let expected = "proportional, threshold, pid or bespoke";
                return Err(Invalid { key: "decision_policy", expected });
            }
        };
        let setpoint = number(map, "setpoint")?.unwrap_or(0.8);
        if setpoint <= 0.0 {
            return Err(Invalid { key: "setpoint", expected: "a number above 0" });
        }
        Ok(Self { provider, policy, setpoint })
    }
}

impl Proportional {
    fn read(map: &Map) -> Result<Self, Invalid> {
        let name = map.get("forecast_policy").map_or(Some("current"), Node::as_text);
        let needed = |key: &'static str| {
            number(map, key)?.ok_or(Invalid { key, expected: "a number of seconds" })
        };
        let forecast = match name {
            Some("current") => Forecast::Current,
            Some("moving_average") => Forecast::MovingAverage(
                number(map, "moving_average_window_seconds")?.unwrap_or(1800.0),
            ),
            Some("linreg") => Forecast::Linear {
                window: needed("linreg_window_seconds")?,
                ahead: seconds(map, "linreg_extrapolation_seconds")?,
                default_slope: number(map, "linreg_default_slope")?.unwrap_or(0.0),
            },
            _ => {
                let expected = "current, moving_average or linreg";
                return Err(Invalid { key: "forecast_policy", expected });
            }
        };
        let offset = number(map, "offset")?.unwrap_or(0.0);
        let setpoint = number(map, "setpoint")?.unwrap_or(0.8);
        if offset >= setpoint {
            return Err(Invalid { key: "offset", expected: "a number below the setpoint" });
        }
        let key = "good_enough_window";
        let good_enough = match map.get(key).filter(|node| !node.is_null()) {
            None => None,
            Some(node) => match node.as_list().unwrap_or_default() {
                [least, most] => least.as_f64().zip(most.as_f64()),
                _ => None,
            }
            .map(Some)
            .ok_or(Invalid { key, expected: "two numbers" })?,
        };
        Ok(Self { offset, forecast, good_enough })
    }
}

fn number(map: &Map, key: &'static str) -> Result<Option<f64>, Invalid> {
    let Some(node) = map.get(key).filter(|node| !node.is_null()) else { return Ok(None) };
    let number = node.as_f64().filter(|number| number.is_finite());
    number.map(Some).ok_or(Invalid { key, expected: "a number" })
}

/// One number or a list of them.
fn seconds(map: &Map, key: &'static str) -> Result<Vec<f64>, Invalid> {
    let invalid = Invalid { key, expected: "a number of seconds, or some in a list" };
    let numbers: Option<Vec<f64>> = match map.get(key).map(|node| (node, &node.value)) {
        Some((_, Value::List(list))) => list.iter().map(Node::as_f64).collect(),
        Some((node, _)) => node.as_f64().map(|number| vec![number]),
        None => None,
    };
    let are_numbers =
        |numbers: &Vec<f64>| !numbers.is_empty() && numbers.iter().all(|number| number.is_finite());
    numbers.filter(are_numbers).ok_or(invalid)
}

/// The gains that PaaSTA had.
const KP: f64 = 4.0;
const KI: f64 = 4.0 / 300.0;
const KD: f64 = 300.0;

/// What the policy `pid` remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PidState {
    pub iterm: f64,
    pub last_error: f64,
    /// Seconds since 1970. 0: never.
    pub last_time: f64,
}

/// One step of the policy `pid`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pid {
    pub(super) error: f64,
    pub(super) now: f64,
    /// By how much the count may change.
    pub(super) limits: (i64, i64),
}

impl Pid {
    /// The wished change, and what is remembered. The first time there is no past to sum up.
    #[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
    pub(super) fn next(self, state: PidState) -> (i64, PidState) {
        let Self { error, now, limits: (least, most) } = self;
        let within = |number: f64| number.max(least as f64).min(most as f64);
        let since = now - state.last_time;
        let (iterm, slope) = if state.last_time > 0.0 && since > 0.0 {
            (within(state.iterm + KI * error * since), (error - state.last_error) / since)
        } else {
            (within(state.iterm), 0.0)
        };
        let wished = within(KP * error + iterm + KD * slope).round_ties_even();
        (super::whole(wished), PidState { iterm, last_error: error, last_time: now })
    }
}

#[cfg(test)]
mod tests {
    use soa_configs::yaml;

    use super::*;

    #[test]
    fn the_first_step_of_pid_knows_no_past_and_the_next_sums_it_up() {
        let step = |error, now, state| Pid { error, now, limits: (-5, 5) }.next(state);
        let (first, state) = step(0.5, 1000.0, PidState::default());
        assert_eq!(
            (first, state),
            (2, PidState { iterm: 0.0, last_error: 0.5, last_time: 1000.0 })
        );
        // 4 * 0.5 + 4 / 300 * 0.5 * 150 + 300 * 0 / 150 = 3
        let (second, state) = step(0.5, 1150.0, state);
        assert_eq!(second, 3);
        assert!((state.iterm - 1.0).abs() < 1e-9, "{state:?}");
        // Far beyond: neither the sum nor the change leaves the limits.
        let (third, state) = step(100.0, 1300.0, state);
        assert_eq!((third, state.iterm.round()), (5, 5.0));
    }

    #[test]
    fn seconds_that_are_no_number_are_refused() {
        let read = |ahead: &str| {
            let text = format!(
                "{{forecast_policy: linreg, linreg_window_seconds: 60, \
                 linreg_extrapolation_seconds: {ahead}}}"
            );
            Autoscaling::read(yaml::parse(&text).unwrap().as_map().unwrap()).is_ok()
        };
        assert!(read("60") && read("[0, 60.5]"));
        for broken in [".nan", "[60, .inf]", "[]", "x", "null"] {
            assert!(!read(broken), "{broken}");
        }
    }
}
