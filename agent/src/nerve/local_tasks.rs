//! Local processes that serve traffic without a container, named in a file.
//!
//! ```yaml
//! - name: web-1              # unique in the file
//!   namespaces: [web.main]
//!   port: 31001              # where it listens on this host
//!   interval: 2s             # these need not be given
//!   checks: [{type: tcp}]    # in the words of `checks::written`
//!   weight: 10
//!   labels: {rack: a}
//!   haproxy_server_options: backup
//! ```

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use serde::Deserialize;
use soa_configs::{Namespace, file};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    Refusal,
    checks::{Checked, written::Written},
    records::Payload,
};
use crate::{
    config::Span,
    file_hints::{FileHints, Watched},
    registry::TaskId,
};

/// A change missed by inotify is found after this.
const PERIOD: Duration = Duration::from_secs(60);
/// That there are no tasks any more is believed if it is so after this, too.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalTasks {
    pub tasks: Vec<LocalTask>,
    /// Why the file, or an entry of it, is not in force.
    pub problems: Vec<Refusal>,
}

/// One process of this host.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalTask {
    pub name: String,
    pub namespaces: Vec<Namespace>,
    pub port: u16,
    pub checked: Checked,
    pub payload: Payload,
}

impl LocalTask {
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(format!("local:{}", self.name).into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    namespaces: Vec<Namespace>,
    port: std::num::NonZeroU16,
    interval: Option<String>,
    checks: Option<Vec<Written>>,
    weight: Option<u16>,
    #[serde(default)]
    labels: IndexMap<String, String>,
    haproxy_server_options: Option<String>,
}

impl Raw {
    /// # Errors
    /// A sentence that names the task.
    fn task(self) -> Result<LocalTask, String> {
        let (name, port) = (self.name, self.port.get());
        let wrong = |reason: String| format!("`{name}`: {reason}");
        let interval = self.interval.map(|text| text.parse::<Span>()).transpose();
        let interval = interval.map_err(|reason| wrong(format!("interval {reason}")))?;
        if interval.is_some_and(|Span(time)| time.is_zero()) {
            return Err(wrong("interval must be longer than nothing".to_owned()));
        }
        let judged = |written: Vec<Written>| {
            written.into_iter().map(|check| check.check(port)).collect::<Result<Vec<_>, _>>()
        };
        let checks = self.checks.map(judged).transpose().map_err(wrong)?;
        let checked = match (interval, checks) {
            (None, None) => Checked::AsNamespace,
            (interval, checks) => {
                Checked::AsWritten { interval: interval.map(|Span(time)| time), checks }
            }
        };
        let options = self.haproxy_server_options;
        if options.iter().any(|text| text.chars().any(char::is_control)) {
            return Err(wrong("haproxy_server_options holds control characters".to_owned()));
        }
        let usual = Payload::default();
        let payload = Payload {
            weight: self.weight.map(u32::from).or(usual.weight),
            haproxy_server_options: options,
            labels: self.labels,
            ..usual
        };
        Ok(LocalTask { name, namespaces: self.namespaces, port, checked, payload })
    }
}

/// What a look at the file comes to.
#[derive(Debug, PartialEq)]
enum Judged {
    Believed(LocalTasks),
    /// There are suddenly no tasks: those of before stand until a second look shows the same.
    Doubted,
}

/// Reads `path`. A broken file keeps the tasks of `last`; a missing or empty one has none, if that was
/// `doubted` before.
fn look(path: &Path, last: &LocalTasks, doubted: bool) -> Judged {
    let text = match file::read(path) {
        Ok(text) => text,
        Err(error) if error.is_missing() => String::new(),
        Err(error) => return Judged::Believed(broken(path, last, error.one_line())),
    };
    match parse(&text) {
        Ok(tasks) if tasks.is_empty() && !last.tasks.is_empty() && !doubted => Judged::Doubted,
        Ok(tasks) => Judged::Believed(LocalTasks { tasks, problems: Vec::new() }),
        Err(reason) => {
            Judged::Believed(broken(path, last, format!("{}: {reason}", path.display())))
        }
    }
}

/// Publishes what the file at `path` says whenever it changes, until `stop`.
pub async fn follow(
    path: PathBuf,
    current: watch::Sender<Arc<LocalTasks>>,
    stop: CancellationToken,
) {
    let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut hints = FileHints::new(vec![Watched { path: dir, recursive: false }], PERIOD);
    let mut doubted = false;
    loop {
        let (file, last) = (path.clone(), Arc::clone(&current.borrow()));
        let look = move || look(&file, &last, doubted);
        let Ok(judged) = tokio::task::spawn_blocking(look).await else { return };
        doubted = judged == Judged::Doubted;
        match judged {
            Judged::Believed(read) => publish(&current, read),
            Judged::Doubted => info!(
                file = %path.display(),
                "suddenly without tasks; those of before stand until a second look"
            ),
        }
        let next = async {
            // A hint would make the second look too early.
            if doubted { time::sleep(SECOND_LOOK).await } else { hints.next().await }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
    }
}

fn publish(current: &watch::Sender<Arc<LocalTasks>>, read: LocalTasks) {
    current.send_if_modified(|tasks| {
        let changed = **tasks != read;
        *tasks = Arc::new(read);
        changed
    });
}

fn broken(path: &Path, last: &LocalTasks, reason: String) -> LocalTasks {
    let file = path.display().to_string();
    let problem = Refusal { task: file.clone(), title: file, reason };
    LocalTasks { tasks: last.tasks.clone(), problems: vec![problem] }
}

fn parse(text: &str) -> Result<Vec<LocalTask>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let raw: Vec<Raw> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let mut names = BTreeSet::new();
    for task in &raw {
        if task.name.is_empty() || task.name.chars().any(char::is_control) {
            return Err(format!("`{}` is no name", task.name.escape_debug()));
        }
        if !names.insert(&task.name) {
            return Err(format!("the name `{}` is used twice", task.name));
        }
    }
    raw.into_iter().map(Raw::task).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const TASK: &str = "- {name: web-1, namespaces: [web.main], port: 31001}\n";

    fn write(path: &Path, text: &str) {
        crate::atomic_file::write(path, text.as_bytes()).unwrap();
    }

    /// Looks at `path` for the first time since `last`.
    fn read(path: &Path, last: &LocalTasks) -> LocalTasks {
        match look(path, last, false) {
            Judged::Believed(tasks) => tasks,
            Judged::Doubted => panic!("{} is doubted", path.display()),
        }
    }

    #[test]
    fn a_broken_file_keeps_the_last_good_tasks_and_says_where_it_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        assert_eq!(read(&path, &LocalTasks::default()), LocalTasks::default());
        write(&path, TASK);
        let good = read(&path, &LocalTasks::default());
        assert_eq!(
            (good.tasks[0].port, good.tasks[0].id().to_string().as_str()),
            (31001, "local:web-1")
        );
        write(&path, "- {name: web-1, namespaces: [web.main], port: nonsense}\n");
        let kept = read(&path, &good);
        assert_eq!(kept.tasks, good.tasks);
        assert!(kept.problems[0].reason.contains("line 1"), "{}", kept.problems[0].reason);
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        write(&path, TASK);
        let good = read(&path, &LocalTasks::default());
        write(&path, &"#".repeat((1 << 20) + 1));
        let kept = read(&path, &good);
        assert_eq!(kept.tasks, good.tasks);
        assert!(kept.problems[0].reason.ends_with("is larger than 1 MiB"));
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let kept = read(&path, &good);
        assert_eq!(kept.tasks, good.tasks);
        assert!(kept.problems[0].reason.ends_with("is not a regular file"));
    }

