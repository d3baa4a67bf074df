//! Services that puppet put on this host: a file each, named after the service, which names the namespaces
//! (nerve.md §5.2). The port is the number in the service's file `port` in soa-configs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use serde::Deserialize;
use soa_configs::file;
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Refusal,
    checks::Checked,
    local_tasks::{LocalTask, LocalTasks},
    records::Payload,
};
use crate::{
    file_hints::{FileHints, Watched},
    snapshot::renew,
};

/// A change missed by inotify, such as one of a port, is found after this.
const PERIOD: Duration = Duration::from_secs(60);
/// That a file is gone is believed if it is gone after this, too.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// A host has a handful.
const MOST: usize = 1000;
/// configure_nerve's weight of such services is the number of processors, but at least this.
const LEAST_WEIGHT: usize = 10;

#[derive(Deserialize)]
struct Raw {
    namespaces: Vec<String>,
}

/// Follows the directory until `stop`; one that is not there has no services.
pub async fn follow(
    directory: PathBuf,
    soa_dir: PathBuf,
    current: watch::Sender<Arc<LocalTasks>>,
    stop: CancellationToken,
) {
    let watched = vec![Watched { path: directory.clone(), recursive: false }];
    let mut hints = FileHints::new(watched, PERIOD);
    let mut reader = Reader { directory, soa_dir, known: BTreeMap::new() };
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let doubts = reader.look();
            (reader, doubts)
        });
        let Ok((back, (said, doubts))) = looked.await else { return };
        reader = back;
        renew(&current, said);
        let next = async {
            // A hint would make the second look too early.
            if doubts { time::sleep(SECOND_LOOK).await } else { hints.next().await }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
    }
}

/// What is known of one service.
#[derive(Clone, Debug)]
struct Known {
    task: Option<LocalTask>,
    problem: Option<String>,
    /// Its file was gone at the last look.
    missed: bool,
}

struct Reader {
    directory: PathBuf,
    soa_dir: PathBuf,
    known: BTreeMap<String, Known>,
}

impl Reader {
    /// Looks at all files; also says whether a second look has to follow.
    fn look(&mut self) -> (LocalTasks, bool) {
        let names = match names(&self.directory) {
            Ok(names) => names,
            Err(error) => {
                warn!(directory = %self.directory.display(), %error, "cannot be listed");
                return (self.said(Some(error.to_string())), false);
            }
        };
        // A file that is being replaced is away for a moment.
        self.known.retain(|name, known| {
            names.contains(name) || !std::mem::replace(&mut known.missed, true)
        });
        for name in names {
            let read = self.read(&name);
            let before = self.known.remove(&name).and_then(|known| known.task);
            let known = match read {
                Ok(task) => Known { task: Some(task), problem: None, missed: false },
                Err(reason) => Known { task: before, problem: Some(reason), missed: false },
            };
            self.known.insert(name, known);
        }
        (self.said(None), self.known.values().any(|known| known.missed))
    }

    fn said(&self, unreadable: Option<String>) -> LocalTasks {
        let told = |title: &str, reason: String| Refusal {
            task: self.directory.display().to_string(),
            title: title.to_owned(),
            reason,
        };
        let broken = self.known.iter().filter_map(|(name, known)| {
            known.problem.clone().map(|reason| told(&name.escape_debug().to_string(), reason))
        });
        let unreadable = unreadable.map(|reason| told("puppet_services_dir", reason));
        let items = self.known.values().filter_map(|known| known.task.clone());
        LocalTasks {
            looked: true,
            items: items.collect(),
            problems: broken.chain(unreadable).collect(),
        }
    }

    /// # Errors
    /// A sentence that names the file.
    fn read(&self, service: &str) -> Result<LocalTask, String> {
        let path = self.directory.join(service);
        let text = file::read(&path).map_err(|error| error.one_line())?;
        // JSON is YAML, and reads the same.
        let raw: Raw =
            serde_yaml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let namespace = |name: &String| {
            let full = format!("{service}.{name}");
            full.parse().map_err(|error| format!("{}: {error}", path.display()))
        };
        let namespaces = raw.namespaces.iter().map(namespace).collect::<Result<_, _>>()?;
        Ok(LocalTask {
            name: format!("puppet:{service}"),
            namespaces,
            port: self.port(service)?,
            checked: Checked::AsNamespace,
            payload: Payload { weight: Some(weight()), ..Payload::default() },
        })
    }

