//! The payload of a record: written byte for byte as nerve writes it (nerve.md §4.2), read as synapse
//! reads it (§4.4), but strict on everything that reaches HAProxy.

mod base64;

use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, de::IgnoredAny};

/// A payload longer than this is refused unread, and never written. Nerve's own are below 1 KiB.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// The longest `name` taken: it becomes part of an HAProxy server name.
const MAX_NAME: usize = 200;

/// One healthy task in one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub host: IpAddr,
    /// Never 0.
    pub port: u16,
    /// The instance id of the writing host. Only `A-Z a-z 0-9 _ . : -`: it feeds HAProxy server names.
    /// Empty when the writer gave none.
    pub name: String,
    pub weight: Option<u32>,
    /// Without control characters, so it cannot leave its line.
    pub haproxy_server_options: Option<String>,
    /// In the order in which they stand in the payload.
    pub labels: Option<IndexMap<String, String>>,
}

/// Why a payload is no record: one short line, with foreign text escaped and shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Record {
    /// The payload: compact JSON, keys in nerve's order, only what JSON requires escaped.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (host, name) = (quoted(&self.host.to_string()), quoted(&self.name));
        let mut json = format!("{{\"host\":{host},\"port\":{},\"name\":{name}", self.port);
        if let Some(weight) = self.weight {
            json.push_str(&format!(",\"weight\":{weight}"));
        }
        if let Some(options) = &self.haproxy_server_options {
            json.push_str(&format!(",\"haproxy_server_options\":{}", quoted(options)));
        }
        if let Some(labels) = &self.labels {
            let pair = |(key, value): (&String, &String)| quoted(key) + ":" + &quoted(value);
            let pairs: Vec<String> = labels.iter().map(pair).collect();
            json.push_str(&format!(",\"labels\":{{{}}}", pairs.join(",")));
        }
        json.push('}');
        json.into_bytes()
    }

    /// Reads a payload. Keys it does not know are ignored.
    ///
    /// # Errors
    /// When it is no record, or holds a value that must not reach HAProxy.
    pub fn decode(payload: &[u8]) -> Result<Self, Refused> {
        if payload.len() > MAX_PAYLOAD {
            return Err(Refused(format!("payload of {} bytes is too long", payload.len())));
        }
        let mut fields = match serde_json::from_slice(payload) {
            Ok(Json::Object(fields)) => fields,
            Ok(_) => return Err(Refused("payload is not a JSON object".to_owned())),
            Err(error) => return Err(Refused(format!("payload is not JSON: {}", reason(&error)))),
        };
        // A null says as little as no key at all.
        let mut take =
            |key| fields.swap_remove(key).filter(|value| !matches!(value, Json::Null(())));
        Ok(Self {
            host: host(take("host"))?,
            port: port(take("port"))?,
            name: name(take("name"))?,
            weight: weight(take("weight").as_ref()),
            haproxy_server_options: options(take("haproxy_server_options"))?,
            labels: labels(take("labels"))?,
        })
    }

    /// The record that a child's name itself carries, `base64_<length>_<text>_<counter>` (nerve.md
    /// §4.3). `None` means that the data has to be read.
    #[must_use]
    pub fn from_child_name(child: &str) -> Option<Self> {
        let (length, rest) = child.strip_prefix("base64_")?.split_once('_')?;
        let text = rest.get(..length.parse().ok()?)?;
        Self::decode(&base64::decode(text)?).ok()
    }
}

/// JSON with object keys in the order of the text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Null(()),
    Integer(u64),
    Text(String),
    Object(IndexMap<String, Json>),
    Other(IgnoredAny),
}

/// Whether an address can be that of a server. `::ffff:0.0.0.0` is 0.0.0.0 as well.
#[must_use]
pub fn is_one_host(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_unspecified() && !address.is_multicast()
}

/// Whether a text can be `haproxy_server_options`: it cannot leave its line.
#[must_use]
pub fn are_options(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn host(value: Option<Json>) -> Result<IpAddr, Refused> {
    let text = match value {
        Some(Json::Text(text)) => text,
        Some(_) => return Err(Refused("host is not a string".to_owned())),
        None => return Err(Refused("host is missing".to_owned())),
    };
    let Ok(host) = text.parse::<IpAddr>() else {
        return Err(Refused(format!("host {} is not an IP address", shown(&text))));
    };
    if !is_one_host(host) {
        return Err(Refused(format!("host {host} is not the address of one host")));
    }
    Ok(host)
}

fn port(value: Option<Json>) -> Result<u16, Refused> {
    let text = match value {
        Some(Json::Integer(number)) => number.to_string(),
        Some(Json::Text(text)) => text,
        Some(_) => return Err(Refused("port is not a whole number".to_owned())),
        None => return Err(Refused("port is missing".to_owned())),
    };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(Refused(format!("port {} is not within 1 to 65535", shown(&text)))),
    }
}

fn name(value: Option<Json>) -> Result<String, Refused> {
    let text = match value {
        Some(Json::Text(text)) => text,
        Some(_) => return Err(Refused("name is not a string".to_owned())),
        None => return Ok(String::new()),
    };
    if text.len() > MAX_NAME {
        return Err(Refused(format!("name is longer than {MAX_NAME} characters")));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b)) {
        return Err(Refused(format!("name {} holds more than A-Za-z0-9_.:-", shown(&text))));
    }
    Ok(text)
}

/// Synapse uses a weight only if it is an integer, and takes the server without one otherwise.
fn weight(value: Option<&Json>) -> Option<u32> {
    match value {
        Some(Json::Integer(weight)) => u32::try_from(*weight).ok(),
        _ => None,
    }
}

fn options(value: Option<Json>) -> Result<Option<String>, Refused> {
    match value {
        None => Ok(None),
        Some(Json::Text(text)) if !are_options(&text) => {
            Err(Refused("haproxy_server_options holds control characters".to_owned()))
        }
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Refused("haproxy_server_options is not a string".to_owned())),
    }
}

fn labels(value: Option<Json>) -> Result<Option<IndexMap<String, String>>, Refused> {
    let pairs = match value {
        None => return Ok(None),
        Some(Json::Object(pairs)) => pairs,
        Some(_) => return Err(Refused("labels is not an object".to_owned())),
    };
    let text = |(key, value): (String, Json)| match value {
        Json::Text(value) => Ok((key, value)),
        _ => Err(Refused(format!("label {} is not a string", shown(&key)))),
    };
    pairs.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Foreign text, fit for a log line.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_default).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

fn reason(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends too early" } else { "it cannot be parsed" }
}

#[cfg(test)]
mod tests;
