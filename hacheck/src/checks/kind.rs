//! The protocols of checks.

/// The protocol of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// HTTP GET; the answer's status and body count.
    Http,
    /// HTTP GET over TLS; certificates are not verified (hacheck.md §6).
    Https,
    /// HTTP GET over HTTP/2 in clear text, without an upgrade.
    H2c,
    /// `grpc.health.v1.Health/Check`.
    Grpc,
    /// Connecting is enough.
    Tcp,
    /// Greeting, `QUIT`, and the answer to it.
    Smtp,
    /// A login.
    Mysql,
    /// `PING`.
    Redis,
    /// A message into a queue and out again.
    Rabbitmq,
}

impl Kind {
    /// Every protocol, in the order of [`Kind::index`].
    pub const ALL: [Self; 9] = [
        Self::Http,
        Self::Https,
        Self::H2c,
        Self::Grpc,
        Self::Tcp,
        Self::Smtp,
        Self::Mysql,
        Self::Redis,
        Self::Rabbitmq,
    ];

    /// The word in paths: `/http/SVC/PORT/REST`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Smtp => "smtp",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Rabbitmq => "rabbitmq",
        }
    }

    /// The protocol that a path names, exactly so.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Its place in [`Kind::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether the check is a GET: what follows the port in a path is asked for, and the service sees
    /// headers. All others ignore both; gRPC reads the query.
    #[must_use]
    pub fn is_get(self) -> bool {
        matches!(self, Self::Http | Self::Https | Self::H2c)
    }

    /// What `/recent` shows when there was no answer (hacheck.md §6, §7).
    pub(super) fn code_without_answer(self) -> u16 {
        if self.is_get() { 599 } else { 503 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_has_its_word_and_its_place() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        for word in ["", "HTTP", "http ", "spool", "udp"] {
            assert_eq!(Kind::parse(word), None, "{word:?}");
        }
    }
}
