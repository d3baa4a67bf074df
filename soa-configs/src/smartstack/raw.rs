//! One namespace as it is written.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};

use super::{Balance, Mode, NamespaceConfig};
use crate::values::{
    Count, HeaderName, HeaderValue, LocationType, Millis, Port, ProxyPort, Seconds, Uri,
};

/// Null means the same as absent everywhere but in `proxy_port`. Unknown keys belong to others.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    /// Outer `None`: absent. Inner `None`: null.
    #[serde(deserialize_with = "present")]
    proxy_port: Option<Option<ProxyPort>>,
    mode: Option<Mode>,
    advertise: Option<Vec<LocationType>>,
    discover: Option<LocationType>,
    healthcheck_mode: Option<Mode>,
    healthcheck_uri: Option<Uri>,
    healthcheck_port: Option<Port>,
    healthcheck_timeout_s: Option<Seconds>,
    healthcheck_body_expect: Option<String>,
    extra_healthcheck_headers: Option<IndexMap<HeaderName, HeaderValue>>,
    extra_headers: Option<IndexMap<HeaderName, HeaderValue>>,
    timeout_connect_ms: Option<Millis>,
    timeout_server_ms: Option<Millis>,
    timeout_client_ms: Option<Millis>,
    retries: Option<Count>,
    balance: Option<String>,
    keepalive: Option<bool>,
}

fn present<'de, T, D>(de: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(de).map(Some)
}

impl Raw {
    /// `None`: there is no `proxy_port`, so neither proxied nor registered.
    pub(super) fn check(self) -> Option<NamespaceConfig> {
        let proxy_port = match self.proxy_port? {
            None => None,
            Some(ProxyPort::Listen(port)) => Some(port),
            Some(ProxyPort::Negative) => return None,
        };
        let mode = self.mode.unwrap_or(Mode::Http);
        Some(NamespaceConfig {
            proxy_port,
            mode,
            advertise: self.advertise.map_or_else(|| vec!["region".to_owned()], words),
            discover: self.discover.map_or_else(|| "region".to_owned(), |word| word.0),
            healthcheck_mode: self.healthcheck_mode.unwrap_or(mode),
            healthcheck_uri: self.healthcheck_uri.map_or_else(|| "/status".to_owned(), |u| u.0),
            healthcheck_port: self.healthcheck_port.map(|port| port.0),
            healthcheck_timeout: self
                .healthcheck_timeout_s
                .map_or(Duration::from_secs(1), |timeout| timeout.0),
            healthcheck_body_expect: self.healthcheck_body_expect.filter(|text| !text.is_empty()),
            extra_healthcheck_headers: headers(self.extra_healthcheck_headers),
            extra_headers: headers(self.extra_headers),
            timeout_connect: self.timeout_connect_ms.map(|timeout| timeout.0),
            timeout_server: self.timeout_server_ms.map(|timeout| timeout.0),
            timeout_client: self.timeout_client_ms.map(|timeout| timeout.0),
            retries: self.retries.map(|count| count.0),
            balance: self.balance.as_deref().and_then(balance),
            keepalive: self.keepalive.unwrap_or(false),
        })
    }
}

/// A type that is named twice counts once.
fn words(types: Vec<LocationType>) -> Vec<String> {
    let mut words = Vec::with_capacity(types.len());
    for LocationType(word) in types {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

fn headers(headers: Option<IndexMap<HeaderName, HeaderValue>>) -> IndexMap<String, String> {
    let pairs = headers.into_iter().flatten();
    pairs.map(|(HeaderName(name), HeaderValue(value))| (name, value)).collect()
}

fn balance(text: &str) -> Option<Balance> {
    match text {
        "leastconn" => Some(Balance::Leastconn),
        "roundrobin" => Some(Balance::Roundrobin),
        _ => None,
    }
}
