use std::{fs, io::Write as _};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

struct Running {
    marks: Marks,
    directory: PathBuf,
    stop: CancellationToken,
    keeper: task::JoinHandle<()>,
    _root: TempDir,
}

impl Running {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self::start_in(root, |_| {}).await
    }

    async fn start_in(root: TempDir, prepare: impl FnOnce(&Path)) -> Self {
        let directory = root.path().join("spool");
        prepare(&directory);
        let (marks, keeper) = Marks::open(&directory).await.unwrap();
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keeper.run(stop.clone()));
        Self { marks, directory, stop, keeper, _root: root }
    }

    /// As another program does it: the file is emptied, then written.
    fn put(&self, name: &str, content: &str) {
        put(&self.directory, name, content);
    }

    fn reason(&self, instance: &str) -> Option<String> {
        let Ok(MarkKey::Instance(service, host, port)) = instance.parse() else {
            panic!("{instance} is no instance")
        };
        self.marks.lookup(service.as_str(), port, host).map(|mark| mark.reason.clone())
    }

    /// Waits until the mark on `instance` has this reason, or there is none.
    async fn becomes(&self, instance: &str, reason: Option<&str>) {
        let mut tables = self.marks.subscribe();
        let changed = async {
            while self.reason(instance).as_deref() != reason {
                tables.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), changed).await;
        assert!(in_time.is_ok(), "{instance}: {:?} is not {reason:?}", self.reason(instance));
    }

    async fn stop(self) {
        self.stop.cancel();
        self.keeper.await.unwrap();
    }
}

fn put(directory: &Path, name: &str, content: &str) {
    fs::File::create(directory.join(name)).unwrap().write_all(content.as_bytes()).unwrap();
}

fn wish(reason: &str) -> Wish {
    Wish { reason: reason.into(), ..Wish::default() }
}

