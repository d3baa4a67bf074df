use std::{num::NonZeroUsize, time::Duration};

use super::*;
use crate::nerve::checks::tests::http;

const SECOND: Duration = Duration::from_secs(1);

fn examination(damping: Damping) -> Examination {
    Examination::new(&http(1, SECOND), damping)
}

/// One round with a single check; its state.
fn sees(patient: &mut Examination, finding: Finding, now: Instant) -> State {
    let mut round = Round { up: true, doubtful: false, detail: String::new() };
    round.take(&mut patient.judges[0], finding);
    patient.conclude(round, now).0
}

fn good() -> Finding {
    Finding::Good("http 200".to_owned())
}

fn bad() -> Finding {
    Finding::Bad("503".to_owned())
}

#[test]
fn a_bad_answer_is_doubted_and_a_hung_service_is_not() {
    let (mut patient, now) = (examination(Damping::default()), Instant::now());
    assert_eq!(sees(&mut patient, good(), now), State::Up);
    assert_eq!(sees(&mut patient, bad(), now), State::Up);
    let next = patient.next_round(now, 1.0);
    assert!(next < now + SECOND, "it is asked again at once");
    assert_eq!(sees(&mut patient, bad(), now), State::Down);
    assert_eq!(sees(&mut patient, good(), now), State::Up);
    let hung = Finding::Hung("no answer".to_owned());
    assert_eq!(sees(&mut patient, hung, now), State::Down);
}

#[test]
fn a_flapping_task_leaves_at_once_and_comes_back_when_its_time_is_over() {
    let damping = Damping { falls: 2, ..Damping::default() };
    let (mut patient, mut now) = (examination(damping), Instant::now());
    sees(&mut patient, good(), now);
    for (fall, back) in [(1, State::Up), (2, State::Held)] {
        sees(&mut patient, bad(), now);
        assert_eq!(sees(&mut patient, bad(), now), State::Down, "{fall}");
        assert_eq!(sees(&mut patient, good(), now), back, "{fall}");
    }
    now += 9 * SECOND;
    assert_eq!(sees(&mut patient, good(), now), State::Held);
    assert_eq!(patient.next_round(now, 1.0), now + SECOND, "it is not held longer than it must be");
    now += SECOND;
    assert_eq!(sees(&mut patient, good(), now), State::Up);
}

#[test]
fn a_task_that_is_held_back_and_falls_ill_again_has_not_fallen_from_service() {
    let damping = Damping { falls: 1, ..Damping::default() };
    let (mut patient, now) = (examination(damping), Instant::now());
    sees(&mut patient, good(), now);
    for finding in [bad(), bad(), good(), bad(), bad(), good()] {
        sees(&mut patient, finding, now);
    }
    assert_eq!(patient.damper.falls(), 1);
}

#[test]
fn all_checks_of_a_registration_must_pass_and_the_first_that_is_down_ends_the_round() {
    let n = |n| NonZeroUsize::new(n).unwrap();
    let mut judges = [Judge::new(n(1), n(2)), Judge::new(n(1), n(1))];
    let round = |judges: &mut [Judge; 2], findings: [Finding; 2]| {
        let mut round = Round { up: true, doubtful: false, detail: String::new() };
        for (judge, finding) in judges.iter_mut().zip(findings) {
            round.take(judge, finding);
            if !round.up {
                break;
            }
        }
        (round.up, round.doubtful, round.detail)
    };
    assert_eq!(round(&mut judges, [good(), good()]), (true, false, "http 200".to_owned()));
    assert_eq!(round(&mut judges, [bad(), good()]), (true, true, "503".to_owned()));
    assert_eq!(round(&mut judges, [good(), bad()]), (false, false, "503".to_owned()));
    assert_eq!(round(&mut judges, [bad(), good()]), (true, true, "503".to_owned()));
    assert_eq!(round(&mut judges, [bad(), good()]), (false, false, "503".to_owned()));
}
