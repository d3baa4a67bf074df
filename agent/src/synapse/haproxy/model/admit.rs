//! What of the catalog may reach a configuration file.
//!
//! Quoting alone would keep a hostile value inside its word; these rules also keep out what HAProxy
//! would refuse at load time, because one refused line stops the reload for every service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use soa_configs::{Mode, Namespace, NamespaceConfig};

use super::{Accepted, HeldBack, Refused, Settings};
use crate::synapse::catalog::{Catalog, Pool, Server};

/// A line has at most 64 words, and each check header takes three.
const MAX_HEADERS: usize = 16;
/// Checks and requests must fit HAProxy's buffer (`tune.bufsize` 32768) together.
const MAX_HEADER_BYTES: usize = 8192;
const MAX_URI_BYTES: usize = 2048;
const MAX_NAME_BYTES: usize = 255;
/// HAProxy counts milliseconds in 31 bits; a larger value is a fatal "timer overflow".
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 3600);

/// The settings to render each namespace of the catalog with, and what was refused on the way.
///
/// Who held a port before keeps it: a newcomer cannot take it away.
pub(super) fn configs(
    settings: &Settings,
    catalog: &Catalog,
    before: &Accepted,
    held_back: &HeldBack,
    taken: &BTreeSet<u16>,
) -> (Accepted, Vec<Refused>) {
    let mut order: Vec<_> = catalog.pools.iter().collect();
    let newcomer = |name: &Namespace, config: &NamespaceConfig| {
        before.get(name).is_none_or(|held| held.proxy_port != config.proxy_port)
    };
    order.sort_by_key(|(name, pool)| (newcomer(name, &pool.config), *name));
    let mut holders = Holders::new(settings, taken);
    let (mut accepted, mut refused) = (BTreeMap::new(), Vec::new());
    for (name, pool) in order {
        let held_back = held_back.get(name).filter(|held| held.config == pool.config);
        let verdict = match held_back {
            Some(held) => Err(held.reason.clone()),
            None => holders.admit(name, &pool.config, pool),
        };
        match verdict {
            Ok(()) => {
                accepted.insert(name.clone(), Arc::clone(&pool.config));
            }
            Err(mut reason) => {
                let held = match held_back {
                    Some(held) => held.instead.as_ref(),
                    None => before.get(name),
                };
                if let Some(held) = held.filter(|held| holders.admit(name, held, pool).is_ok()) {
                    accepted.insert(name.clone(), Arc::clone(held));
                    reason.push_str("; its last good settings stay");
                }
                refused.push(Refused { what: name.to_string(), reason });
            }
        }
    }
    (accepted, refused)
}

/// Who has what only one can have.
struct Holders {
    /// HAProxy would let two share a port and split the traffic at random.
    ports: BTreeMap<u16, String>,
    /// Of backends.
    names: BTreeMap<String, Namespace>,
}

impl Holders {
    fn new(settings: &Settings, taken: &BTreeSet<u16>) -> Self {
        let mut ports: BTreeMap<_, _> =
            taken.iter().map(|port| (*port, "another process".to_owned())).collect();
        ports.insert(settings.stats_bind.port(), "the statistics page".to_owned());
        Self { ports, names: BTreeMap::new() }
    }

    fn admit(
        &mut self,
        name: &Namespace,
        config: &NamespaceConfig,
        pool: &Pool,
    ) -> Result<(), String> {
        content(config)?;
        let port = config.proxy_port.map(std::num::NonZero::get);
        if let Some(holder) = port.and_then(|port| self.ports.get(&port)) {
            return Err(format!("proxy_port {} belongs to {holder}", port.unwrap_or_default()));
        }
        let backends: Vec<_> = pool.variants(name, config).map(|variant| variant.name).collect();
        for (n, backend) in backends.iter().enumerate() {
            if let Some(holder) = self.names.get(backend) {
                return Err(format!(
                    "its backend would be called {backend}, which is one of {holder}"
                ));
            }
            if backends[..n].contains(backend) {
                return Err(format!("two of its endpoints would share the backend {backend}"));
            }
        }
        self.names.extend(backends.into_iter().map(|backend| (backend, name.clone())));
        self.ports.extend(port.map(|port| (port, name.to_string())));
        Ok(())
    }
}

fn content(config: &NamespaceConfig) -> Result<(), String> {
    let uri = &config.healthcheck_uri;
    let visible = uri.chars().all(|c| c.is_ascii_graphic());
    if !uri.starts_with('/') || uri.len() > MAX_URI_BYTES || !visible {
        return Err(
            "healthcheck_uri must be a path of at most 2048 visible ASCII characters".to_owned()
        );
    }
    for path in config.endpoint_timeouts.keys() {
        endpoint(path)?;
    }
    headers("extra_healthcheck_headers", &config.extra_healthcheck_headers)?;
    if config.mode == Mode::Tcp {
        return Ok(());
    }
    headers("extra_headers", &config.extra_headers)
}

/// It becomes part of a backend's name.
fn endpoint(path: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | ':');
    if path.starts_with('/') && path.len() <= MAX_NAME_BYTES / 2 && path.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "endpoint_timeouts: `{}` is no path of at most {} letters, digits, `/`, `_`, `-`, `.`, `:`",
        path.escape_debug(),
        MAX_NAME_BYTES / 2
    ))
}

fn headers(key: &str, headers: &IndexMap<String, String>) -> Result<(), String> {
    let total: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || total > MAX_HEADER_BYTES {
        return Err(format!("{key} must be at most 16 headers of 8192 bytes together"));
    }
    let mut seen = BTreeSet::new();
    for (name, value) in headers {
        let shown = name.escape_debug();
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(format!("{key}: `{shown}` is no header name"));
        }
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(format!(
                "{key}: the value of `{shown}` is empty or has control characters"
            ));
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(format!("{key}: `{shown}` is given twice"));
        }
    }
    Ok(())
}

/// RFC 9110 §5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// Why a server cannot have a line.
pub(super) fn server(server: &Server) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let name = &server.name;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(allowed) {
        return Err("a server name is 1 to 255 letters, digits, `_`, `-`, `.`, `:`".to_owned());
    }
    if server.address.port() == 0 || server.address.ip().is_unspecified() {
        return Err(format!("nobody can listen on {}", server.address));
    }
    match server.weight {
        Some(weight) if weight > 256 => Err(format!("weight {weight} is above 256")),
        _ => Ok(()),
    }
}

/// HAProxy's milliseconds: at least 1, because 0 would mean "no limit".
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.min(MAX_TIMEOUT).as_millis()).unwrap_or(u64::MAX).max(1)
}