fn key(name: &str) -> MarkKey {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_mark_that_is_set_holds_is_on_disk_and_ends_when_removed() {
    let running = Running::start().await;
    running.marks.set(key("svc:80"), wish("drain")).await.unwrap();
    assert_eq!(running.reason("svc:80").as_deref(), Some("drain"));
    assert_eq!(running.reason("svc:81"), None);
    let content = fs::read_to_string(running.directory.join("svc:80")).unwrap();
    assert!(content.starts_with(r#"{"reason": "drain", "expiration": null, "creation": "#));
    running.marks.remove(key("svc:80")).await.unwrap();
    assert_eq!(running.reason("svc:80"), None);
    assert!(!running.directory.join("svc:80").exists());
    running.marks.remove(key("svc:80")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn marks_survive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let running = Running::start_in(root, |directory| {
        fs::create_dir(directory).unwrap();
        put(directory, "svc", "from before");
    })
    .await;
    assert_eq!(running.reason("svc:80").as_deref(), Some("from before"));
    running.stop().await;
}

#[tokio::test]
async fn a_mark_of_another_program_is_in_force_without_any_request_in_between() {
    let running = Running::start().await;
    running.put("svc:80", "by hand");
    running.becomes("svc:80", Some("by hand")).await;
    running.put("svc:80", r#"{"reason": "changed", "creation": 7.5}"#);
    running.becomes("svc:80", Some("changed")).await;
    fs::remove_file(running.directory.join("svc:80")).unwrap();
    running.becomes("svc:80", None).await;
    running.stop().await;
}

#[tokio::test]
async fn a_renewal_for_the_same_reason_keeps_the_creation_of_the_file() {
    let running = Running::start().await;
    running.put("svc:80", r#"{"reason": "drain", "creation": 7.5}"#);
    running.becomes("svc:80", Some("drain")).await;
    let expiration = UnixTime::new(4e9);
    let renewal = Wish { expiration, ..wish("drain") };
    running.marks.set(key("svc:80"), renewal).await.unwrap();
    let content = fs::read_to_string(running.directory.join("svc:80")).unwrap();
    let expected = r#"{"reason": "drain", "expiration": 4000000000.0, "creation": 7.5}"#;
    assert_eq!(content, expected);
    running.stop().await;
}

#[tokio::test]
async fn a_mark_ends_at_its_expiration_and_its_file_is_deleted() {
    let running = Running::start().await;
    let expiration = UnixTime::new(UnixTime::now().seconds() + 0.3);
    running.marks.set(key("svc:80"), Wish { expiration, ..wish("drain") }).await.unwrap();
    assert_eq!(running.reason("svc:80").as_deref(), Some("drain"));
    running.becomes("svc:80", None).await;
    let gone = async {
        while running.directory.join("svc:80").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Sooner than the regular reading, which others may rely on.
    tokio::time::timeout(Duration::from_secs(4), gone).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_mark_that_the_disk_refuses_is_in_force_and_is_written_later() {
    let running = Running::start().await;
    let aside = running.directory.with_file_name("aside");
    fs::rename(&running.directory, &aside).unwrap();
    fs::File::create(&running.directory).unwrap();
    let error = running.marks.set(key("svc:80"), wish("drain")).await.unwrap_err();
    assert!(error.to_string().contains("spool/svc:80"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(running.reason("svc:80").as_deref(), Some("drain"));
    fs::remove_file(&running.directory).unwrap();
    fs::rename(&aside, &running.directory).unwrap();
    let written = async {
        while !running.directory.join("svc:80").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), written).await.unwrap();
    assert_eq!(running.reason("svc:80").as_deref(), Some("drain"));
    running.stop().await;
}

#[tokio::test]
async fn marks_stay_in_force_while_their_directory_cannot_be_read() {
    let running = Running::start().await;
    running.marks.set(key("svc:80"), wish("drain")).await.unwrap();
    fs::rename(&running.directory, running.directory.with_file_name("aside")).unwrap();
    // A change of another mark has to wait for the reading that the rename has caused.
    running.marks.set(key("svc:81"), wish("drain")).await.unwrap_err();
    running.marks.set(key("svc:81"), wish("again")).await.unwrap_err();
    assert_eq!(running.reason("svc:80").as_deref(), Some("drain"));
    fs::create_dir(&running.directory).unwrap();
    running.becomes("svc:80", None).await;
    running.put("svc:82", "in the new directory");
    running.becomes("svc:82", Some("in the new directory")).await;
    running.stop().await;
}

#[tokio::test]
async fn many_changes_at_once_are_all_done() {
    let running = Running::start().await;
    let mut changes = task::JoinSet::new();
    for port in 1..=300 {
        let marks = running.marks.clone();
        changes.spawn(async move { marks.set(key(&format!("svc:{port}")), wish("drain")).await });
    }
    assert!(changes.join_all().await.iter().all(Result::is_ok));
    assert_eq!(running.marks.table().len(), 300);
    running.stop().await;
}

#[tokio::test]
async fn after_the_keeper_has_stopped_changes_fail_and_marks_still_hold() {
    let running = Running::start().await;
    running.marks.set(key("svc:80"), wish("drain")).await.unwrap();
    let marks = running.marks.clone();
    running.stop().await;
    let error = marks.set(key("svc:81"), wish("drain")).await.unwrap_err();
    assert!(matches!(error, MarkError::Stopped), "{error}");
    assert_eq!(marks.table().len(), 1);
}

#[tokio::test]
async fn a_mark_that_was_renewed_meanwhile_is_not_removed_for_its_age() {
    let running = Running::start().await;
    let key = || "svc:80".parse().unwrap();
    let at = |seconds: f64| UnixTime::new(seconds).unwrap();
    let wish = |creation: f64| Wish { creation: Some(at(creation)), ..Wish::default() };
    running.marks.set(key(), wish(1000.0)).await.unwrap();
    running.marks.remove_older(key(), at(1000.0)).await.unwrap();
    assert_eq!(running.marks.table().len(), 1, "made at that moment");
    running.marks.remove_older(key(), at(1000.5)).await.unwrap();
    assert!(running.marks.table().is_empty());
    running.marks.remove_older(key(), at(1000.5)).await.unwrap();
    running.put("svc:81", "of nobody knows when");
    running.becomes("svc:81", Some("of nobody knows when")).await;
    running.marks.remove_older("svc:81".parse().unwrap(), at(1e9)).await.unwrap();
    assert_eq!(running.marks.table().len(), 1);
}