    #[tokio::test]
    async fn no_tasks_at_all_are_believed_at_a_second_look_that_no_hint_makes_early() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        let (sender, mut current) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let following = tokio::spawn(follow(path.clone(), sender, stop.clone()));
        for nothing in [None, Some(""), Some("[]")] {
            write(&path, TASK);
            current.wait_for(|now: &Arc<LocalTasks>| !now.tasks.is_empty()).await.unwrap();
            let removed = Instant::now();
            std::fs::remove_file(&path).unwrap();
            if let Some(text) = nothing {
                write(&path, text);
            }
            let gone = async {
                loop {
                    // Each is a hint.
                    write(&dir.path().join("other"), "");
                    let soon = Duration::from_millis(10);
                    let gone = current.wait_for(|now| now.tasks.is_empty());
                    if time::timeout(soon, gone).await.is_ok() {
                        return;
                    }
                }
            };
            time::timeout(Duration::from_secs(20), gone).await.unwrap();
            assert!(removed.elapsed() >= SECOND_LOOK, "{nothing:?}: {:?}", removed.elapsed());
        }
        stop.cancel();
        following.await.unwrap();
    }

    #[test]
    fn a_task_says_how_it_is_checked_and_what_its_record_holds() {
        let tasks = parse(
            "- {name: a, namespaces: [web.main], port: 1, interval: 500ms}\n\
             - {name: b, namespaces: [web.main], port: 2, checks: [], weight: 20, \
             labels: {rack: x}, haproxy_server_options: backup}\n",
        )
        .unwrap();
        let often = Some(Duration::from_millis(500));
        assert_eq!(tasks[0].checked, Checked::AsWritten { interval: often, checks: None });
        assert_eq!(tasks[0].payload, Payload::default());
        let unchecked = Checked::AsWritten { interval: None, checks: Some(Vec::new()) };
        assert_eq!(tasks[1].checked, unchecked);
        let payload = &tasks[1].payload;
        assert_eq!((payload.weight, &*payload.labels["rack"]), (Some(20), "x"));
        assert_eq!(payload.haproxy_server_options.as_deref(), Some("backup"));
        for (keys, expected) in [
            ("interval: 5", "`a`: interval"),
            ("interval: 0s", "`a`: interval"),
            ("checks: [{type: ping}]", "`a`: type `ping`"),
            ("weight: 70000", "70000"),
            ("haproxy_server_options: \"a\\nb\"", "control characters"),
        ] {
            let text = format!("- {{name: a, namespaces: [web.main], port: 1, {keys}}}");
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{keys}: {error}");
        }
    }

    #[test]
    fn a_name_stands_once() {
        let task = "- {name: a, namespaces: [web.main], port: 1}\n";
        assert!(parse(&task.repeat(2)).unwrap_err().contains("used twice"));
        assert!(
            parse("- {name: a, namespaces: [web], port: 1}")
                .unwrap_err()
                .contains("needs a service")
        );
    }
}
