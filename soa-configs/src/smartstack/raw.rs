//! One namespace as it is written, checked.

use std::time::Duration;

use indexmap::IndexMap;

use super::{Balance, Chaos, Fail, NamespaceConfig, Plugins, traffic};
use crate::{
    fields::{self, Fields, Input},
    values::{self, ProxyPort},
    yaml::Fault,
};

/// Reads a namespace; null means the same as absent everywhere but in `proxy_port`, and unknown keys
/// belong to others. `None`: there is no `proxy_port`, so it is neither proxied nor registered.
pub(super) fn read(input: Input<'_>) -> Result<Option<NamespaceConfig>, Fault> {
    if input.node.is_null() {
        return Ok(None);
    }
    let mut fields = Fields::new(input)?;
    let proxy_port = match fields.get("proxy_port") {
        None => Some(ProxyPort::Negative),
        Some(input) if input.node.is_null() => None,
        Some(input) => fields.keep("proxy_port", values::proxy_port(input)),
    };
    let config = namespace(&mut fields);
    fields.finish()?;
    Ok(match proxy_port {
        Some(ProxyPort::Negative) => None,
        Some(ProxyPort::Listen(port)) => Some(NamespaceConfig { proxy_port: Some(port), ..config }),
        None => Some(config),
    })
}

/// Everything but `proxy_port`.
fn namespace(fields: &mut Fields<'_>) -> NamespaceConfig {
    let default = NamespaceConfig::default();
    let mode = fields.read("mode", values::mode).unwrap_or(default.mode);
    NamespaceConfig {
        proxy_port: None,
        mode,
        advertise: fields.read("advertise", advertise).unwrap_or(default.advertise),
        discover: fields.read("discover", values::location_type).unwrap_or(default.discover),
        extra_advertise: fields.read("extra_advertise", extra_advertise).unwrap_or_default(),
        healthcheck_mode: fields.read("healthcheck_mode", values::mode).unwrap_or(mode),
        healthcheck_uri: fields
            .read("healthcheck_uri", values::uri)
            .unwrap_or(default.healthcheck_uri),
        healthcheck_port: fields.read("healthcheck_port", values::port),
        healthcheck_timeout: fields
            .read("healthcheck_timeout_s", values::seconds)
            .unwrap_or(default.healthcheck_timeout),
        healthcheck_body_expect: fields
            .read("healthcheck_body_expect", Input::text)
            .filter(|text| !text.is_empty()),
        updown_timeout: fields.read("updown_timeout_s", values::seconds),
        extra_healthcheck_headers: fields
            .read("extra_healthcheck_headers", headers)
            .unwrap_or_default(),
        extra_headers: fields.read("extra_headers", headers).unwrap_or_default(),
        timeout_connect: fields.read("timeout_connect_ms", values::millis),
        timeout_server: fields.read("timeout_server_ms", values::millis),
        timeout_client: fields.read("timeout_client_ms", values::millis),
        endpoint_timeouts: fields.read("endpoint_timeouts", endpoint_timeouts).unwrap_or_default(),
        retries: fields.read("retries", values::count),
        allredisp: fields.read("allredisp", Input::boolean).unwrap_or(false),
        balance: fields.read("balance", Input::text).as_deref().and_then(balance),
        keepalive: fields.read("keepalive", Input::boolean).unwrap_or(false),
        proxied_through: fields.read("proxied_through", values::namespace),
        is_proxy: fields.read("is_proxy", Input::boolean).unwrap_or(false),
        chaos: fields.read("chaos", chaos).unwrap_or_default(),
        slowstart: fields.read("slowstart_s", values::seconds),
        canary: fields.read("canary", traffic::canary),
        spillover: fields.read("spillover", traffic::spillover),
        guard: fields.read("guard", traffic::guard).unwrap_or_default(),
        use_previous_backends: fields
            .read("use_previous_backends", Input::boolean)
            .unwrap_or(false),
        default_servers: fields
            .read("default_servers", traffic::default_servers)
            .unwrap_or_default(),
        plugins: fields.read("plugins", plugins).unwrap_or_default(),
    }
}

/// A type that is named twice counts once.
fn advertise(input: Input<'_>) -> Result<Vec<String>, Fault> {
    let mut types = Vec::new();
    for kind in fields::list(input, values::location_type)? {
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    Ok(types)
}

fn extra_advertise(input: Input<'_>) -> Result<Vec<(crate::Place, crate::Place)>, Fault> {
    let destinations = |input: Input<'_>| fields::list(input, values::place);
    let map = fields::map(input, values::place, destinations)?;
    let pairs = map.into_iter().flat_map(|(source, destinations)| {
        destinations.into_iter().map(move |destination| (source.clone(), destination))
    });
    Ok(pairs.collect())
}

fn headers(input: Input<'_>) -> Result<IndexMap<String, String>, Fault> {
    fields::map(input, values::header_name, values::header_value)
}

fn endpoint_timeouts(input: Input<'_>) -> Result<IndexMap<String, Duration>, Fault> {
    fields::map(input, values::uri, values::millis)
}

fn balance(text: &str) -> Option<Balance> {
    match text {
        "leastconn" => Some(Balance::Leastconn),
        "roundrobin" => Some(Balance::Roundrobin),
        _ => None,
    }
}

fn chaos(input: Input<'_>) -> Result<IndexMap<crate::Place, Chaos>, Fault> {
    let mut all = IndexMap::new();
    for (kind, places) in fields::map(input, values::location_type, |input| {
        fields::map(input, |key| key.text(), one_chaos)
    })? {
        for (location, chaos) in places {
            let place = crate::Place::new(&kind, &location)
                .map_err(|error| Fault::new(input.node.span, error.to_string()))?;
            all.insert(place, chaos);
        }
    }
    Ok(all)
}

fn one_chaos(input: Input<'_>) -> Result<Chaos, Fault> {
    let mut fields = Fields::new(input)?;
    let chaos = Chaos {
        fail: fields.read("fail", |input| {
            values::parsed(input, |text| match text.as_str() {
                "drop" => Ok(Fail::Drop),
                "error_503" => Ok(Fail::Error503),
                _ => Err(format!("{text:?} is no failure; expected drop or error_503")),
            })
        }),
        delay: fields.read("delay", haproxy_time),
    };
    fields.finish()?;
    Ok(chaos)
}

/// A time as HAProxy writes it: a number, and a unit or milliseconds.
fn haproxy_time(input: Input<'_>) -> Result<Duration, Fault> {
    values::parsed(input, |text| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "us" => 1,
            "" | "ms" => 1000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => 0,
        };
        let number: Option<u64> = digits.parse().ok();
        match number.and_then(|number| number.checked_mul(factor)).filter(|micros| *micros > 0) {
            Some(micros) => Ok(Duration::from_micros(micros)),
            None => Err(format!("{text:?} is no time; expected as 500ms or 2s")),
        }
    })
}

fn plugins(input: Input<'_>) -> Result<Plugins, Fault> {
    let mut fields = Fields::new(input)?;
    let mut plugin = |name: &str| fields.read(name, enabled).unwrap_or(false);
    let (logging, source_required, path_based_routing) =
        (plugin("logging"), plugin("source_required"), plugin("path_based_routing"));
    fields.finish()?;
    Ok(Plugins { logging, source_required, path_based_routing })
}

fn enabled(input: Input<'_>) -> Result<bool, Fault> {
    let mut fields = Fields::new(input)?;
    let enabled = fields.read("enabled", Input::boolean).unwrap_or(false);
    fields.finish()?;
    Ok(enabled)
}
