//! Checks as people write them into `tasks.yaml`, in nerve's words (nerve.md §2).

use std::{
    net::IpAddr,
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};

use hacheck::{
    checks::{Command, Kind},
    names::Host,
    settings::{Login, Secret},
};
use hyper::{
    header::{HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};
use indexmap::IndexMap;
use serde::Deserialize;

use super::{Ask, Check, FALL, Question, RISE};

/// What a check may take unless it says so.
const TIMEOUT: Duration = Duration::from_secs(1);

/// One check, not judged yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nerve) struct Written {
    #[serde(rename = "type")]
    kind: String,
    /// Of `cmd`: a list is run as it is, a text by `/bin/sh`.
    command: Option<Words>,
    host: Option<IpAddr>,
    port: Option<NonZeroU16>,
    uri: Option<String>,
    #[serde(default)]
    headers: IndexMap<String, String>,
    expect: Option<String>,
    user: Option<String>,
    password: Option<String>,
    /// Seconds, as nerve has it.
    timeout: Option<f64>,
    rise: Option<NonZeroUsize>,
    fall: Option<NonZeroUsize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Line(String),
    List(Vec<String>),
}

impl Written {
    /// The check of a task that listens on `port`.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub(in crate::nerve) fn check(self, port: u16) -> Result<Check, String> {
        let timeout = match self.timeout {
            None => TIMEOUT,
            Some(seconds) => seconds_within(seconds, "timeout")?,
        };
        let (rise, fall) = (self.rise.unwrap_or(RISE), self.fall.unwrap_or(FALL));
        let question = if self.kind == "cmd" || self.kind == "exec" {
            Question::Run(self.command()?)
        } else {
            Question::Ask(self.ask(port)?)
        };
        Ok(Check { question, timeout, rise, fall })
    }

    fn command(self) -> Result<Command, String> {
        let expected = || "type cmd needs `command`: a line for the shell, or a list".to_owned();
        match self.command {
            Some(Words::Line(line)) if !line.trim().is_empty() => Ok(Command::shell(line)),
            Some(Words::List(words)) => Command::new(words).ok_or_else(expected),
            _ => Err(expected()),
        }
    }

    fn ask(self, port: u16) -> Result<Ask, String> {
        let kind = Kind::parse(&self.kind).ok_or_else(|| {
            let kinds = Kind::ALL.map(Kind::as_str).join(", ");
            format!("type `{}`: expected cmd, {kinds}", self.kind.escape_debug())
        })?;
        if self.command.is_some() {
            return Err(format!("`command` is for type cmd, not for {}", kind.as_str()));
        }
        let uri = self.uri.unwrap_or_else(|| "/status".to_owned());
        if !is_path(&uri) {
            return Err(format!("uri `{}`: expected a path", uri.escape_debug()));
        }
        for (name, value) in &self.headers {
            if !is_header(name, value) {
                return Err(format!("headers: `{}` is none", name.escape_debug()));
            }
        }
        let login = (self.user.is_some() || self.password.is_some()).then(|| Login {
            user: self.user.unwrap_or_default(),
            password: Secret::new(self.password.unwrap_or_default()),
        });
        Ok(Ask {
            kind,
            host: self.host.map_or(Host::Local, whose),
            port: self.port.map_or(port, NonZeroU16::get),
            uri,
            headers: self.headers,
            body_expect: self.expect,
            login,
        })
    }
}

/// Whether a GET can ask for it.
pub(in crate::nerve) fn is_path(uri: &str) -> bool {
    uri.starts_with('/') && uri.parse::<PathAndQuery>().is_ok()
}

pub(in crate::nerve) fn is_header(name: &str, value: &str) -> bool {
    HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
}

/// The host that an address leads to, as seen from here.
pub(in crate::nerve) fn whose(address: IpAddr) -> Host {
    if address.is_loopback() { Host::Local } else { Host::Other(address) }
}

/// Seconds as a number, above 0 and up to an hour.
///
/// # Errors
/// A sentence that names the key.
pub(in crate::nerve) fn seconds_within(seconds: f64, key: &str) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= Duration::from_secs(3600) => Ok(time),
        _ => Err(format!("{key} `{seconds}`: expected seconds above 0 and up to 3600")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Check, String> {
        let written: Written = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        written.check(31000)
    }

    #[test]
    fn a_check_has_the_defaults_of_a_namespace() {
        let found = check("{type: http}").unwrap();
        assert_eq!((found.timeout, found.rise, found.fall), (TIMEOUT, RISE, FALL));
        let Question::Ask(ask) = found.question else { panic!() };
        assert_eq!((ask.port, &*ask.uri, ask.host), (31000, "/status", Host::Local));
    }

    #[test]
    fn every_word_counts() {
        let text = "{type: https, host: 10.0.0.9, port: 443, uri: '/a?b', headers: {X-A: b}, \
                    expect: well, timeout: 0.5, rise: 3, fall: 4}";
        let found = check(text).unwrap();
        assert_eq!(found.timeout, Duration::from_millis(500));
        assert_eq!((found.rise.get(), found.fall.get()), (3, 4));
        let Question::Ask(ask) = found.question else { panic!() };
        let host = Host::Other("10.0.0.9".parse().unwrap());
        assert_eq!((ask.kind, ask.host, ask.port), (Kind::Https, host, 443));
        assert_eq!((&*ask.uri, ask.body_expect.as_deref()), ("/a?b", Some("well")));
        let found = check("{type: redis, password: pass}").unwrap();
        let Question::Ask(ask) = found.question else { panic!() };
        assert_eq!(ask.login.unwrap().password.expose(), "pass");
    }

    #[test]
    fn a_program_is_a_line_or_a_list() {
        let run = |text| match check(text).unwrap().question {
            Question::Run(command) => command,
            other => panic!("{other:?}"),
        };
        assert_eq!(run("{type: cmd, command: 'a | b'}"), Command::shell("a | b"));
        let words = ["/bin/a", "b c"].map(str::to_owned);
        assert_eq!(run("{type: exec, command: [/bin/a, b c]}"), Command::new(words).unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_was_expected() {
        for (text, expected) in [
            ("{type: ping}", "`ping`: expected cmd, http"),
            ("{type: cmd}", "needs `command`"),
            ("{type: cmd, command: []}", "needs `command`"),
            ("{type: tcp, command: x}", "`command` is for type cmd"),
            ("{type: http, uri: status}", "expected a path"),
            ("{type: http, uri: 'http://other/'}", "expected a path"),
            ("{type: http, headers: {'a b': c}}", "`a b` is none"),
            ("{type: http, timeout: 0}", "timeout `0`"),
            ("{type: http, timeout: .nan}", "timeout `NaN`"),
            ("{type: http, timeout: 1e300}", "up to 3600"),
            ("{type: http, fall: 0}", "fall"),
            ("{type: http, port: 0}", "port"),
            ("{type: http, colour: red}", "colour"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
