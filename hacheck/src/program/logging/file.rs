//! A log file that other programs move away, written by a thread of its own.
//!
//! Threads that answer requests log too, and a disk that hangs must not keep them from answering.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the disk; more are lost.
const WAITING: usize = 4096;
/// How long the end of the program waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where lines go in; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    lines: SyncSender<Line>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    /// All lines before this one are written.
    Flushed(Sender<()>),
}

/// Waits for what is not written yet when it is dropped.
#[derive(Debug)]
pub(crate) struct Rest {
    lines: SyncSender<Line>,
}

impl LogFile {
    /// Opens the file, so that a wrong path is told at the start.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Rest)> {
        let mut log = Log::open(path)?;
        let (lines, written) = sync_channel(WAITING);
        let writing = move || log.write_all_of(&written);
        thread::Builder::new().name("hacheck-log".to_owned()).spawn(writing)?;
        Ok((Self { lines: lines.clone() }, Rest { lines }))
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A line that is lost because the disk is behind is better than a request that waits.
        let _ = self.lines.try_send(Line::Text(line.to_owned()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogFile {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let (flushed, is_flushed) = channel();
        if self.lines.try_send(Line::Flushed(flushed)).is_ok() {
            let _ = is_flushed.recv_timeout(PATIENCE);
        }
    }
}

/// The file as it is open now.
struct Log {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { path: path.to_owned(), file, identity: (metadata.dev(), metadata.ino()) })
    }

    fn write_all_of(&mut self, lines: &Receiver<Line>) {
        for line in lines {
            match line {
                Line::Text(text) => {
                    self.follow();
                    // Nowhere to tell it; the next line may fit again.
                    let _ = self.file.write_all(&text);
                }
                Line::Flushed(flushed) => {
                    let _ = flushed.send(());
                }
            }
        }
    }

    /// Opens the file again if its name stands for another one, or for none.
    fn follow(&mut self) {
        let there = fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if there.is_ok_and(|identity| identity == self.identity) {
            return;
        }
        // As long as there can be no new one, the old one is better than nothing.
        if let Ok(reopened) = Self::open(&self.path) {
            *self = reopened;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_moved_away_is_made_anew_and_no_line_is_lost() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        let (file, rest) = LogFile::open(&path).unwrap();
        // Each of these is one event.
        file.make_writer().write_all(b"one\n").unwrap();
        let flush = |rest: &Rest| {
            let (flushed, is_flushed) = channel();
            rest.lines.send(Line::Flushed(flushed)).unwrap();
            is_flushed.recv().unwrap();
        };
        flush(&rest);
        fs::rename(&path, root.path().join("log.1")).unwrap();
        file.make_writer().write_all(b"two\n").unwrap();
        file.make_writer().write_all(b"three\n").unwrap();
        drop(rest);
        let read = |name| fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!((read("log.1").as_str(), read("log").as_str()), ("one\n", "two\nthree\n"));
        assert!(LogFile::open(&root.path().join("no/log")).is_err());
    }
}
