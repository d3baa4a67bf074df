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

/// Whether a look may believe that nothing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It comes long enough after the last one.
    SecondLook,
    /// It may come at once after the last one.
    FirstLook,
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
        self.look(file, Trust::SecondLook, parse)
    }

    /// The same, when it is not said that the last look is long enough ago.
    pub(crate) fn look(
        &mut self,
        file: PathBuf,
        trust: Trust,
        parse: impl FnOnce(&Path, &str) -> Result<T, FileError>,
    ) -> usize {
        if file != self.file {
            *self = Self { file, ..Self::default() };
        }
        // Taken before the file is read: a change in between is seen by the next look.
        match Stamp::of(&self.file) {
            Ok(Some(stamp)) if self.stamp == Some(stamp) => 0,
            Ok(Some(stamp)) => {
                self.read(stamp, trust, parse);
                1
            }
            Ok(None) => {
                self.settle_for_nothing(Nothing::Gone, trust, None, None);
                0
            }
            Err(source) => {
                self.fail(None, &FileError::Read { file: self.file.clone(), source });
                0
            }
        }
    }

    fn read(
        &mut self,
        stamp: Stamp,
        trust: Trust,
        parse: impl FnOnce(&Path, &str) -> Result<T, FileError>,
    ) {
        match file::read(&self.file).and_then(|text| parse(&self.file, &text)) {
            Ok(good) if good == T::default() => {
                self.settle_for_nothing(Nothing::Empty, trust, Some(stamp), Some(good));
            }
            Ok(good) => self.accept(Some(stamp), Some(good)),
            Err(error) if error.is_missing() => {
                self.settle_for_nothing(Nothing::Gone, trust, None, None);
            }
            // A change of permissions does not show in the stamp.
            Err(error @ FileError::Read { .. }) => self.fail(None, &error),
            Err(error) => self.fail(Some(stamp), &error),
        }
    }

    /// Believes that nothing is there, if nothing was known or the last look saw the same.
    fn settle_for_nothing(
        &mut self,
        nothing: Nothing,
        trust: Trust,
        stamp: Option<Stamp>,
        good: Option<T>,
    ) {
        let is_believed = trust == Trust::SecondLook && self.doubt == Some(nothing);
        if self.says_something() && !is_believed {
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
