//! Reading one configuration file, and saying what is wrong with it.

use std::{
    borrow::Cow,
    fmt,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{diagnostic::Diagnostic, yaml::Fault};

/// The largest file that is read, in bytes. Real ones have a few KiB.
pub const MAX_SIZE: u64 = 1 << 20;

/// Why a configuration file cannot be used.
///
/// Of a fault in a text the message has several lines, with the text around the fault; [`FileError::one_line`] is
/// for logs.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}", Shown(file))]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a regular file", Shown(file))]
    NotRegular { file: PathBuf },
    #[error("{} is larger than 1 MiB", Shown(file))]
    TooLarge { file: PathBuf },
    #[error("{} is not UTF-8 text", Shown(file))]
    NotText { file: PathBuf },
    #[error("{0}")]
    Fault(Box<Diagnostic>),
    #[error("{}: {reason}", Shown(file))]
    Invalid { file: PathBuf, reason: String },
}

impl FileError {
    /// A fault at a place in the text of a file.
    #[must_use]
    pub fn fault(file: &Path, text: &str, fault: &Fault) -> Self {
        Self::Fault(Box::new(Diagnostic::new(file, text, fault)))
    }

    /// The file at fault.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Read { file, .. }
            | Self::NotRegular { file }
            | Self::TooLarge { file }
            | Self::NotText { file }
            | Self::Invalid { file, .. } => file,
            Self::Fault(diagnostic) => &diagnostic.file,
        }
    }

    /// Whether there is no such file. All other faults mean that nobody knows what it says.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if is_missing(source))
    }

    /// The whole fault on one line: file, place and what was expected.
    #[must_use]
    pub fn one_line(&self) -> String {
        match self {
            Self::Fault(diagnostic) => diagnostic.one_line(),
            _ => self.with_cause(),
        }
    }

    /// What is wrong, without the file.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Read { source, .. } => format!("cannot be read: {source}"),
            Self::NotRegular { .. } => "is not a regular file".to_owned(),
            Self::TooLarge { .. } => "is larger than 1 MiB".to_owned(),
            Self::NotText { .. } => "is not UTF-8 text".to_owned(),
            Self::Fault(diagnostic) => diagnostic.message.clone(),
            Self::Invalid { reason, .. } => reason.clone(),
        }
    }

    fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// A fault of a file, as it is shown to people. Can be kept and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory at fault.
    pub file: PathBuf,
    /// For a terminal: may have several lines.
    pub message: String,
    /// For logs: file, place and fault, always one line.
    pub one_line: String,
    /// What is wrong, without file and place.
    pub reason: String,
    /// The same in its parts, of a fault in a text.
    pub diagnostic: Option<Box<Diagnostic>>,
}

impl Problem {
    /// A fault that has no place in a text.
    #[must_use]
    pub fn new(file: &Path, message: String) -> Self {
        let (one_line, reason) = (message.clone(), message.clone());
        Self { file: file.to_owned(), message, one_line, reason, diagnostic: None }
    }
}

impl From<&FileError> for Problem {
    fn from(error: &FileError) -> Self {
        Self {
            file: error.file().to_owned(),
            message: error.with_cause(),
            one_line: error.one_line(),
            reason: error.reason(),
            diagnostic: match error {
                FileError::Fault(diagnostic) => Some(diagnostic.clone()),
                _ => None,
            },
        }
    }
}

/// Tells two versions of a file apart without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file.
    pub(crate) fn of(file: &Path) -> io::Result<Option<Self>> {
        Ok(existing(fs::metadata(file))?.map(|meta| Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }))
    }
}

/// A path below something that is no directory does not exist either.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Turns "no such file" into `None`.
pub(crate) fn existing(found: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match found {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a regular file of at most [`MAX_SIZE`] bytes of UTF-8.
///
/// # Errors
/// When it is missing or anything else; [`FileError::is_missing`] tells the two apart.
pub fn read(file: &Path) -> Result<String, FileError> {
    let cannot_read = |source| FileError::Read { file: file.to_owned(), source };
    // Before it is opened: opening a named pipe would wait for a writer.
    if !fs::metadata(file).map_err(cannot_read)?.is_file() {
        return Err(FileError::NotRegular { file: file.to_owned() });
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(cannot_read)?;
    opened.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(FileError::TooLarge { file: file.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText { file: file.to_owned() })
}

/// A path for people: a file name cannot add a line to a log or move a cursor.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0.to_string_lossy()))
    }
}

/// Control characters, ends of lines, and what turns the direction of a text.
pub(crate) fn moves_cursor(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes characters that move a cursor as escapes.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let control = moves_cursor;
    if !text.contains(control) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().flat_map(|c| {
        let (plain, escape) =
            if control(c) { (None, Some(c.escape_default())) } else { (Some(c), None) };
        plain.into_iter().chain(escape.into_iter().flatten())
    });
    Cow::Owned(escaped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("smartstack.yaml");
        File::create(&file).unwrap().write_all(bytes).unwrap();
        (dir, file)
    }

    #[test]
    fn one_mebibyte_is_read_and_one_byte_more_is_not() {
        let limit = usize::try_from(MAX_SIZE).unwrap();
        let (_dir, file) = written(&vec![b'a'; limit]);
        assert_eq!(read(&file).unwrap().len(), limit);
        let (_dir, file) = written(&vec![b'a'; limit + 1]);
        assert!(matches!(read(&file), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn what_is_not_text_or_not_a_file_is_refused() {
        let (dir, file) = written(b"\xff\xfe");
        assert!(matches!(read(&file), Err(FileError::NotText { .. })));
        assert!(matches!(read(dir.path()), Err(FileError::NotRegular { .. })));
        let missing = read(&dir.path().join("none")).unwrap_err();
        assert!(missing.is_missing());
        assert!(missing.one_line().ends_with("/none: No such file or directory (os error 2)"));
    }

    #[test]
    fn a_file_name_cannot_add_a_line() {
        let error = FileError::TooLarge { file: PathBuf::from("/nail/a\nb\u{1b}[2J") };
        assert_eq!(error.one_line(), "/nail/a\\nb\\u{1b}[2J is larger than 1 MiB");
    }
}
