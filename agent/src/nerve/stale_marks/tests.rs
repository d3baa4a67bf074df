use std::{collections::BTreeMap, time::Duration};

use hacheck::marks::{UnixTime, Wish};
use tokio::time::timeout;

use super::*;
use crate::{
    nerve::{
        checks::tests::http,
        registrations::{Registration, RegistrationKey},
    },
    registry::TaskId,
};

fn at(seconds: f64) -> Option<UnixTime> {
    UnixTime::new(seconds)
}

/// Two containers of `web.main`, on ports 31000 and 32000.
fn tasks(created: Option<UnixTime>) -> Registrations {
    let wanted = [31000, 32000].map(|port| {
        let namespace = "web.main".parse().unwrap();
        let key = RegistrationKey { task: TaskId(format!("new-{port}").into()), namespace };
        let registration = Registration {
            key: key.clone(),
            title: format!("mesos-new-{port}"),
            life: String::new(),
            created,
            port,
            plan: http(port, Duration::from_secs(1)),
            leaving: None,
            records: BTreeMap::new(),
        };
        (key, Arc::new(registration))
    });
    Registrations { complete: true, wanted: wanted.into(), ..Registrations::default() }
}

fn table(name: &str, creation: Option<UnixTime>) -> MarkTable {
    let key = name.parse().unwrap();
    let mark = Mark { key, reason: "Drained by Paasta".into(), expiration: None, creation };
    [Arc::new(mark)].into_iter().collect()
}

#[test]
fn a_mark_is_stale_only_if_it_is_older_than_the_container_on_its_very_port() {
    let cases = [
        ("web.main:31000", at(999.9), at(1000.0), true),
        ("web.main:31000", at(1000.0), at(1000.0), false),
        ("web.main:31000", at(1000.1), at(1000.0), false),
        ("web.main:31000", None, at(1000.0), false),
        ("web.main:31000", at(999.9), None, false),
        ("web.main:31001", at(999.9), at(1000.0), false),
        ("web.other:31000", at(999.9), at(1000.0), false),
        ("web.main:10.0.0.9:31000", at(999.9), at(1000.0), false),
        ("web.main", at(999.9), at(1000.0), false),
        ("all", at(999.9), at(1000.0), false),
    ];
    for (name, creation, created, expected) in cases {
        let found = stale(&tasks(created), &table(name, creation));
        assert_eq!(!found.is_empty(), expected, "{name} {creation:?} {created:?}");
    }
    let found = stale(&tasks(at(1000.0)), &table("web.main:31000", at(1.0)));
    assert_eq!(found[0].title, "mesos-new-31000");
}

struct Running {
    marks: Marks,
    found: Counter,
    _registrations: watch::Sender<Arc<Registrations>>,
    _stop: tokio_util::sync::DropGuard,
    _spool: tempfile::TempDir,
}

impl Running {
    async fn start(drop: bool) -> Self {
        let spool = tempfile::tempdir().unwrap();
        let (marks, keeper) = Marks::open(spool.path()).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(keeper.run(stop.clone()));
        let (sender, receiver) = watch::channel(Arc::new(tasks(at(1000.0))));
        let found = Counter::default();
        let settings = Settings { drop, found: found.clone() };
        tokio::spawn(run(settings, receiver, marks.clone(), stop.clone()));
        let _stop = stop.drop_guard();
        Self { marks, found, _registrations: sender, _stop, _spool: spool }
    }

    async fn mark(&self, name: &str, creation: f64) {
        let wish = Wish { reason: "drain".into(), expiration: None, creation: at(creation) };
        self.marks.set(name.parse().unwrap(), wish).await.unwrap();
    }

    async fn finds(&self, count: u64) {
        let found = async {
            while self.found.get() < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), found).await.unwrap();
    }
}

#[tokio::test]
async fn a_mark_that_outlived_its_task_is_dropped_and_a_newer_one_stays() {
    let running = Running::start(true).await;
    running.mark("web.main:31000", 1001.0).await;
    // Both are looked at together.
    running.mark("web.main:32000", 7.0).await;
    let mut tables = running.marks.subscribe();
    let one_left = tables.wait_for(|table| table.len() == 1);
    let left = timeout(Duration::from_secs(10), one_left).await.unwrap().unwrap();
    assert!(left.get(&"web.main:31000".parse().unwrap()).is_some());
    drop(left);
    running.finds(1).await;
}

#[tokio::test]
async fn where_marks_are_not_to_be_dropped_a_stale_one_is_told_of_and_stays() {
    let running = Running::start(false).await;
    running.mark("web.main:31000", 7.0).await;
    running.finds(1).await;
    running.mark("web.main:32000", 7.0).await;
    running.finds(2).await;
    assert_eq!(running.marks.table().len(), 2);
    assert_eq!(running.found.get(), 2, "each once");
}
