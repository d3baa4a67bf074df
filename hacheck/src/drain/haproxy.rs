//! Asks HAProxy: on its statistics socket, or for its statistics page.

use std::{fmt, io, path::PathBuf, str::FromStr, time::Duration};

use hyper::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time,
};

use super::statistics::{self, Server, Unreadable};
use crate::client::{Ask, Client, Fault, HttpSettings};

/// A HAProxy that is loaded beyond this is not asked in passing.
const WITHIN: Duration = Duration::from_secs(5);
/// 30,000 servers need some 12 MB.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// All proxies, servers only, all of them.
const COMMAND: &[u8] = b"show stat -1 4 -1\n";

/// A HAProxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its statistics socket.
    Socket(PathBuf),
    /// Its statistics page.
    Page {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// With the suffix that asks for CSV.
        path: String,
    },
}

/// A text that names no HAProxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the path of a socket, or http://HOST:PORT/PATH of a statistics page")]
pub struct InvalidSource;

/// Why a HAProxy does not say what it does.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("nobody answers there: {0}")]
    Socket(#[from] io::Error),
    #[error("it does not answer within {0:?}")]
    Slow(Duration),
    #[error("{}", .0.explained())]
    Page(Fault),
    #[error("its page answers {0}")]
    Status(u16),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Source {
    /// All its servers.
    pub(super) async fn servers(&self) -> Result<Vec<Server>, SourceError> {
        let text = match self {
            Self::Socket(path) => {
                let asked = time::timeout(WITHIN, ask(path)).await;
                asked.map_err(|_| SourceError::Slow(WITHIN))??
            }
            Self::Page { host, port, path } => fetch(host, *port, path).await?,
        };
        Ok(statistics::servers(&String::from_utf8_lossy(&text))?)
    }
}

async fn ask(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(COMMAND).await?;
    let mut answer = Vec::new();
    // HAProxy closes after one command.
    let limit = MAX_ANSWER as u64;
    stream.take(limit + 1).read_to_end(&mut answer).await?;
    if answer.len() > MAX_ANSWER {
        return Err(io::Error::other("its answer is longer than 32 MiB"));
    }
    Ok(answer)
}

async fn fetch(host: &str, port: u16, path: &str) -> Result<Vec<u8>, SourceError> {
    let agent = concat!("hacheck ", env!("CARGO_PKG_VERSION"));
    let settings = HttpSettings { timeout: WITHIN, ..HttpSettings::new(agent) };
    let client = Client::new(settings).map_err(io::Error::other)?.with_body_limit(MAX_ANSWER);
    let reply = client.exchange(host, port, Ask::Get, path).await.map_err(SourceError::Page)?;
    match reply.status {
        200 => Ok(reply.body.into()),
        status => Err(SourceError::Status(status)),
    }
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if !text.contains("://") {
            let socket = text.strip_prefix("unix@").unwrap_or(text);
            return if socket.is_empty() {
                Err(InvalidSource)
            } else {
                Ok(Self::Socket(socket.into()))
            };
        }
        let uri: Uri = text.parse().map_err(|_| InvalidSource)?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or(InvalidSource)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if !path.contains(";csv") {
            path.push_str(";csv");
        }
        Ok(Self::Page { host, port: uri.port_u16().unwrap_or(80), path })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Page { host, port, path } if host.contains(':') => {
                write!(f, "http://[{host}]:{port}{path}")
            }
            Self::Page { host, port, path } => write!(f, "http://{host}:{port}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_haproxy_is_named_by_its_socket_or_page() {
        let cases = [
            ("/var/run/synapse/haproxy.sock", "/var/run/synapse/haproxy.sock"),
            ("unix@/x.sock", "/x.sock"),
            ("http://host7:3212", "http://host7:3212/;csv"),
            ("http://10.0.0.8:3212/haproxy?stats;csv", "http://10.0.0.8:3212/haproxy?stats;csv"),
            ("http://host7/stats", "http://host7:80/stats;csv"),
            ("http://[::1]:3212/", "http://[::1]:3212/;csv"),
        ];
        for (text, shown) in cases {
            assert_eq!(text.parse::<Source>().map(|source| source.to_string()), Ok(shown.into()));
        }
        for text in ["", "unix@", "https://host7/", "ftp://x/", "http:///x"] {
            assert_eq!(text.parse::<Source>(), Err(InvalidSource), "{text}");
        }
    }
}