    fn port(&self, service: &str) -> Result<u16, String> {
        let path = self.soa_dir.join(service).join("port");
        let text = file::read(&path).map_err(|error| error.one_line())?;
        let port = text.trim().parse().ok().filter(|port| *port != 0);
        port.ok_or_else(|| format!("{}: expected a port from 1 to 65535", path.display()))
    }
}

fn weight() -> u32 {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    u32::try_from(processors.max(LEAST_WEIGHT)).unwrap_or(u32::MAX)
}

/// Regular files and links to such; a link to nothing is left alone, as configure_nerve does.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_file = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file());
        if is_file && !name.starts_with('.') && names.len() < MOST {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::atomic_file;

    struct Scene {
        dir: tempfile::TempDir,
        reader: Reader,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (directory, soa_dir) = (dir.path().join("puppet"), dir.path().join("soa"));
            let reader = Reader { directory, soa_dir, known: BTreeMap::new() };
            Self { dir, reader }
        }

        fn write(&self, name: &str, text: &str) {
            atomic_file::write(&self.dir.path().join(name), text.as_bytes()).unwrap();
        }

        fn names(&mut self) -> Vec<String> {
            self.reader.look().0.items.into_iter().map(|task| task.name).collect()
        }
    }

    #[test]
    fn a_file_names_a_service_and_its_namespaces() {
        let mut scene = Scene::new();
        assert_eq!(scene.names(), [""; 0], "a host without puppet");
        scene.write("soa/smtp/port", "2525\n");
        scene.write("puppet/smtp", r#"{"namespaces": ["main", "relay"]}"#);
        symlink("nowhere", scene.dir.path().join("puppet/broken-link")).unwrap();
        let (said, doubts) = scene.reader.look();
        assert!(said.looked && !doubts && said.problems.is_empty(), "{said:?}");
        let task = &said.items[0];
        assert_eq!((task.name.as_str(), task.port), ("puppet:smtp", 2525));
        let namespaces: Vec<_> = task.namespaces.iter().map(ToString::to_string).collect();
        assert_eq!(namespaces, ["smtp.main", "smtp.relay"]);
        assert!(task.payload.weight >= Some(10));
    }

    #[test]
    fn one_broken_file_harms_no_other_and_keeps_its_last_good_state() {
        let mut scene = Scene::new();
        for service in ["a", "b"] {
            scene.write(&format!("soa/{service}/port"), "80");
            scene.write(&format!("puppet/{service}"), "{namespaces: [main]}");
        }
        assert_eq!(scene.names(), ["puppet:a", "puppet:b"]);
        scene.write("puppet/a", "{namespaces: ");
        scene.write("soa/b/port", "none");
        scene.write("puppet/c", "{namespaces: [main]}");
        let (said, _) = scene.reader.look();
        let names: Vec<_> = said.items.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["puppet:a", "puppet:b"]);
        let told: Vec<_> = said.problems.iter().map(|problem| problem.title.as_str()).collect();
        assert_eq!(told, ["a", "b", "c"]);
        assert!(said.problems[1].reason.contains("b/port: expected a port"), "{said:?}");
        assert!(said.problems[2].reason.contains("c/port"), "{said:?}");
    }

    #[test]
    fn a_file_that_is_gone_is_believed_at_the_second_look() {
        let mut scene = Scene::new();
        scene.write("soa/a/port", "80");
        scene.write("puppet/a", "{namespaces: [main]}");
        assert_eq!(scene.names(), ["puppet:a"]);
        fs::remove_file(scene.dir.path().join("puppet/a")).unwrap();
        let (said, doubts) = scene.reader.look();
        assert!(doubts && said.items.len() == 1);
        assert_eq!(scene.names(), [""; 0]);
    }
}
