//! `smartstack.yaml`: the namespaces of one service.

mod raw;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    path::Path,
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;

pub use self::traffic::{Canary, DefaultServer, Guard, Joined, Share, Spillover};

use crate::{
    fields::Input,
    file::FileError,
    names::{self, Namespace},
    place::Place,
    values,
    yaml::{self, Fault, Node},
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
/// Unknown keys are accepted and left alone; the check of a tree warns of them.
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
    /// `extra_advertise`: a host in the first place of a pair publishes records in the second, too
    /// (nerve.md §5.4). In file order.
    pub extra_advertise: Vec<(Place, Place)>,
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
    /// `updown_timeout_s`: how long `updown_service` waits for a service to come up or go down.
    pub updown_timeout: Option<Duration>,
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
    /// `endpoint_timeouts`: the server's timeout of single paths, in file order.
    pub endpoint_timeouts: IndexMap<String, Duration>,
    /// `retries`.
    pub retries: Option<u16>,
    /// `allredisp`, default false: HAProxy may try another server at every retry.
    pub allredisp: bool,
    /// `balance`: `leastconn` or `roundrobin`; other values are ignored (synapse.md §8.4).
    pub balance: Option<Balance>,
    /// `keepalive`, default false.
    pub keepalive: bool,
    /// `proxied_through`: the namespace through which requests pass first.
    pub proxied_through: Option<Namespace>,
    /// `is_proxy`, default false: others name this one in their `proxied_through`.
    pub is_proxy: bool,
    /// `chaos`: faults that are made on purpose on the hosts of a place, in file order.
    pub chaos: IndexMap<Place, Chaos>,
    /// `slowstart_s`: a server that is new gets its full share only after so long.
    pub slowstart: Option<Duration>,
    /// `canary`.
    pub canary: Option<Canary>,
    /// `spillover`.
    pub spillover: Option<Spillover>,
    /// `guard`.
    pub guard: Guard,
    /// `use_previous_backends`: when nobody is registered any more, the last servers stay.
    pub use_previous_backends: bool,
    /// `default_servers`.
    pub default_servers: Vec<DefaultServer>,
    /// `plugins`: lines that are added to HAProxy's configuration.
    pub plugins: Plugins,
}

impl Default for NamespaceConfig {
    /// What a namespace is of which only `proxy_port: null` is written.
    fn default() -> Self {
        let region = || "region".to_owned();
        Self {
            proxy_port: None,
            mode: Mode::Http,
            advertise: vec![region()],
            discover: region(),
            extra_advertise: Vec::new(),
            healthcheck_mode: Mode::Http,
            healthcheck_uri: "/status".to_owned(),
            healthcheck_port: None,
            healthcheck_timeout: Duration::from_secs(1),
            healthcheck_body_expect: None,
            updown_timeout: None,
            extra_healthcheck_headers: IndexMap::new(),
            extra_headers: IndexMap::new(),
            timeout_connect: None,
            timeout_server: None,
            timeout_client: None,
            endpoint_timeouts: IndexMap::new(),
            retries: None,
            allredisp: false,
            balance: None,
            keepalive: false,
            proxied_through: None,
            is_proxy: false,
            chaos: IndexMap::new(),
            slowstart: None,
            canary: None,
            spillover: None,
            guard: Guard::default(),
            use_previous_backends: false,
            default_servers: Vec::new(),
            plugins: Plugins::default(),
        }
    }
}

/// A fault that is made on purpose. `fail` wins over `delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chaos {
    pub fail: Option<Fail>,
    /// Requests wait this long. HAProxy's units; without one, milliseconds.
    pub delay: Option<Duration>,
}

/// How requests fail on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// Connections are rejected.
    Drop,
    /// There are no servers, so HAProxy answers 503.
    Error503,
}

/// `plugins.<name>.enabled`, each default false (synapse.md §8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plugins {
    pub logging: bool,
    pub source_required: bool,
    pub path_based_routing: bool,
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
    yaml::parse(text)
        .and_then(|document| read(service, &document, text))
        .map_err(|fault| FileError::fault(file, text, &fault))
}

/// Reads a document; `text` is what it was parsed from.
///
/// # Errors
/// The first fault.
fn read(service: &str, document: &Node, text: &str) -> Result<SmartstackFile, Fault> {
    let mut file = SmartstackFile::default();
    if document.is_null() {
        return Ok(file);
    }
    let input = Input { node: document, text };
    for entry in input.map()?.iter() {
        let name = values::parsed(input.with(&entry.key), |key| {
            Namespace::new(service, &key).map_err(|error| error.to_string())
        })?;
        match raw::read(input.with(&entry.value))? {
            Some(config) => {
                file.namespaces.insert(name, Arc::new(config));
            }
            None => {
                file.without_proxy_port.insert(name);
            }
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
