//! What a request asks of an instance: looked up as it stands, written out only for a check.

use std::{cell::RefCell, sync::Arc};

use hyper::{
    HeaderMap,
    header::{self, GetAll, HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};

use super::answers::Refusal;
use crate::{
    cache::Freshness,
    checks::{CheckRequest, Checker, KeyWriter, Kind, Outcome},
    settings::Settings,
    target::Target,
};

thread_local! {
    /// Where keys are written before they are looked up.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A question in the pieces that the request has it in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) kind: Kind,
    pub(super) service: &'a str,
    pub(super) target: Target,
    pub(super) rest: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

impl<'a> Question<'a> {
    /// The answer, if it is remembered.
    pub(super) fn remembered(
        &self,
        checker: &Checker,
        settings: &Settings,
        freshness: Freshness,
    ) -> Option<Arc<Outcome>> {
        KEY.with_borrow_mut(|key| {
            self.write_key(key, settings);
            checker.remembered(key, freshness)
        })
    }

    /// Must write what the key of [`Self::to_request`] is.
    fn write_key(&self, bytes: &mut Vec<u8>, settings: &Settings) {
        let mut key = KeyWriter::new(bytes, self.kind, self.target);
        if self.kind.is_get() {
            let [slash, rest, mark, query] = self.path_and_query();
            key.path(&[slash, rest, mark, query]);
            for (name, values) in self.copied(settings) {
                key.header(name, values.iter().map(HeaderValue::as_bytes));
            }
            if let Some(name) = &settings.service_name_header {
                key.header(name, [self.service.as_bytes()]);
            }
        } else if self.kind == Kind::Grpc {
            key.path(&[self.query.unwrap_or_default()]);
        }
    }

    /// What to ask the service for: as received, after the port (hacheck.md §6, §16.8).
    fn path_and_query(&self) -> [&'a str; 4] {
        let slash = if self.rest.starts_with('/') { "" } else { "/" };
        match self.query.filter(|query| !query.is_empty()) {
            Some(query) => [slash, self.rest, "?", query],
            None => [slash, self.rest, "", ""],
        }
    }

    /// The headers that the service is to see.
    ///
    /// A `Host` that is an address names hacheck and not the service: nerve sends `127.0.0.1:6666`,
    /// HAProxy none. Left out, their checks are one (hacheck.md §16.3).
    fn copied<'s>(
        &self,
        settings: &'s Settings,
    ) -> impl Iterator<Item = (&'s HeaderName, GetAll<'a, HeaderValue>)> {
        let headers = self.headers;
        settings.http_headers_to_copy.iter().filter_map(move |name| {
            let values = headers.get_all(name);
            let mut each = values.iter();
            let first = each.next()?;
            let is_ours = name == header::HOST && each.next().is_none() && is_address(first);
            (!is_ours).then_some((name, values))
        })
    }

    /// The question written out.
    ///
    /// # Errors
    /// The path cannot be passed on, or the service has no valid name.
    pub(super) fn to_request(self, settings: &Settings) -> Result<CheckRequest, Refusal> {
        let path_and_query =
            PathAndQuery::try_from(self.path_and_query().concat()).map_err(|_| Refusal::Path)?;
        let copied = self
            .copied(settings)
            .filter_map(|(name, values)| Some((name.clone(), joined(&values)?)));
        let own = settings.service_name_header.iter().filter_map(|name| {
            // Every service name is a valid header value.
            Some((name.clone(), HeaderValue::from_str(self.service).ok()?))
        });
        let headers = if self.kind.is_get() { copied.chain(own).collect() } else { Vec::new() };
        Ok(CheckRequest {
            kind: self.kind,
            service: self.service.parse()?,
            host: self.target.host,
            port: self.target.port,
            path_and_query,
            headers,
            login: None,
        })
    }
}

/// Whether a `Host` is an address or `localhost`, with or without a port. No name of a host has
/// digits only after its last dot.
fn is_address(host: &HeaderValue) -> bool {
    let bytes = host.as_bytes();
    let name = match bytes.iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(colon) if bytes[colon] == b':' => &bytes[..colon],
        _ => bytes,
    };
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.iter().all(u8::is_ascii_digit);
    is_number || name.starts_with(b"[") || name.eq_ignore_ascii_case(b"localhost")
}

/// One value: several of one name become one, divided by commas (hacheck.md §6).
fn joined(values: &GetAll<'_, HeaderValue>) -> Option<HeaderValue> {
    let values: Vec<_> = values.iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&values.join(&b","[..])).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::names::Host;

    #[test]
    fn a_host_that_names_hacheck_is_told_from_one_that_names_the_service() {
        let addresses = ["127.0.0.1", "127.0.0.1:6666", "[::1]:6666", "localhost", "LocalHost:80"];
        for host in addresses {
            assert!(is_address(&HeaderValue::from_static(host)), "{host}");
        }
        for host in ["", ":80", "tenant.example", "tenant.example:6666", "a1", "127.0.0.1.nip.io"] {
            assert!(!is_address(&HeaderValue::from_static(host)), "{host}");
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_question_is_that_of_the_check_it_becomes(
            kind in prop::sample::select(Kind::ALL.to_vec()),
            rest in "[a-z/%0-9]{0,12}",
            query in prop::option::of("[a-z=&]{0,12}"),
            hosts in prop::collection::vec("[a-z.:0-9]{0,12}", 0..3),
            modes in prop::collection::vec("[a-z ,]{0,6}", 0..3),
            named: bool,
        ) {
            let mode = HeaderName::from_static("x-mode");
            let settings = Settings {
                http_headers_to_copy: vec![header::HOST, mode.clone()],
                service_name_header: named.then(|| HeaderName::from_static("x-service")),
                ..Settings::default()
            };
            let mut headers = HeaderMap::new();
            for (name, values) in [(header::HOST, hosts), (mode, modes)] {
                for value in values {
                    headers.append(&name, value.parse().unwrap());
                }
            }
            let target = Target { host: Host::Local, port: 80 };
            let (rest, query, headers) = (&*rest, query.as_deref(), &headers);
            let question = Question { kind, service: "svc", target, rest, query, headers };
            let mut key = Vec::new();
            question.write_key(&mut key, &settings);
            let request = question.to_request(&settings).unwrap();
            prop_assert_eq!(request.key_bytes(), key);
        }
    }
}
