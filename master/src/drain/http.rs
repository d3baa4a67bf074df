//! The drain method `http`: four calls that the service owner names (marathon-sync.md §13).

use std::{ops::RangeInclusive, str::FromStr};

use soa_configs::yaml::{Map, Node, Value};

use crate::url_format::{Field, UrlFormat};

/// The four calls. All of them are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    pub drain: Call,
    pub stop_draining: Call,
    /// Any code that is no success is a no, here and in the next.
    pub is_draining: Call,
    pub is_safe_to_kill: Call,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub url: UrlFormat,
    pub method: HttpMethod,
    pub success: SuccessCodes,
}

/// `GET`, `POST`, ...: a word of capital letters. Default `GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpMethod(String);

/// Codes that mean success, as `200-399,407,500`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessCodes(Vec<RangeInclusive<u16>>);

const NAMES: [&str; 4] = ["drain", "stop_draining", "is_draining", "is_safe_to_kill"];

impl Calls {
    pub(super) fn read(params: &Map) -> Result<Self, String> {
        let other = params
            .iter()
            .find(|entry| entry.key.as_text().is_none_or(|name| !NAMES.contains(&name)));
        if let Some(entry) = other {
            let name = entry.key.as_text().unwrap_or_else(|| entry.key.value.kind());
            return Err(format!("http does not know {name:?}; expected {}", NAMES.join(", ")));
        }
        let missing: Vec<&str> =
            NAMES.into_iter().filter(|name| params.get(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(format!("http needs {}", missing.join(", ")));
        }
        let call = |name: &str| {
            let map = params.get(name).and_then(Node::as_map);
            let call = map.ok_or_else(|| "expected a map".to_owned()).and_then(Call::read);
            call.map_err(|fault| format!("{name}: {fault}"))
        };
        Ok(Self {
            drain: call("drain")?,
            stop_draining: call("stop_draining")?,
            is_draining: call("is_draining")?,
            is_safe_to_kill: call("is_safe_to_kill")?,
        })
    }
}

impl Call {
    fn read(map: &Map) -> Result<Self, String> {
        let url = map.get("url_format").and_then(Node::as_text);
        let url = url.ok_or("`url_format`: expected a URL with placeholders")?;
        let url =
            UrlFormat::parse(url, &Field::ALL).map_err(|fault| format!("`url_format`: {fault}"))?;
        let method = match map.get("method") {
            None => HttpMethod("GET".to_owned()),
            Some(node) => node.as_text().unwrap_or_default().parse()?,
        };
        let success = match map.get("success_codes").map(|node| &node.value) {
            Some(Value::Int(code)) => code.to_string().parse()?,
            Some(Value::Text(codes)) => codes.parse()?,
            _ => return Err(NO_CODES.to_owned()),
        };
        Ok(Self { url, method, success })
    }
}

impl HttpMethod {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err("`method`: expected GET, POST or another word".to_owned());
        }
        Ok(Self(text.to_ascii_uppercase()))
    }
}

const NO_CODES: &str = "`success_codes`: expected HTTP codes, as 200-399,407,500";

impl SuccessCodes {
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl FromStr for SuccessCodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = |text: &str| text.trim().parse().ok();
        let range = |part: &str| match part.split_once('-') {
            Some((first, last)) => Some(code(first)?..=code(last)?),
            None => code(part).map(|code| code..=code),
        };
        let ranges: Option<Vec<RangeInclusive<u16>>> = text.split(',').map(range).collect();
        ranges.map(Self).ok_or_else(|| NO_CODES.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use soa_configs::yaml;

    use super::*;

    const CALL: &str = "{url_format: 'http://{host}:{port}/drain', success_codes: 200}";

    fn read(text: &str) -> Result<Calls, String> {
        Calls::read(yaml::parse(text).unwrap().as_map().unwrap())
    }

    #[test]
    fn four_calls_are_read() {
        let ask = "{url_format: 'http://{host}/q', method: post, success_codes: '200-299,404'}";
        let calls = read(&format!(
            "{{drain: {CALL}, stop_draining: {CALL}, is_draining: {ask}, is_safe_to_kill: {ask}}}"
        ))
        .unwrap();
        assert_eq!(
            (calls.drain.method.as_str(), calls.is_draining.method.as_str()),
            ("GET", "POST")
        );
        assert!(calls.drain.success.contains(200) && !calls.drain.success.contains(201));
        let success = &calls.is_safe_to_kill.success;
        assert!([200, 299, 404].iter().all(|code| success.contains(*code)));
        assert!(![199, 300, 403].iter().any(|code| success.contains(*code)));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, named) in [
            ("{drain: {}}", "needs stop_draining, is_draining, is_safe_to_kill"),
            ("{delay: 60}", "\"delay\""),
            ("{drain: x, stop_draining: x, is_draining: x, is_safe_to_kill: x}", "drain: expected"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(named), "{fault}");
        }
        for call in [
            "{success_codes: 200}",
            "{url_format: '{x}', success_codes: 200}",
            "{url_format: x}",
            "{url_format: x, success_codes: }",
            "{url_format: x, success_codes: 200-}",
            "{url_format: x, success_codes: 'ok'}",
            "{url_format: x, success_codes: '1-2-3'}",
            "{url_format: x, success_codes: 200, method: 'GET /'}",
        ] {
            assert!(Call::read(yaml::parse(call).unwrap().as_map().unwrap()).is_err(), "{call}");
        }
    }
}
