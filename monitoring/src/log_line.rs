//! The log of services, which PaaSTA's users read (cli-and-monitoring.md, part C).

mod file;
mod syslog;

use std::io::{self, Write as _};

use jiff::{Timestamp, tz::TimeZone};
use parking_lot::Mutex;
use serde::Serialize;
use soa_configs::{
    paasta::{LogWriter, Settings},
    yaml::Map,
};

use crate::json;

/// In the place of an instance or a cluster that is not meant or not known.
const NONE: &str = "N/A";

/// One line: these fields, sorted.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine<'l> {
    pub cluster: &'l str,
    pub component: &'static str,
    pub instance: &'l str,
    /// `event`, or `debug`.
    pub level: &'static str,
    #[serde(serialize_with = "without_colours")]
    pub message: &'l str,
    pub service: &'l str,
    timestamp: String,
}

/// Why a line is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "log_writer: the driver `{0}` is not known; known are file, null, stdout and syslog: no line \
         is logged"
    )]
    Driver(String),
    #[error("log_writer: {driver}: {option}: expected {expected}: no line is logged")]
    Option { driver: &'static str, option: &'static str, expected: &'static str },
    #[error("Could not log to {to}: {why} -- would have logged: {line}")]
    Write { to: String, why: String, line: String },
}

impl<'l> LogLine<'l> {
    /// A line of a deployment that users see.
    #[must_use]
    pub fn of_deploy(
        cluster: &'l str,
        service: &'l str,
        instance: &'l str,
        message: &'l str,
        now: Timestamp,
    ) -> Self {
        Self {
            component: "deploy",
            level: "event",
            ..Self::of_monitoring(cluster, service, instance, message, now)
        }
    }

    /// A line of a check.
    #[must_use]
    pub fn of_monitoring(
        cluster: &'l str,
        service: &'l str,
        instance: &'l str,
        message: &'l str,
        now: Timestamp,
    ) -> Self {
        let timestamp = timestamp(now);
        let (component, level) = ("monitoring", "debug");
        let known = |name: &'l str| if name.is_empty() { NONE } else { name };
        let (cluster, instance) = (known(cluster), known(instance));
        Self { cluster, component, instance, level, message, service, timestamp }
    }

    /// A line of processes that were killed for want of memory.
    #[must_use]
    pub fn of_oom(
        cluster: &'l str,
        service: &'l str,
        instance: &'l str,
        message: &'l str,
        now: Timestamp,
    ) -> Self {
        let line = Self::of_deploy(cluster, service, instance, message, now);
        Self { component: "oom", ..line }
    }

    /// Writes it where the system configuration says. What is wrong with the configuration is told once,
    /// and not with every line.
    ///
    /// # Errors
    /// Why it is not written, for people.
    pub fn tell(&self, settings: &Settings) -> Result<(), String> {
        let result = match settings.log_writer() {
            Ok(writer) => match self.write(writer) {
                Err(error @ Error::Write { .. }) => return Err(error.to_string()),
                result => result.map_err(|error| error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        once(&TOLD, result)
    }

    /// # Errors
    /// When the writer is none that is known, lacks an option, or does not take the line.
    pub fn write(&self, writer: &LogWriter) -> Result<(), Error> {
        let nothing = Map::default();
        let options = writer.options.as_map().unwrap_or(&nothing);
        match writer.driver.as_str() {
            "null" => Ok(()),
            "file" => file::Writer::of(options)?.write(self),
            "stdout" => self.print(),
            "syslog" => syslog::Writer::of(options)?.write(self),
            other => Err(Error::Driver(other.to_owned())),
        }
    }

    fn print(&self) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        // In one call: lines of several programs must not mix.
        let line = self.json() + "\n";
        let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| self.lost("standard output", &error))
    }

    /// The line itself, without an end.
    fn json(&self) -> String {
        // Texts always have a form in JSON.
        json::written(self).unwrap_or_default()
    }

    fn lost(&self, to: &str, why: &impl ToString) -> Error {
        Error::Write { to: to.to_owned(), why: why.to_string(), line: self.json() }
    }
}

/// What was last said to be wrong with the configuration.
static TOLD: Mutex<Option<String>> = Mutex::new(None);

/// The same fault again is none.
fn once(told: &Mutex<Option<String>>, result: Result<(), String>) -> Result<(), String> {
    let mut told = told.lock();
    match result {
        Ok(()) => {
            *told = None;
            Ok(())
        }
        Err(fault) if told.as_ref() == Some(&fault) => Ok(()),
        Err(fault) => {
            *told = Some(fault.clone());
            Err(fault)
        }
    }
}

/// UTC without a zone; of a whole second without a fraction.
fn timestamp(now: Timestamp) -> String {
    let time = now.to_zoned(TimeZone::UTC).datetime();
    let seconds = time.strftime("%Y-%m-%dT%H:%M:%S");
    match time.subsec_nanosecond() / 1000 {
        0 => seconds.to_string(),
        micros => format!("{seconds}.{micros:06}"),
    }
}

fn without_colours<S: serde::Serializer>(message: &&str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&plain(message))
}

/// Without what colours a terminal: `ESC [`, numbers, and a letter.
fn plain(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        plain.push_str(before);
        let after = sequence[2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match after.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(after) => rest = after,
            // No such sequence.
            None => {
                plain.push_str(&sequence[..2]);
                rest = &sequence[2..];
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests;
