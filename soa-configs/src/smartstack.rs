//! `smartstack.yaml`: the namespaces of one service.

mod raw;

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    num::NonZeroU16,
    path::Path,
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;

use self::raw::Raw;
use crate::{
    file::FileError,
    names::{self, Namespace},
    typed,
};

/// What a namespace speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Http,
    Https,
    Tcp,
}

impl Mode {
    /// As written in `smartstack.yaml` and in hacheck's paths.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }
}

/// One namespace of a `smartstack.yaml`, checked (synapse.md §8.4, nerve.md §7.4).
///
/// Keys that this version does not act on are accepted and left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceConfig {
    /// Where HAProxy listens. `None`: discovery only (`proxy_port: null`).
    pub proxy_port: Option<NonZeroU16>,
    /// Default `http`.
    pub mode: Mode,
    /// Location types in which records are published. Default `[region]`.
    pub advertise: Vec<String>,
    /// The location type whose records HAProxy uses. Default `region`.
    pub discover: String,
    /// `healthcheck_mode`, default: [`Self::mode`].
    pub healthcheck_mode: Mode,
    /// `healthcheck_uri`, exactly one leading slash. Default `/status`.
    pub healthcheck_uri: String,
    /// `healthcheck_port`, default: the task's port.
    pub healthcheck_port: Option<NonZeroU16>,
    /// `healthcheck_timeout_s`, default 1 s. The pause between two checks is this plus 1 s.
    pub healthcheck_timeout: Duration,
    /// `healthcheck_body_expect`: a text the body must contain.
    pub healthcheck_body_expect: Option<String>,
    /// `extra_healthcheck_headers`, in file order.
    pub extra_healthcheck_headers: IndexMap<String, String>,
    /// `extra_headers`, set on requests, in file order.
    pub extra_headers: IndexMap<String, String>,
    /// `timeout_connect_ms`.
    pub timeout_connect: Option<Duration>,
    /// `timeout_server_ms`.
    pub timeout_server: Option<Duration>,
    /// `timeout_client_ms`.
    pub timeout_client: Option<Duration>,
    /// `retries`.
    pub retries: Option<u16>,
    /// `balance`: `leastconn` or `roundrobin`; other values are ignored (synapse.md §8.4).
    pub balance: Option<Balance>,
    /// `keepalive`, default false.
    pub keepalive: bool,
}

/// How HAProxy chooses a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    Leastconn,
    Roundrobin,
}

/// The contents of one `smartstack.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmartstackFile {
    /// The namespaces with a `proxy_port`, be it null.
    pub namespaces: BTreeMap<Namespace, Arc<NamespaceConfig>>,
    /// Namespaces whose `proxy_port` is absent or negative: known, but neither proxied nor
    /// registered (synapse.md §8.3, nerve.md §7.3).
    pub without_proxy_port: BTreeSet<Namespace>,
}

/// Parses the text of the `smartstack.yaml` of `service`; `file` is for the messages.
///
/// # Errors
/// The first fault, with its place: the file is taken as a whole or not at all.
pub fn parse(service: &str, file: &Path, text: &str) -> Result<SmartstackFile, FileError> {
    names::check_service(service, file)?;
    let entry = |key: &str| match Namespace::new(service, key) {
        Ok(name) => Ok(Some((name, PhantomData::<Option<Raw>>))),
        Err(error) => Err(error.to_string()),
    };
    let mut parsed = SmartstackFile::default();
    for (name, raw) in typed::parse_with(file, text, typed::Entries(entry))? {
        match raw.and_then(Raw::check) {
            Some(config) => {
                parsed.namespaces.insert(name, Arc::new(config));
            }
            None => {
                parsed.without_proxy_port.insert(name);
            }
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests;
