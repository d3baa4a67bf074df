//! The ZooKeeper servers of a location: a YAML list of `[host, port]` (synapse.md §8.1).

use std::{fmt, num::NonZeroU16, path::Path};

use crate::{
    fields::{self, Input},
    file::{self, FileError},
    values::{self, shortened},
    yaml::{self, Fault},
};

/// One ZooKeeper server. Written `host:port`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZooKeeperHost {
    /// A host name or an address, without brackets.
    pub host: String,
    pub port: NonZeroU16,
}

impl fmt::Display for ZooKeeperHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads a topology file.
///
/// # Errors
/// When the file cannot be read or parsed, or names no server at all.
pub fn read(file: &Path) -> Result<Vec<ZooKeeperHost>, FileError> {
    parse(file, &file::read(file)?)
}

/// Parses the text of a topology file; `file` is for the messages.
///
/// # Errors
/// As [`read`].
pub fn parse(file: &Path, text: &str) -> Result<Vec<ZooKeeperHost>, FileError> {
    let hosts = yaml::parse(text)
        .and_then(|document| fields::list(Input { node: &document, text }, host_and_port))
        .map_err(|fault| FileError::fault(file, text, &fault))?;
    if hosts.is_empty() {
        let reason = "expected a list of [host, port], found an empty one".to_owned();
        return Err(FileError::Invalid { file: file.to_owned(), reason });
    }
    Ok(hosts)
}

fn host_and_port(input: Input<'_>) -> Result<ZooKeeperHost, Fault> {
    match input.list()? {
        [host, port] => Ok(ZooKeeperHost {
            host: self::host(input.with(host))?,
            port: values::port(input.with(port))?,
        }),
        _ => Err(input.expected("[host, port]")),
    }
}

/// A host name or an address: it becomes a piece of ZooKeeper's connection string, which is divided
/// by `,`, `:` and `/`.
fn host(input: Input<'_>) -> Result<String, Fault> {
    values::parsed(input, |text| {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(name);
        if is_name || text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(text);
        }
        let shown = shortened(&text);
        Err(format!("{shown:?} is no host; expected a host name or an address"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<String>, String> {
        let hosts = parse(Path::new("local.yaml"), text).map_err(|error| error.one_line())?;
        Ok(hosts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn pairs_become_hosts() {
        let text = "---\n- [10.0.0.1, 2181]\n- - zk2.example.com\n  - '2182'\n- ['::1', 2181]\n";
        assert_eq!(parsed(text).unwrap(), ["10.0.0.1:2181", "zk2.example.com:2182", "[::1]:2181"]);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, fault) in [
            ("[]", "local.yaml: expected a list of [host, port], found an empty one"),
            ("", "local.yaml: "),
            ("{a: 2181}", "local.yaml: expected a list, found a map at line 1, column 1"),
            ("- [a]", "local.yaml: "),
            ("- [a, 1, 2]", "local.yaml: "),
            ("- [a, 0]", "expected a port from 1 to 65535, found 0 at line 1, column 7"),
            ("- ['a,b', 2181]", "\"a,b\" is no host; expected a host name or an address"),
            ("- ['a/b', 2181]", "is no host"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(fault), "{text:?}: {error}");
        }
    }
}
