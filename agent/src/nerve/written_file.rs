//! A file that names things of this host, followed: what it said last stands while it is broken, and that
//! it suddenly says nothing is believed at the second look.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use soa_configs::file;
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Refusal;
use crate::{
    file_hints::{FileHints, Watched},
    snapshot::renew,
};

/// A change missed by inotify is found after this.
const PERIOD: Duration = Duration::from_secs(60);
/// That nothing is said any more is believed if it is so after this, too.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Said<T> {
    /// It was looked at, or there is none to look at.
    pub looked: bool,
    pub items: Vec<T>,
    /// Why the file, or an entry of it, is not in force.
    pub problems: Vec<Refusal>,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { looked: false, items: Vec::new(), problems: Vec::new() }
    }
}

impl<T> Said<T> {
    /// There is no such file on this host, and that is known.
    #[must_use]
    pub fn nothing() -> Self {
        Self { looked: true, ..Self::default() }
    }
}

impl<T: Clone> Said<T> {
    /// What both say.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            looked: self.looked && other.looked,
            items: [self.items.clone(), other.items.clone()].concat(),
            problems: [self.problems.clone(), other.problems.clone()].concat(),
        }
    }
}

/// What a text says: entries, and the name and fault of each that is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    pub items: Vec<T>,
    pub problems: Vec<(String, String)>,
}

/// Reads a text; the error is a sentence, when nothing of it can be believed.
pub trait Parse<T>: Fn(&str) -> Result<Parsed<T>, String> + Clone + Send + 'static {}

impl<T, F: Fn(&str) -> Result<Parsed<T>, String> + Clone + Send + 'static> Parse<T> for F {}

/// What a look at the file comes to.
#[derive(Debug, PartialEq)]
enum Judged<T> {
    Believed(Said<T>),
    /// It suddenly says nothing: what it said stands until a second look shows the same.
    Doubted,
}

/// Reads `path`. A broken file keeps what `last` says; a missing or empty one says
/// nothing, if that was `doubted` before.
fn look<T: Clone>(path: &Path, parse: &impl Parse<T>, last: &Said<T>, doubted: bool) -> Judged<T> {
    let text = match file::read(path) {
        Ok(text) => text,
        Err(error) if error.is_missing() => String::new(),
        Err(error) => return Judged::Believed(broken(path, last, error.one_line())),
    };
    match parse(&text) {
        Ok(read) if read.items.is_empty() && !last.items.is_empty() && !doubted => Judged::Doubted,
        Ok(Parsed { items, problems }) => {
            let file = path.display().to_string();
            let problem = |(title, reason)| Refusal { task: file.clone(), title, reason };
            let problems = problems.into_iter().map(problem).collect();
            Judged::Believed(Said { looked: true, items, problems })
        }
        Err(reason) => {
            Judged::Believed(broken(path, last, format!("{}: {reason}", path.display())))
        }
    }
}

/// Publishes what the file at `path` says whenever it changes, until `stop`.
pub async fn follow<T: Clone + PartialEq + Send + Sync + 'static>(
    path: PathBuf,
    parse: impl Parse<T>,
    current: watch::Sender<Arc<Said<T>>>,
    stop: CancellationToken,
) {
    let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut hints = FileHints::new(vec![Watched { path: dir, recursive: false }], PERIOD);
    let mut doubted = false;
    loop {
        let (file, last) = (path.clone(), Arc::clone(&current.borrow()));
        let parse = parse.clone();
        let look = move || look(&file, &parse, &last, doubted);
        let Ok(judged) = tokio::task::spawn_blocking(look).await else { return };
        doubted = matches!(judged, Judged::Doubted);
        match judged {
            Judged::Believed(read) => renew(&current, read),
            Judged::Doubted => info!(
                file = %path.display(),
                "suddenly says nothing; what it said before stands until a second look"
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

fn broken<T: Clone>(path: &Path, last: &Said<T>, reason: String) -> Said<T> {
    let file = path.display().to_string();
    let problem = Refusal { task: file.clone(), title: file, reason };
    Said { looked: true, items: last.items.clone(), problems: vec![problem] }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::nerve::local_tasks::{self, LocalTask};

    type Tasks = Said<LocalTask>;

    const TASK: &str = "- {name: web-1, namespaces: [web.main], port: 31001}\n";

    fn write(path: &Path, text: &str) {
        crate::atomic_file::write(path, text.as_bytes()).unwrap();
    }

    /// Looks at `path` for the first time since `last`.
    fn read(path: &Path, last: &Tasks) -> Tasks {
        match look(path, &local_tasks::parse, last, false) {
            Judged::Believed(tasks) => tasks,
            Judged::Doubted => panic!("{} is doubted", path.display()),
        }
    }

    #[test]
    fn a_broken_file_keeps_the_last_good_tasks_and_says_where_it_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        assert_eq!(read(&path, &Tasks::default()), Tasks::nothing());
        write(&path, TASK);
        let good = read(&path, &Tasks::nothing());
        assert_eq!(
            (good.items[0].port, good.items[0].id().to_string().as_str()),
            (31001, "local:web-1")
        );
        write(&path, "- {name: web-1, namespaces: [web.main], port: nonsense}\n");
        let kept = read(&path, &good);
        assert_eq!(kept.items, good.items);
        assert!(kept.problems[0].reason.contains("line 1"), "{}", kept.problems[0].reason);
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        write(&path, TASK);
        let good = read(&path, &Tasks::default());
        write(&path, &"#".repeat((1 << 20) + 1));
        let kept = read(&path, &good);
        assert_eq!(kept.items, good.items);
        assert!(kept.problems[0].reason.ends_with("is larger than 1 MiB"));
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let kept = read(&path, &good);
        assert_eq!(kept.items, good.items);
        assert!(kept.problems[0].reason.ends_with("is not a regular file"));
    }

    #[tokio::test]
    async fn no_tasks_at_all_are_believed_at_a_second_look_that_no_hint_makes_early() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        let (sender, mut current) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let following =
            tokio::spawn(follow(path.clone(), local_tasks::parse, sender, stop.clone()));
        for nothing in [None, Some(""), Some("[]")] {
            write(&path, TASK);
            current.wait_for(|now: &Arc<Tasks>| !now.items.is_empty()).await.unwrap();
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
                    let gone = current.wait_for(|now| now.items.is_empty());
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
}
