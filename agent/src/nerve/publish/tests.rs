use std::time::SystemTime;

use super::*;
use crate::{
    nerve::{checks::tests::http, health::Health, registrations::RegistrationKey},
    registry::{Ensemble, ParentPath, Record, RecordKey, TaskId},
};

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

pub(in crate::nerve) fn registration(
    task: &str,
    port: u16,
    leaving: Option<&str>,
) -> (RegistrationKey, Arc<Registration>) {
    let namespace: Namespace = "web.main".parse().unwrap();
    let task = TaskId(task.into());
    let record = Record {
        host: HOST,
        port,
        name: "host1".to_owned(),
        weight: None,
        haproxy_server_options: None,
        labels: None,
    };
    let parent = ParentPath::v2(&namespace);
    let key = RegistrationKey { task: task.clone(), namespace };
    let registration = Registration {
        key: key.clone(),
        title: task.to_string(),
        created: None,
        life: String::new(),
        port,
        plan: http(port, Duration::from_secs(1)),
        leaving: leaving.map(str::to_owned),
        records: BTreeMap::from([(
            RecordKey { ensemble: Ensemble::memory(), parent, task },
            record,
        )]),
    };
    (key, Arc::new(registration))
}

pub(in crate::nerve) fn all(
    registrations: &[(RegistrationKey, Arc<Registration>)],
) -> Registrations {
    Registrations {
        complete: true,
        wanted: registrations.iter().cloned().collect(),
        ..Registrations::default()
    }
}

pub(in crate::nerve) fn health(key: &RegistrationKey, state: State) -> HealthMap {
    let detail = "because".to_owned();
    HealthMap::from([(key.clone(), Health { state, detail, since: SystemTime::UNIX_EPOCH })])
}

#[test]
fn only_a_healthy_task_that_stays_is_wanted() {
    let (key, stays) = registration("a", 1, None);
    let (_, leaves) = registration("a", 1, Some("told to stop"));
    let none = HealthMap::new();
    for (registration, health, records, undecided, away) in [
        (&stays, health(&key, State::Up), 1, 0, None),
        (&stays, health(&key, State::Down), 0, 0, Some("because")),
        (&stays, health(&key, State::Marked), 0, 0, Some("because")),
        (&stays, health(&key, State::Held), 0, 0, Some("because")),
        (&stays, none.clone(), 0, 1, None),
        (&leaves, health(&key, State::Up), 0, 0, Some("told to stop")),
        (&leaves, none, 0, 0, Some("told to stop")),
    ] {
        let all = all(&[(key.clone(), Arc::clone(registration))]);
        let wanted = wanted(&all, &health);
        assert_eq!(
            (wanted.records.len(), wanted.undecided.len()),
            (records, undecided),
            "{health:?}"
        );
        let out = super::away(&all, &health, HOST);
        assert_eq!(out.values().next().map(String::as_str), away, "{health:?}");
        let held: Vec<_> = held(&all).into_keys().map(|key| key.to_string()).collect();
        let expected = registration.leaving.iter().map(|_| "web.main:1").collect::<Vec<_>>();
        assert_eq!(held, expected);
    }
}

#[test]
fn on_a_host_that_leaves_nothing_is_wanted_and_all_is_held_down() {
    let (key, stays) = registration("a", 1, None);
    let leaving = all(&[(key.clone(), stays)]).leaving(Some("shutdown".into()));
    assert!(wanted(&leaving, &health(&key, State::Up)).records.is_empty());
    let out = away(&leaving, &health(&key, State::Up), HOST);
    assert_eq!(out.values().next().unwrap(), "the host leaves: shutdown");
    let held: Vec<_> = held(&leaving).into_keys().map(|key| key.to_string()).collect();
    assert_eq!(held, ["all", "web.main:1"]);
}

#[test]
fn a_server_whose_task_ended_is_held_out_until_its_port_is_used_again() {
    let (first, second) = (registration("a", 1, None), registration("b", 1, None));
    let mut departed = Departed::default();
    let now = Instant::now();
    departed.look(&all(&[first]), HOST, now);
    assert_eq!(departed.servers().count(), 0);
    departed.look(&all(&[]), HOST, now);
    assert_eq!(departed.servers().next().unwrap().0.1, SocketAddr::new(HOST, 1));
    departed.look(&all(&[second]), HOST, now);
    assert_eq!(departed.servers().count(), 0);
    departed.look(&all(&[]), HOST, now);
    departed.look(&all(&[]), HOST, now + DEPARTED_FOR);
    assert_eq!(departed.servers().count(), 0);
}
