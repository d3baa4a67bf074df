//! The log of services, which PaaSTA's users read (cli-and-monitoring.md, part C).

use std::{fs::OpenOptions, io, io::Write as _};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use soa_configs::{
    paasta::{LogWriter, Settings},
    yaml::Node,
};

/// One line: these fields, sorted.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine<'l> {
    pub cluster: &'l str,
    pub component: &'static str,
    pub instance: &'l str,
    pub level: &'static str,
    pub message: &'l str,
    pub service: &'l str,
    timestamp: String,
}

/// Why a line is not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log_writer: the driver `{0}` is not known; known are file and null")]
    Driver(String),
    #[error("log_writer: the driver file needs the option path_format")]
    NoPath,
    #[error("Could not log to {path}")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
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
        Self { cluster, component, instance, level, message, service, timestamp }
    }

    /// Writes it where the system configuration says.
    ///
    /// # Errors
    /// Why it is not written, for people.
    pub fn tell(&self, settings: &Settings) -> Result<(), String> {
        let writer = settings.log_writer().map_err(|error| error.to_string())?;
        self.write(writer).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    /// # Errors
    /// When the writer is none that is known, or the file does not take the line.
    pub fn write(&self, writer: &LogWriter) -> Result<(), Error> {
        match writer.driver.as_str() {
            "null" => Ok(()),
            "file" => self.append(writer),
            other => Err(Error::Driver(other.to_owned())),
        }
    }

    fn append(&self, writer: &LogWriter) -> Result<(), Error> {
        let options = writer.options.as_map();
        let option = |key| options.and_then(|options| options.get(key)).and_then(Node::as_text);
        let path = self.path(option("path_format").ok_or(Error::NoPath)?);
        let end = option("line_delimeter").unwrap_or("\n");
        let line = serde_json::to_string(self).unwrap_or_default() + end;
        // In one call: lines of several programs must not mix.
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|source| Error::Write { path, source })
    }

    fn path(&self, format: &str) -> String {
        let Self { cluster, component, instance, level, service, .. } = self;
        let parts = [
            ("{service}", *service),
            ("{component}", component),
            ("{level}", level),
            ("{cluster}", cluster),
            ("{instance}", instance),
        ];
        parts.into_iter().fold(format.to_owned(), |path, (name, part)| path.replace(name, part))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_paasta_writes_it() {
        let now: Timestamp = "2018-01-23T19:24:26.104242Z".parse().unwrap();
        let line = LogLine::of_deploy("c1", "web", "main", "gone", now);
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"cluster":"c1","component":"deploy","instance":"main","level":"event","message":"gone","service":"web","timestamp":"2018-01-23T19:24:26.104242"}"#
        );
        let whole =
            LogLine::of_deploy("c1", "web", "main", "", "2018-01-23T19:24:26Z".parse().unwrap());
        assert_eq!(whole.timestamp, "2018-01-23T19:24:26");
        assert_eq!(line.path("/l/{service}.{instance}.{level}"), "/l/web.main.event");
    }
}
