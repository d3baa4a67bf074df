//! Marks, expiries, other programs and checks in any order, against a model that fits on a page.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    time::Duration,
};

use proptest::prelude::*;
use tokio::time;

use super::*;
use crate::marks::MarkKey;

/// How long a mark lasts that is to end during a test.
const SOON: f64 = 0.03;
/// Longer than that, with room for a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Until {
    Never,
    Later,
    Soon,
    /// Over before it began.
    Past,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A POST, which cannot name another host.
    Down(&'static str, Until),
    Up(&'static str),
    /// Another program writes or deletes a file.
    Write(&'static str, Until),
    Delete(&'static str),
    /// Until every mark that ends soon has ended.
    Wait,
    Ask(&'static str, u16, bool),
}

/// What may be marked. 7001 and 7002 are ports, 10.7.0.2 is a container.
const POSTED: [&str; 6] = ["all", "a", "b", "a:7001", "b:7001", "a:7002"];
const WRITTEN: [&str; 7] =
    ["all", "a", "b", "a:7001", "b:7001", "a:10.7.0.2:7001", "b:10.7.0.2:7002"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let until = prop::sample::select(vec![Until::Never, Until::Later, Until::Soon, Until::Past]);
    let posted = || prop::sample::select(POSTED.to_vec());
    let written = || prop::sample::select(WRITTEN.to_vec());
    let port = prop::sample::select(vec![7001, 7002]);
    let step = prop_oneof![
        2 => (posted(), until.clone()).prop_map(|(key, until)| Step::Down(key, until)),
        2 => posted().prop_map(Step::Up),
        1 => (written(), until).prop_map(|(key, until)| Step::Write(key, until)),
        1 => written().prop_map(Step::Delete),
        1 => Just(Step::Wait),
        4 => (prop::sample::select(vec!["a", "b"]), port, any::<bool>())
            .prop_map(|(service, port, other)| Step::Ask(service, port, other)),
    ];
    prop::collection::vec(step, 1..25)
}

/// By file name: the reason, and when it ends.
#[derive(Debug, Default)]
struct Model {
    marks: BTreeMap<&'static str, (String, Option<f64>)>,
    written: usize,
}

impl Model {
    /// A mark with a reason of its own.
    fn put(&mut self, key: &'static str, until: Until) -> (String, Option<f64>) {
        self.written += 1;
        let now = UnixTime::now().seconds();
        let expiration = match until {
            Until::Never => None,
            Until::Later => Some(now + 10_000.0),
            Until::Soon => Some(now + SOON),
            Until::Past => Some(now - 1.0),
        };
        let mark = (format!("reason {}", self.written), expiration);
        self.marks.insert(key, mark.clone());
        mark
    }

    fn holds(&self, key: &str, now: f64) -> Option<&str> {
        let (reason, expiration) = self.marks.get(key)?;
        expiration.is_none_or(|expiration| expiration >= now).then_some(reason)
    }

    /// The reason that a request hears at `now`.
    fn answer(&self, service: &str, port: u16, other: bool, now: f64) -> Option<&str> {
        let host = if other { ":10.7.0.2" } else { "" };
        let names = ["all".to_owned(), service.to_owned(), format!("{service}{host}:{port}")];
        names.iter().find_map(|name| self.holds(name, now))
    }

    /// When the last mark that ends soon has ended.
    fn all_ended(&self) -> f64 {
        let now = UnixTime::now().seconds();
        let ends = self.marks.values().filter_map(|(_, expiration)| *expiration);
        ends.filter(|end| *end < now + 100.0).fold(now, f64::max)
    }
}

/// As old programs write: the file is emptied, then written.
fn write(host: &Host, key: &str, mark: &(String, Option<f64>)) {
    let expiration = mark.1.map_or("null".to_owned(), |seconds| seconds.to_string());
    let text =
        format!(r#"{{"reason": "{}", "expiration": {expiration}, "creation": 1.5}}"#, mark.0);
    let path = host.root.path().join("spool").join(key);
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn walk(steps: &[Step]) {
    let host = Host::start(Settings::default()).await;
    let mut model = Model::default();
    for step in steps {
        match *step {
            Step::Down(key, until) => {
                let (reason, expiration) = model.put(key, until);
                let until = expiration.map(|e| format!("&expiration={e}")).unwrap_or_default();
                let form = format!("status=down&reason={reason}{until}");
                assert_eq!(host.post(&path(key), &form).await.0, 200);
            }
            Step::Up(key) => {
                model.marks.remove(key);
                assert_eq!(host.post(&path(key), "status=up").await.0, 200);
            }
            Step::Write(key, until) => {
                let mark = model.put(key, until);
                write(&host, key, &mark);
                seen(&host, key, &model).await;
            }
            Step::Delete(key) => {
                model.marks.remove(key);
                let _ = fs::remove_file(host.root.path().join("spool").join(key));
                seen(&host, key, &model).await;
            }
            Step::Wait => {
                let ended = model.all_ended();
                while UnixTime::now().seconds() <= ended {
                    time::sleep(Duration::from_millis(2)).await;
                }
            }
            Step::Ask(service, port, other) => ask(&host, &model, service, port, other).await,
        }
    }
}

/// Waits until a change of another program is in force.
async fn seen(host: &Host, key: &str, model: &Model) {
    let name: MarkKey = key.parse().unwrap();
    let mut tables = host.marks.subscribe();
    let in_force = async {
        loop {
            let now = UnixTime::now();
            let found = {
                let table = tables.borrow_and_update();
                table.get(&name).filter(|mark| !mark.is_expired(now)).map(|m| m.reason.clone())
            };
            if found.as_deref() == model.holds(key, now.seconds()) {
                return;
            }
            let _ = time::timeout(Duration::from_millis(20), tables.changed()).await;
        }
    };
    assert!(time::timeout(PATIENCE, in_force).await.is_ok(), "{key} is not as written: {model:?}");
}

async fn ask(host: &Host, model: &Model, service: &str, port: u16, other: bool) {
    let path = format!("/spool/{service}/{port}/status");
    let address = if other { "10.7.0.2" } else { "10.0.0.7" };
    let headers = &[("x-nerve-check-ip", address)];
    let before = UnixTime::now().seconds();
    let answer = host.ask(Ask { path: &path, headers, ..Ask::default() }).await;
    let after = UnixTime::now().seconds();
    // A mark may end while it is asked about; then either answer is right.
    let right = [before, after].map(|now| model.answer(service, port, other, now));
    let told = match answer.status {
        200 => None,
        503 => Some(answer.body.rsplit_once(": ").unwrap().1),
        other => panic!("{other}"),
    };
    assert!(right.contains(&told), "{service}:{port}: {told:?} is not of {right:?}; {model:?}");
}

fn path(key: &str) -> String {
    let (service, port) = key.split_once(':').unwrap_or((key, "0"));
    format!("/spool/{service}/{port}/x")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn marks_and_their_ends_are_as_the_model_says_whoever_makes_them(steps in steps()) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(&steps));
    }
}
