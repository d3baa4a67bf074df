//! What is known of one service, file by file.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Cluster, InstanceConfig, SmartstackFile,
    file::{self, FileError, Problem, Stamp},
    instances, smartstack,
};

/// The instances of one service by name.
type Instances = BTreeMap<String, Arc<InstanceConfig>>;

/// One directory of soa-configs.
#[derive(Debug)]
pub(super) struct Service {
    name: String,
    smartstack: Watched<SmartstackFile>,
    marathon: Watched<Instances>,
}

impl Service {
    pub(super) fn new(name: Cow<'_, str>) -> Self {
        Self {
            name: name.into_owned(),
            smartstack: Watched::default(),
            marathon: Watched::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn smartstack(&self) -> Option<&SmartstackFile> {
        self.smartstack.good.as_ref()
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = (&String, &Arc<InstanceConfig>)> {
        self.marathon.good.iter().flatten()
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.smartstack.problem.iter().chain(&self.marathon.problem)
    }

    /// Returns how many files were read.
    pub(super) fn refresh(&mut self, dir: &Path, cluster: Option<&Cluster>) -> usize {
        let name = &self.name;
        let file = dir.join("smartstack.yaml");
        let mut read =
            self.smartstack.refresh(file, |file, text| smartstack::parse(name, file, text));
        match cluster {
            None => self.marathon = Watched::default(),
            Some(cluster) => {
                let file = dir.join(format!("marathon-{cluster}.yaml"));
                read += self
                    .marathon
                    .refresh(file, |file, text| instances::parse(name, cluster, file, text));
            }
        }
        read
    }
}

/// One file and the last good state of it.
#[derive(Debug)]
struct Watched<T> {
    file: PathBuf,
    /// The version that was judged. `None`: none yet, or it could not be read and is tried again.
    stamp: Option<Stamp>,
    good: Option<T>,
    /// The last look found nothing in the file where there had been something.
    emptied: bool,
    /// What is wrong with the file as it is now.
    problem: Option<Problem>,
}

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Self { file: PathBuf::new(), stamp: None, good: None, emptied: false, problem: None }
    }
}

impl<T: Default + PartialEq> Watched<T> {
    /// Reads `file` if it changed. Returns how many files were read: 0 or 1.
    fn refresh(
        &mut self,
        file: PathBuf,
        parse: impl FnOnce(&Path, &str) -> Result<T, FileError>,
    ) -> usize {
        if file != self.file {
            *self = Self { file, ..Self::default() };
        }
        // Taken before the file is read: a change in between is seen by the next look.
        let stamp = match Stamp::of(&self.file) {
            Ok(Some(stamp)) => stamp,
            Ok(None) => {
                *self = Self { file: std::mem::take(&mut self.file), ..Self::default() };
                return 0;
            }
            Err(source) => {
                self.fail(None, &FileError::Read { file: self.file.clone(), source });
                return 0;
            }
        };
        if self.stamp == Some(stamp) {
            return 0;
        }
        self.read(stamp, parse);
        1
    }

    fn read(&mut self, stamp: Stamp, parse: impl FnOnce(&Path, &str) -> Result<T, FileError>) {
        match file::read(&self.file).and_then(|text| parse(&self.file, &text)) {
            // Who writes a file in place empties it first.
            Ok(good) if !self.emptied && self.is_drop_to_nothing(&good) => {
                let reason = "is suddenly empty; what it said before counts until the next look";
                let (file, reason) = (self.file.clone(), reason.to_owned());
                self.fail(None, &FileError::Invalid { file, reason });
                self.emptied = true;
            }
            Ok(good) => {
                let file = std::mem::take(&mut self.file);
                let (stamp, good) = (Some(stamp), Some(good));
                *self = Self { file, stamp, good, ..Self::default() };
            }
            // A change of permissions does not show in the stamp.
            Err(error @ FileError::Read { .. }) => self.fail(None, &error),
            Err(error) => self.fail(Some(stamp), &error),
        }
    }

    fn is_drop_to_nothing(&self, found: &T) -> bool {
        let nothing = T::default();
        *found == nothing && self.good.as_ref().is_some_and(|good| *good != nothing)
    }

    fn fail(&mut self, stamp: Option<Stamp>, error: &FileError) {
        self.stamp = stamp;
        self.emptied = false;
        self.problem = Some(Problem::from(error));
    }
}
