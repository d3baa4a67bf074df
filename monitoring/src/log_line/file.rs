//! The driver `file`: one write for each line, into a file for each service, or whatever its name is made of.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    time::{Duration, Instant},
};

use soa_configs::yaml::{Map, Node};

use super::{Error, LogLine, NONE};

/// Others hold the lock while they write a line.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

pub(super) struct Writer<'o> {
    path_format: &'o str,
    open: OpenOptions,
    end: &'o str,
    flock: bool,
}

fn wrong(option: &'static str, expected: &'static str) -> Error {
    Error::Option { driver: "file", option, expected }
}

impl<'o> Writer<'o> {
    pub(super) fn of(options: &'o Map) -> Result<Self, Error> {
        let text = |key| options.get(key).map(Node::as_text);
        let mode = text("mode").unwrap_or(Some("a+"));
        let open = mode.and_then(open).ok_or_else(|| {
            wrong("mode", "one of a, a+, w, w+, x, x+ and r+, as Python opens files")
        })?;
        let path_format = text("path_format").flatten().ok_or_else(|| {
            wrong(
                "path_format",
                "a path, which may hold {service}, {component}, {level}, {cluster} and {instance}",
            )
        })?;
        let end = text("line_delimeter").unwrap_or(Some("\n"));
        let end = end.ok_or_else(|| wrong("line_delimeter", "a text"))?;
        let flock = options.get("flock").is_some_and(|flock| !flock.is_falsy());
        Ok(Self { path_format, open, end, flock })
    }

    pub(super) fn write(&self, line: &LogLine<'_>) -> Result<(), Error> {
        let path = self.path(line)?;
        let text = line.json() + self.end;
        let write = || -> io::Result<()> {
            let mut file = self.open.open(&path)?;
            if self.flock {
                lock(&file)?;
            }
            // In one call: lines of several programs must not mix.
            file.write_all(text.as_bytes())
        };
        write().map_err(|error| line.lost(&path, &error))
    }

    /// The format as Python fills it in. Names are of soa-configs, and must not lead out of the directory
    /// that is meant.
    fn path(&self, line: &LogLine<'_>) -> Result<String, Error> {
        let (mut path, mut rest) = (String::new(), self.path_format);
        while let Some(at) = rest.find(['{', '}']) {
            path.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                path.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let field = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let (name, after) = field.ok_or_else(|| wrong("path_format", "a } for every {"))?;
            let part = part(line, name.strip_suffix(":s").unwrap_or(name))?;
            if part.contains(['/', '\0']) && part != NONE {
                let why = format!("`{}` is no part of a file's name", part.escape_debug());
                return Err(line.lost(self.path_format, &why));
            }
            path.push_str(part);
            rest = after;
        }
        Ok(path + rest)
    }
}

fn part<'l>(line: &LogLine<'l>, name: &str) -> Result<&'l str, Error> {
    match name {
        "service" => Ok(line.service),
        "component" => Ok(line.component),
        "level" => Ok(line.level),
        "cluster" => Ok(line.cluster),
        "instance" => Ok(line.instance),
        _ => {
            let known = "no other names than service, component, level, cluster, instance";
            Err(wrong("path_format", known))
        }
    }
}

/// As Python's `FileIO` understands it.
fn open(mode: &str) -> Option<OpenOptions> {
    let mut open = OpenOptions::new();
    let plain = mode.replace('b', "");
    match plain.as_str() {
        "a" | "a+" => open.append(true).create(true),
        "w" | "w+" => open.write(true).create(true).truncate(true),
        "x" | "x+" => open.write(true).create_new(true),
        "r+" => open.write(true),
        _ => return None,
    };
    Some(open)
}

fn lock(file: &File) -> io::Result<()> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::park_timeout(LOOK_AGAIN)
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("somebody else keeps it locked"));
            }
        }
    }
}
