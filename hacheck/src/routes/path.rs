//! What a path asks for (hacheck.md §3).

use crate::{checks::Kind, names::is_service_byte};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/http/SVC/PORT/REST`, `/tcp/SVC/PORT[/REST]` and so on
    Check { kind: Kind, instance: Instance<'a>, rest: &'a str },
    /// `/spool/SVC/PORT[/REST]`
    Spool(Instance<'a>),
    /// `/recent`
    Recent,
    /// `/status`
    Status,
    /// `/status/count`
    Count,
    /// `/metrics`
    Metrics,
}

/// Service and port as the path names them: right by their letters, nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instance<'a> {
    pub(super) service: &'a str,
    pub(super) port: &'a str,
}

/// Reads a path as it was sent, still percent-encoded. `None`: there is no such thing.
pub(super) fn parse(path: &str) -> Option<Route<'_>> {
    match path {
        "/recent" => return Some(Route::Recent),
        "/status" => return Some(Route::Status),
        "/status/count" => return Some(Route::Count),
        "/metrics" => return Some(Route::Metrics),
        _ => {}
    }
    let (protocol, path) = split(path.strip_prefix('/')?)?;
    let (service, path) = split(path)?;
    let (port, rest) = match split(path) {
        Some((port, rest)) => (port, Some(rest)),
        None => (path, None),
    };
    let is_service = !service.is_empty() && service.bytes().all(is_service_byte);
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_service || !is_port {
        return None;
    }
    let instance = Instance { service, port };
    if protocol == "spool" {
        return Some(Route::Spool(instance));
    }
    let kind = Kind::parse(protocol)?;
    // Only what is asked for needs the slash after the port.
    let rest = if kind.is_get() { rest? } else { "" };
    Some(Route::Check { kind, instance, rest })
}

/// At the first slash. For pieces as short as these a loop beats a search that is made for long ones.
fn split(path: &str) -> Option<(&str, &str)> {
    let slash = path.bytes().position(|byte| byte == b'/')?;
    Some((path.get(..slash)?, path.get(slash + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAIN: Instance<'_> = Instance { service: "svc.main", port: "31000" };

    fn check(kind: Kind, rest: &str) -> Option<Route<'_>> {
        Some(Route::Check { kind, instance: MAIN, rest })
    }

    fn http(rest: &str) -> Option<Route<'_>> {
        check(Kind::Http, rest)
    }

    #[test]
    fn every_route_is_found_and_nothing_else() {
        let tcp = check(Kind::Tcp, "");
        let zero = Instance { service: "all", port: "0" };
        let cases = [
            ("/http/svc.main/31000/status", http("status")),
            ("/http/svc.main/31000/", http("")),
            ("/http/svc.main/31000//a%20b/", http("/a%20b/")),
            ("/http/svc.main/31000", None),
            ("/tcp/svc.main/31000", tcp),
            ("/tcp/svc.main/31000/", tcp),
            ("/tcp/svc.main/31000/any/thing", tcp),
            ("/https/svc.main/31000/status", check(Kind::Https, "status")),
            ("/https/svc.main/31000", None),
            ("/h2c/svc.main/31000/status", check(Kind::H2c, "status")),
            ("/h2c/svc.main/31000", None),
            ("/grpc/svc.main/31000", check(Kind::Grpc, "")),
            ("/smtp/svc.main/31000/status", check(Kind::Smtp, "")),
            ("/mysql/svc.main/31000", check(Kind::Mysql, "")),
            ("/redis/svc.main/31000/status", check(Kind::Redis, "")),
            ("/rabbitmq/svc.main/31000", check(Kind::Rabbitmq, "")),
            ("/spool/svc.main/31000", Some(Route::Spool(MAIN))),
            ("/spool/svc.main/31000/status", Some(Route::Spool(MAIN))),
            ("/spool/all/0/x", Some(Route::Spool(zero))),
            ("/recent", Some(Route::Recent)),
            ("/status", Some(Route::Status)),
            ("/status/count", Some(Route::Count)),
            ("/metrics", Some(Route::Metrics)),
            ("/metrics/", None),
            ("/recent/", None),
            ("/status/", None),
            ("/status/count/", None),
            ("/HTTP/svc.main/31000/status", None),
            ("/udp/svc.main/31000/status", None),
            ("/http/svc%2Emain/31000/status", None),
            ("/http/svc main/31000/status", None),
            ("/http//31000/status", None),
            ("/http/svc.main//status", None),
            ("/http/svc.main/x/status", None),
            ("/http/svc.main/-1/status", None),
            ("/http/svc.main", None),
            ("//http/svc.main/31000/status", None),
            ("http/svc.main/31000/status", None),
            ("/", None),
            ("", None),
            ("*", None),
        ];
        for (path, route) in cases {
            assert_eq!(parse(path), route, "{path}");
        }
    }

    /// Files in `__fuzz__` are tried first; found crashes are kept there.
    #[test]
    fn fuzz_request_path() {
        bolero::check!().with_iterations(20_000).for_each(|path: &[u8]| {
            let Ok(uri) = hyper::Uri::try_from(path) else { return };
            let instance = match parse(uri.path()) {
                Some(Route::Check { instance, rest, .. }) => {
                    assert!(uri.path().ends_with(rest));
                    instance
                }
                Some(Route::Spool(instance)) => instance,
                _ => return,
            };
            let Instance { service, port } = instance;
            assert!(!service.is_empty() && !service.contains(['/', '%', ':', '\n', '\0']));
            assert!(port.bytes().all(|byte| byte.is_ascii_digit()));
        });
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_harm(path in "\\PC*") {
            parse(&path);
        }

        #[test]
        fn a_written_path_reads_back(
            service in "[.a-zA-Z0-9_-]{1,20}",
            port in "[0-9]{1,9}",
            rest in "[ -~]{0,20}",
        ) {
            let instance = Instance { service: &service, port: &port };
            let path = format!("/http/{service}/{port}/{rest}");
            let expected = Route::Check { kind: Kind::Http, instance, rest: &rest };
            prop_assert_eq!(parse(&path), Some(expected));
        }
    }
}
