use super::*;
use crate::{
    nerve::publish::tests::{all, health, registration},
    tally::tests::{heard, said},
};

#[test]
fn what_begins_changes_and_ends_is_told_as_nerve_tells_it() {
    let (tally, receiver) = heard();
    let none = Registrations::default();
    let first = all(&[registration("a", 1, None)]);
    let second = all(&[registration("a", 2, None)]);
    for (before, now) in [(&none, &first), (&first, &second), (&second, &second), (&second, &none)]
    {
        count_tasks(&tally, before, now);
    }
    let begins = |reason: &str, port: u16| {
        [
            format!(
                "nerve.watcher.launch:1|c|#launch_reason:{reason},watcher_name:web.main.{port}"
            ),
            "nerve.watcher.start:1|c|#service_name:web.main".to_owned(),
        ]
    };
    let ends = |reason: &str| {
        [
            format!("nerve.watcher.reap:1|c|#reap_reason:{reason},reap_result:success"),
            "nerve.watcher.stop:1|c|#stop_avenue:clean".to_owned(),
        ]
    };
    let update = || ["nerve.config.update:1|c".to_owned()].into_iter();
    let expected: Vec<String> = (begins("new", 1).into_iter().chain(update()))
        .chain(begins("update", 2).into_iter().chain(ends("update")).chain(update()))
        .chain(ends("old").into_iter().chain(update()))
        .collect();
    assert_eq!(said(&tally, &receiver), expected);
}

#[test]
fn a_transition_is_told_once_and_a_mark_is_down() {
    let (tally, receiver) = heard();
    let (key, _) = registration("a", 1, None);
    let (up, down, marked) =
        (health(&key, State::Up), health(&key, State::Down), health(&key, State::Marked));
    let unknown = health(&key, State::Unknown);
    for (before, now) in [
        (&HealthMap::new(), &unknown),
        (&unknown, &up),
        (&up, &up),
        (&up, &marked),
        (&marked, &down),
        (&down, &up),
    ] {
        count_transitions(&tally, before, now);
    }
    let line = |status: &str| format!("nerve.watcher.status.transition:1|c|#new_status:{status}");
    assert_eq!(said(&tally, &receiver), ["up", "down", "up"].map(line));
}

#[test]
fn a_record_that_should_be_there_and_is_not_is_a_failed_ping() {
    let (tally, receiver) = heard();
    let (key, registration) = registration("a", 1, None);
    let tasks = all(&[(key.clone(), Arc::clone(&registration))]);
    let records = registration.records.keys().map(|key| (key.clone(), "/x".to_owned())).collect();
    let written = Published { connected: true, records, ..Published::default() };
    let lost = Published { connected: true, ..Published::default() };
    let away = Published::default();
    let up = health(&key, State::Up);
    for (health, published) in
        [(&up, &written), (&up, &lost), (&HealthMap::new(), &lost), (&up, &away)]
    {
        ping(&tally, health, published, &tasks);
    }
    let line = |result: &str| format!("nerve.watcher.status.ping.count:1|c|#ping_result:{result}");
    let expected = ["success", "fail", "success", "fail"].map(line);
    assert_eq!(said(&tally, &receiver), expected);
}
