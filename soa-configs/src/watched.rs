//! One file that is looked at again and again, and what it said when it was last understood.

use std::path::{Path, PathBuf};

use crate::file::{self, FileError, Problem, Stamp};

/// One file and the last good state of it.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    file: PathBuf,
    /// The version that was judged. `None`: none yet, or it is looked at again in any case.
    stamp: Option<Stamp>,
    pub(crate) good: Option<T>,
    /// What the last look saw where there had been something.
    doubt: Option<Nothing>,
    /// What is wrong with the file as it is now.
    pub(crate) problem: Option<Problem>,
}

/// Two ways for a file to say nothing. Who writes in place empties the file first; git removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nothing {
    Gone,
    Empty,
}

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Self { file: PathBuf::new(), stamp: None, good: None, doubt: None, problem: None }
    }
}

impl<T: Default + PartialEq> Watched<T> {
    /// Reads `file` if it changed. Returns how many files were read: 0 or 1.
    pub(crate) fn refresh(
        &mut self,
        file: PathBuf,
        parse: impl FnOnce(&Path, &str) -> Result<T, FileError>,
    ) -> usize {
        if file != self.file {
            *self = Self { file, ..Self::default() };
        }
        // Taken before the file is read: a change in between is seen by the next look.
        match Stamp::of(&self.file) {
            Ok(Some(stamp)) if self.stamp == Some(stamp) => 0,
            Ok(Some(stamp)) => {
                self.read(stamp, parse);
                1
            }
            Ok(None) => {
                self.settle_for_nothing(Nothing::Gone, None, None);
                0
            }
            Err(source) => {
                self.fail(None, &FileError::Read { file: self.file.clone(), source });
                0
            }
        }
    }

    fn read(&mut self, stamp: Stamp, parse: impl FnOnce(&Path, &str) -> Result<T, FileError>) {
        match file::read(&self.file).and_then(|text| parse(&self.file, &text)) {
            Ok(good) if good == T::default() => {
                self.settle_for_nothing(Nothing::Empty, Some(stamp), Some(good));
            }
            Ok(good) => self.accept(Some(stamp), Some(good)),
            Err(error) if error.is_missing() => {
                self.settle_for_nothing(Nothing::Gone, None, None);
            }
            // A change of permissions does not show in the stamp.
            Err(error @ FileError::Read { .. }) => self.fail(None, &error),
            Err(error) => self.fail(Some(stamp), &error),
        }
    }

    /// Believes that nothing is there, if nothing was known or the last look saw the same.
    fn settle_for_nothing(&mut self, nothing: Nothing, stamp: Option<Stamp>, good: Option<T>) {
        if self.says_something() && self.doubt != Some(nothing) {
            self.doubt = Some(nothing);
            self.stamp = None;
        } else {
            self.accept(stamp, good);
        }
    }

    fn accept(&mut self, stamp: Option<Stamp>, good: Option<T>) {
        let file = std::mem::take(&mut self.file);
        *self = Self { file, stamp, good, ..Self::default() };
    }

    fn fail(&mut self, stamp: Option<Stamp>, error: &FileError) {
        self.stamp = stamp;
        self.doubt = None;
        self.problem = Some(Problem::from(error));
    }

    /// Whether there is no such file, and nothing is remembered of one.
    pub(crate) fn is_gone(&self) -> bool {
        self.stamp.is_none() && self.good.is_none() && self.problem.is_none()
    }

    pub(crate) fn says_something(&self) -> bool {
        self.good.as_ref().is_some_and(|good| *good != T::default())
    }

    pub(crate) fn doubt(&self) -> Option<Problem> {
        let reason = match self.doubt? {
            Nothing::Gone => "is suddenly gone",
            Nothing::Empty => "is suddenly empty",
        };
        let (file, reason) = (self.file.clone(), reason.to_owned());
        Some(Problem::from(&FileError::Invalid { file, reason }))
    }
}
