//! Where this host is: its own place of each location type; and how places lie in one another
//! (nerve.md §5.3).

mod advertise;
mod mapping;

use std::path::{Path, PathBuf};

use crate::{
    Place,
    fields::{self, Input},
    file::{self, FileError, Problem, Shown},
    json, values,
};

pub use self::{
    advertise::{Advertised, advertised},
    mapping::{LocationTypes, Mapping, UnknownLocation},
};

/// The places of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// All location types of the fleet, widest first.
    pub types: Vec<String>,
    /// The places of this host, widest first, at most one of each type. Never empty.
    pub own: Vec<Place>,
    /// Types of which this host's location is not known, and why.
    pub unknown: Vec<Problem>,
}

impl Locations {
    /// A place of `before` stands for a type that is still listed but whose location is not known
    /// now: a host does not lose its region, its file is being written.
    #[must_use]
    pub fn completed_by(mut self, before: &[Place]) -> Self {
        let known = |kind: &String| {
            self.own.iter().chain(before).find(|place| place.kind() == kind).cloned()
        };
        self.own = self.types.iter().filter_map(known).collect();
        self
    }
}

/// Why it is not known where this host is. The caller may assume something, and has to say so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of types cannot be read, or is none.
    #[error("the location types are not known")]
    Types(#[source] FileError),
    /// There are types, and no readable location of any of them.
    #[error("{} holds no location of a type of {}", Shown(dir), Shown(types_file))]
    NoLocation { dir: PathBuf, types_file: PathBuf, unknown: Vec<Problem> },
}

impl Error {
    /// Whether there is no list of types at all, as on a host without PaaSTA.
    #[must_use]
    pub fn is_without_types(&self) -> bool {
        matches!(self, Self::Types(error) if error.is_missing())
    }

    /// The fault, as it is shown to people.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (file, message) = match self {
            Self::Types(error) => (error.file(), format!("{self}: {}", error.one_line())),
            Self::NoLocation { dir, .. } => (dir.as_path(), self.to_string()),
        };
        Problem::new(file, message)
    }
}

/// Reads the types from `types_file` (a JSON list, widest first) and the location of each from the
/// file `dir/<type>`.
///
/// # Errors
/// When no type or no location is known; a single missing location is no error.
pub fn read(dir: &Path, types_file: &Path) -> Result<Locations, Error> {
    let types = types(types_file).map_err(Error::Types)?.into_names();
    let mut own = Vec::new();
    let mut unknown = Vec::new();
    for kind in &types {
        match place(&dir.join(kind), kind) {
            Ok(place) => own.push(place),
            Err(error) => unknown.push(Problem::from(&error)),
        }
    }
    if own.is_empty() {
        let (dir, types_file) = (dir.to_owned(), types_file.to_owned());
        return Err(Error::NoLocation { dir, types_file, unknown });
    }
    Ok(Locations { types, own, unknown })
}

/// Reads the list of all location types, widest first. A type that is named twice counts once.
///
/// # Errors
/// When it cannot be read or is no list of words.
pub fn types(file: &Path) -> Result<LocationTypes, FileError> {
    let text = file::read(file)?;
    json::parse(&text)
        .and_then(|list| fields::list(Input { node: &list, text: &text }, values::location_type))
        .map(LocationTypes::new)
        .map_err(|fault| FileError::fault(file, &text, &fault))
}

fn place(file: &Path, kind: &str) -> Result<Place, FileError> {
    let text = file::read(file)?;
    Place::new(kind, text.trim())
        .map_err(|e| FileError::Invalid { file: file.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use super::*;

    fn nail(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Locations, Error>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            File::create(dir.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }
        let read = read(dir.path(), &dir.path().join("location_types.json"));
        (dir, read)
    }

    const TYPES: (&str, &str) =
        ("location_types.json", r#"["ecosystem", "superregion", "region", "habitat"]"#);

    #[test]
    fn own_places_come_widest_first() {
        let habitat = ("habitat", "uswest1adevc");
        let (_dir, read) =
            nail(&[TYPES, habitat, ("ecosystem", "devc\n"), ("region", " uswest1-devc \n")]);
        let read = read.unwrap();
        let own: Vec<_> = read.own.iter().map(Place::as_str).collect();
        assert_eq!(own, ["ecosystem:devc", "region:uswest1-devc", "habitat:uswest1adevc"]);
        assert_eq!(read.types, ["ecosystem", "superregion", "region", "habitat"]);
        assert_eq!(read.unknown.len(), 1);
        assert!(read.unknown[0].file.ends_with("superregion"));
    }

    #[test]
    fn a_location_that_is_no_word_is_not_a_place() {
        let (_dir, read) = nail(&[TYPES, ("region", "us west"), ("habitat", "")]);
        match read.unwrap_err() {
            Error::NoLocation { unknown, .. } => {
                assert!(unknown[2].one_line.contains("`region:us west` is not a TYPE:LOCATION"));
                assert!(unknown[3].one_line.contains("`habitat:` is not a TYPE:LOCATION"));
            }
            error @ Error::Types(_) => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_location_that_is_not_known_now_is_the_one_of_before() {
        let before = [Place::new("region", "x").unwrap(), Place::new("habitat", "old").unwrap()];
        let (_dir, read) = nail(&[TYPES, ("ecosystem", "devc"), ("habitat", "new")]);
        let own = read.unwrap().completed_by(&before).own;
        let own: Vec<_> = own.iter().map(Place::as_str).collect();
        assert_eq!(own, ["ecosystem:devc", "region:x", "habitat:new"]);
        let narrow = ("location_types.json", r#"["habitat"]"#);
        let (_dir, read) = nail(&[narrow, ("habitat", "new")]);
        let own = read.unwrap().completed_by(&before).own;
        assert_eq!(own, [Place::new("habitat", "new").unwrap()], "a type that is not listed goes");
    }

    #[test]
    fn without_types_nothing_is_known() {
        for files in [&[][..], &[("location_types.json", "{}")], &[("location_types.json", "[1]")]]
        {
            let error = nail(files).1.unwrap_err();
            assert!(matches!(error, Error::Types(_)));
            assert_eq!(error.is_without_types(), files.is_empty());
            assert!(error.problem().file.ends_with("location_types.json"));
        }
        let outside = ("location_types.json", r#"["../../etc/passwd"]"#);
        assert!(matches!(nail(&[outside]).1, Err(Error::Types(_))));
        assert!(matches!(nail(&[("location_types.json", "[]")]).1, Err(Error::NoLocation { .. })));
    }
}
