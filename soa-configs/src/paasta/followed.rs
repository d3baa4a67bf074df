//! The system configuration as it is believed, look by look.

use std::path::PathBuf;

use super::{SystemConfig, load};
use crate::file::{FileError, Problem, Shown};

/// Owns what is believed of one system configuration.
///
/// A change is believed when a second look shows the same, be it that the directory or a key is gone:
/// without its cluster a host would withdraw every task of Marathon. What cannot be read is never
/// believed.
#[derive(Debug)]
pub struct Followed {
    dir: PathBuf,
    believed: Option<Option<SystemConfig>>,
    /// What the last look saw instead.
    doubted: Option<Option<SystemConfig>>,
}

/// What one look at the system configuration left to say.
#[derive(Debug, Default)]
pub struct Look {
    /// What cannot be read or understood now.
    pub problems: Vec<Problem>,
    /// Something changed. The next look is believed if it sees the same, so it has to come a second
    /// later and not at once.
    pub doubt: Option<Problem>,
}

impl Followed {
    /// Nothing is believed before the first [`Self::refresh`].
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), believed: None, doubted: None }
    }

    /// `None`: it was never understood. `Some(None)`: this is no PaaSTA host.
    #[must_use]
    pub fn believed(&self) -> Option<Option<&SystemConfig>> {
        self.believed.as_ref().map(Option::as_ref)
    }

    /// Looks again. Reads files, so it may block.
    pub fn refresh(&mut self) -> Look {
        self.judge(load(&self.dir))
    }

    fn judge(&mut self, found: Result<Option<SystemConfig>, FileError>) -> Look {
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.keep(vec![Problem::from(&error)]),
        };
        let problems = found.iter().flat_map(|found| found.unread.clone()).collect();
        if found.as_ref().is_some_and(|found| self.knew_more(found)) {
            return self.keep(problems);
        }
        let is_news = self.believed.as_ref().is_some_and(|believed| *believed != found);
        if is_news && self.doubted.as_ref() != Some(&found) {
            self.doubted = Some(found);
            return Look { problems, doubt: Some(self.doubt()) };
        }
        self.believed = Some(found);
        self.doubted = None;
        Look { problems, doubt: None }
    }

    fn keep(&mut self, problems: Vec<Problem>) -> Look {
        self.doubted = None;
        Look { problems, doubt: None }
    }

    /// A file that was read before may not be read now: what it says is unknown, and not gone.
    fn knew_more(&self, found: &SystemConfig) -> bool {
        let Some(Some(believed)) = &self.believed else { return false };
        found.unread.iter().any(|problem| believed.files.contains(&problem.file))
    }

    fn doubt(&self) -> Problem {
        let seen = match &self.doubted {
            Some(Some(_)) => "says something else",
            _ => "is suddenly gone",
        };
        let message = format!("{} {seen}", Shown(&self.dir));
        Problem::new(&self.dir, message)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Host {
        dir: tempfile::TempDir,
        followed: Followed,
    }

    impl Host {
        /// Whose cluster is devc; registrations of Marathon's tasks are off.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let followed = Followed::new(dir.path().join("paasta"));
            let mut host = Self { dir, followed };
            host.write(CONFIG);
            assert_eq!(host.look(), (Some("devc".to_owned()), Some(false), false));
            host
        }

        fn write(&self, text: &str) {
            let file = self.dir.path().join("paasta/system.json");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::io::Write::write_all(&mut fs::File::create(file).unwrap(), text.as_bytes())
                .unwrap();
        }

        /// Looks again: cluster and registration as believed, and whether there is a doubt.
        fn look(&mut self) -> (Option<String>, Option<bool>, bool) {
            let doubted = self.followed.refresh().doubt.is_some();
            let believed = self.followed.believed().unwrap();
            let cluster = believed.and_then(|system| system.cluster.as_ref());
            let registers = believed.map(|system| system.register_marathon_services);
            (cluster.map(ToString::to_string), registers, doubted)
        }
    }

    const CONFIG: &str = r#"{"cluster": "devc", "register_marathon_services": false}"#;

    fn as_before(doubted: bool) -> (Option<String>, Option<bool>, bool) {
        (Some("devc".to_owned()), Some(false), doubted)
    }

    #[test]
    fn a_vanished_directory_is_believed_at_the_second_look() {
        let mut host = Host::new();
        fs::rename(host.dir.path().join("paasta"), host.dir.path().join("away")).unwrap();
        assert_eq!(host.look(), as_before(true));
        assert_eq!(host.look(), (None, None, false), "it is meant");
    }

    #[test]
    fn keys_that_are_gone_are_believed_at_the_second_look() {
        for gone in ["{}", r#"{"cluster": "devc"}"#, r#"{"register_marathon_services": false}"#] {
            let mut host = Host::new();
            host.write(gone);
            assert_eq!(host.look(), as_before(true), "{gone}");
            let (cluster, registers, doubted) = host.look();
            assert_eq!(cluster.is_some(), gone.contains("cluster"), "{gone}");
            assert_eq!(registers, Some(!gone.contains("false")), "{gone}");
            assert!(!doubted);
        }
    }

    #[test]
    fn what_is_gone_for_one_look_only_changes_nothing() {
        let mut host = Host::new();
        for _ in 0..2 {
            host.write("{}");
            assert_eq!(host.look(), as_before(true));
            host.write(CONFIG);
            assert_eq!(host.look(), as_before(false));
        }
        host.write("{}");
        host.look();
        fs::rename(host.dir.path().join("paasta"), host.dir.path().join("away")).unwrap();
        assert_eq!(host.look(), as_before(true), "the second look shows something else");
    }

    #[test]
    fn what_cannot_be_understood_is_never_believed() {
        let mut host = Host::new();
        host.write("{");
        for _ in 0..3 {
            let look = host.followed.refresh();
            assert_eq!((look.problems.len(), look.doubt.is_some()), (1, false));
            assert_eq!(host.look(), as_before(false));
        }
        host.write("{}");
        assert_eq!(host.look(), as_before(true), "a broken look is not a first one");
    }

    #[test]
    fn a_file_that_may_no_longer_be_read_says_what_it_said() {
        // Root may read everything, so this is told and not tried.
        let file = PathBuf::from("/etc/paasta/system.json");
        let forbidden = |file: &PathBuf| FileError::Read {
            file: file.clone(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        };
        let with = |files: &[&PathBuf], unread: &[&PathBuf]| SystemConfig {
            merged: crate::yaml::Map::default(),
            texts: Vec::new(),
            cluster: (!files.is_empty()).then(|| "devc".parse().unwrap()),
            register_marathon_services: true,
            files: files.iter().map(|file| (*file).clone()).collect(),
            unread: unread.iter().map(|file| Problem::from(&forbidden(file))).collect(),
        };
        let mut followed = Followed::new("/etc/paasta");
        followed.judge(Ok(Some(with(&[&file], &[]))));
        for _ in 0..3 {
            let look = followed.judge(Ok(Some(with(&[], &[&file]))));
            assert_eq!((look.problems.len(), look.doubt.is_some()), (1, false));
            assert!(followed.believed().flatten().unwrap().cluster.is_some());
        }
        let secret = PathBuf::from("/etc/paasta/secret.json");
        for _ in 0..2 {
            followed.judge(Ok(Some(with(&[], &[&secret]))));
        }
        let believed = followed.believed().flatten().unwrap();
        assert_eq!(believed.cluster, None, "a file that was never read hides nothing known");
    }
}
