//! What the states of a task's registrations mean. No clock, no network.

use super::State;
use crate::marks::UnixTime;

/// Whether any registration is not up.
pub(super) fn is_draining(states: &[State]) -> bool {
    states.iter().any(|state| *state != State::Up)
}

/// Whether the task is down, and every registration has been so for longer than `delay` seconds.
///
/// One that is up, or down nobody knows since when, does not hold the others up: PaaSTA takes its
/// beginning for 0 (hacheck.md §14.1). With all of them up, nothing has been drained.
pub(super) fn is_safe_to_kill(states: &[State], delay: f64, now: UnixTime) -> bool {
    let since = |state: &State| match state {
        State::Down { since } => since.unwrap_or(0.0),
        State::Up => 0.0,
    };
    is_draining(states) && states.iter().all(|state| since(state) < now.seconds() - delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: State = State::Up;
    const UNKNOWN: State = State::Down { since: None };

    fn down(since: f64) -> State {
        State::Down { since: Some(since) }
    }

    #[test]
    fn a_task_is_safe_to_kill_when_it_has_been_down_for_the_delay() {
        let old = down(900.0);
        let cases: [(&[State], bool, bool); 11] = [
            (&[], false, false),
            (&[UP], false, false),
            (&[UP, UP], false, false),
            (&[old], true, true),
            (&[down(940.0)], true, false),
            (&[down(939.999)], true, true),
            (&[down(2000.0)], true, false),
            (&[old, down(990.0)], true, false),
            (&[old, UP], true, true),
            (&[UNKNOWN], true, true),
            (&[UNKNOWN, down(999.0)], true, false),
        ];
        for (states, draining, safe) in cases {
            assert_eq!(is_draining(states), draining, "{states:?}");
            let now = UnixTime::new(1000.0).unwrap();
            assert_eq!(is_safe_to_kill(states, 60.0, now), safe, "{states:?}");
        }
    }
}
