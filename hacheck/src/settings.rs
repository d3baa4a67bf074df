//! Every setting with its default.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use hyper::header::{self, HeaderName};

use crate::network::Network;

/// Settings of the HTTP interface. The default is what a host of the fleet needs, except that nobody
/// but the host itself may set marks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Checks and their cache.
    pub checks: CheckSettings,
    /// Who may set marks over HTTP.
    pub remote_marks: RemoteMarks,
    /// Hosts beside this one that may be checked from here; default: none (hacheck.md §16.14).
    pub target_networks: Vec<Network>,
    /// Name of a header that tells the service its name; default: none.
    pub service_name_header: Option<HeaderName>,
    /// Headers that are passed on from the request to the service; default: `Host`.
    pub http_headers_to_copy: Vec<HeaderName>,
}

/// The name of a header that may be passed on to a service, or made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedHeader(HeaderName);

/// Why a header is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassedHeader {
    /// No header has such a name.
    #[error("expected the name of a header")]
    Name,
    /// It speaks of the request that it is part of; in another one it would break the connection.
    #[error("this header belongs to one connection and cannot be passed on")]
    OfConnection,
}

impl From<PassedHeader> for HeaderName {
    fn from(header: PassedHeader) -> Self {
        header.0
    }
}

impl FromStr for PassedHeader {
    type Err = InvalidPassedHeader;

    fn from_str(text: &str) -> Result<Self, InvalidPassedHeader> {
        let name: HeaderName = text.parse().map_err(|_| InvalidPassedHeader::Name)?;
        match name.as_str() {
            "connection" | "content-length" | "expect" | "keep-alive" | "proxy-connection"
            | "te" | "trailer" | "transfer-encoding" | "upgrade" => {
                Err(InvalidPassedHeader::OfConnection)
            }
            _ => Ok(Self(name)),
        }
    }
}

/// Settings of checks.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// How long an answer is used; default 1 s, as in the fleet.
    pub cache_time: Duration,
    /// How many answers are kept; default 20,000.
    pub cache_entries: usize,
    /// How many bytes of paths, headers and bodies are kept; default 64 MiB.
    pub cache_bytes: usize,
    /// How long one check may take; default 10 s. Waiting for a turn does not count.
    pub timeout: Duration,
    /// Checks under way to one host and port; default 4, so that a service that hangs holds up no
    /// other (hacheck.md §16.2).
    pub per_target: usize,
    /// Checks under way in all; default 1,000, below the usual limit of file descriptors.
    pub in_total: usize,
    /// Checks that wait for their turn; default 10,000, of which a tenth for one host and port. More
    /// are answered at once, and so is who has waited for as long as a check may take.
    pub waiting: usize,
    /// Checks of one host and port that begin in a second; default 100, after a burst of as many
    /// again. More wait for their turn: a client that invents paths or headers, each of which is a
    /// check of its own, must not drown the service.
    pub per_target_per_second: NonZeroU32,
    /// Checks that begin in a second on this host in all; default 20,000.
    pub per_second: NonZeroU32,
    /// Whether to keep the connection to a service that says that it may be kept; default true.
    pub keep_alive: bool,
    /// Connections kept at most, of each kind; default 1,000.
    pub kept_connections: usize,
    /// Who to log in to MySQL as; default: nobody, and `/mysql` answers 500 (hacheck.md §7).
    pub mysql: Option<Login>,
    /// Who to log in to Redis as before the `PING`; default: nobody.
    pub redis: Option<Login>,
    /// Who to log in to RabbitMQ as; default: `guest` with the password `guest`, as nerve does.
    pub rabbitmq: Option<Login>,
    /// Who runs the programs of checks; default: nobody may.
    pub command_user: CommandUser,
}

/// Who runs the programs that check a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandUser {
    /// They are not run.
    #[default]
    None,
    /// They run as this process does; it is not root.
    Own,
    /// They run with these numbers and in no other group.
    Other {
        /// The user.
        uid: u32,
        /// Its own group.
        gid: u32,
    },
}

/// A name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who; may be empty where the server knows only a password.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A text that no log and no answer shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever has to send it or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same text. Takes as long for a wrong guess as for a good one.
    #[must_use]
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == other.len() && differences == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who may set marks over HTTP, and how fast.
#[derive(Clone, Debug)]
pub struct RemoteMarks {
    /// Networks beside loopback; default: none.
    pub allow: Vec<Network>,
    /// Whoever sends `Authorization: Bearer` with this may, from anywhere; default: nobody. It
    /// travels in clear text, so it helps against mistakes and not against a listener on the wire.
    pub token: Option<Secret>,
    /// Changes per second of one client; default 200.
    pub per_second: NonZeroU32,
    /// Changes of one client at once; default 1,000. PaaSTA kills the tasks of a refused drain, so
    /// this is far above the largest drain of a host.
    pub burst: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            checks: CheckSettings::default(),
            remote_marks: RemoteMarks::default(),
            target_networks: Vec::new(),
            service_name_header: None,
            http_headers_to_copy: vec![header::HOST],
        }
    }
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            cache_time: Duration::from_secs(1),
            cache_entries: 20_000,
            cache_bytes: 64 * 1024 * 1024,
            timeout: Duration::from_secs(10),
            per_target: 4,
            in_total: 1000,
            waiting: 10_000,
            per_target_per_second: number(100),
            per_second: number(20_000),
            keep_alive: true,
            kept_connections: 1000,
            mysql: None,
            redis: None,
            rabbitmq: None,
            command_user: CommandUser::None,
        }
    }
}

impl Default for RemoteMarks {
    fn default() -> Self {
        Self { allow: Vec::new(), token: None, per_second: number(200), burst: number(1000) }
    }
}

/// A limit of ours, none of which is 0.
fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_that_speak_of_more_than_their_request_are_passed_on() {
        let passed = |text: &str| text.parse::<PassedHeader>().map(HeaderName::from);
        assert_eq!(passed("X-Mode"), Ok(HeaderName::from_static("x-mode")));
        assert_eq!(passed("Host"), Ok(header::HOST));
        for name in ["Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade"] {
            assert_eq!(passed(name), Err(InvalidPassedHeader::OfConnection), "{name}");
        }
        for name in ["", "a b", "a:", "\u{e4}"] {
            assert_eq!(passed(name), Err(InvalidPassedHeader::Name), "{name}");
        }
    }

    #[test]
    fn a_secret_knows_itself_and_does_not_show_itself() {
        let secret = Secret::new("s3cret");
        assert!(secret.is(b"s3cret"));
        for other in [&b""[..], b"s3cre", b"s3cret ", b"S3cret"] {
            assert!(!secret.is(other), "{other:?}");
        }
        let login = Login { user: "me".into(), password: secret };
        assert_eq!(format!("{login:?}"), r#"Login { user: "me", password: *** }"#);
    }
}
