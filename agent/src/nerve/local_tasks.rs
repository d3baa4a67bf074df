//! Local processes that serve traffic without a container, named in a file.
//!
//! ```yaml
//! - name: web-1              # unique in the file
//!   namespaces: [web.main]
//!   port: 31001              # where it listens on this host
//! ```

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use soa_configs::Namespace;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Refusal;
use crate::{
    file_hints::{FileHints, Watched},
    registry::TaskId,
};

/// A change missed by inotify is found after this.
const PERIOD: Duration = Duration::from_secs(60);

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalTasks {
    pub tasks: Vec<LocalTask>,
    /// Why the file, or an entry of it, is not in force.
    pub problems: Vec<Refusal>,
}

/// One process of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTask {
    pub name: String,
    pub namespaces: Vec<Namespace>,
    pub port: u16,
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
}

/// Reads `path`. A broken file keeps the tasks of `last`; a missing one has none.
#[must_use]
pub fn read(path: &Path, last: &LocalTasks) -> LocalTasks {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return LocalTasks::default(),
        Err(error) => {
            return broken(path, last, format!("cannot read {}: {error}", path.display()));
        }
    };
    match parse(&text) {
        Ok(tasks) => LocalTasks { tasks, problems: Vec::new() },
        Err(reason) => broken(path, last, format!("{}: {reason}", path.display())),
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
    loop {
        let (file, last) = (path.clone(), Arc::clone(&current.borrow()));
        let Ok(read) = tokio::task::spawn_blocking(move || read(&file, &last)).await else {
            return;
        };
        current.send_if_modified(|tasks| {
            let changed = **tasks != read;
            *tasks = Arc::new(read);
            changed
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = hints.next() => {}
        }
    }
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
    let task = |r: Raw| LocalTask { name: r.name, namespaces: r.namespaces, port: r.port.get() };
    Ok(raw.into_iter().map(task).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_keeps_the_last_good_tasks_and_says_where_it_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.yaml");
        assert_eq!(read(&path, &LocalTasks::default()), LocalTasks::default());
        let write = |text: &str| {
            std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes())
        };
        write("- {name: web-1, namespaces: [web.main], port: 31001}\n").unwrap();
        let good = read(&path, &LocalTasks::default());
        assert_eq!(
            (good.tasks[0].port, good.tasks[0].id().to_string().as_str()),
            (31001, "local:web-1")
        );
        write("- {name: web-1, namespaces: [web.main], port: nonsense}\n").unwrap();
        let kept = read(&path, &good);
        assert_eq!(kept.tasks, good.tasks);
        assert!(kept.problems[0].reason.contains("line 1"), "{}", kept.problems[0].reason);
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
