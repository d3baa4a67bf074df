//! Settings of the nerve wing, and of those who watch it.

use std::time::Duration;

use super::Problems;
use crate::{
    config::raw::{RawDamping, RawMesos, RawOomEvents, RawStatsd},
    nerve::{damper::Damping, mesos},
    oom,
};

fn is_host(host: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    !host.is_empty() && host.chars().all(word)
}

impl Problems {
    pub(super) fn mesos(&mut self, raw: &RawMesos) -> Option<mesos::Settings> {
        let poll = self.span("mesos.poll", &raw.poll, Duration::from_secs(30));
        let text = raw.agent_url.as_ref()?;
        let url = text.value.parse::<hyper::Uri>().ok();
        let url = url.filter(|url| url.scheme_str() == Some("http") && url.host().is_some());
        if url.is_none() {
            let message = format!("`{}`: expected http://HOST:PORT", text.value.escape_debug());
            self.add(Some(text), "mesos.agent_url", message);
        }
        Some(mesos::Settings { url: url?, poll })
    }

    pub(super) fn damping(&mut self, raw: &RawDamping) -> Damping {
        let default = Damping::default();
        Damping {
            falls: raw.falls.map_or(default.falls, usize::from),
            window: self.span("damping.window", &raw.window, default.window),
            hold: self.span("damping.hold", &raw.hold, default.hold),
            longest: self.span("damping.longest", &raw.longest, default.longest),
        }
    }

    pub(super) fn oom_events(&mut self, raw: &RawOomEvents) -> Option<oom::Settings> {
        let realert_every = raw.realert_every.as_ref().map_or(1, |every| every.value);
        if realert_every != -1 && realert_every < 1 {
            let message = "expected 1 or more events, or -1 for ever fewer";
            self.add(raw.realert_every.as_ref(), "oom_events.realert_every", message);
        }
        let sensu = raw.sensu.as_ref().and_then(|text| {
            let parts = text.value.rsplit_once(':');
            let target = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let target = target.filter(|(host, port)| is_host(host) && *port != 0);
            if target.is_none() {
                let message = format!("`{}`: expected HOST:PORT", text.value.escape_debug());
                self.add(Some(text), "oom_events.sensu", message);
            }
            let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
            target.map(|(host, port)| (bare(host), port))
        });
        raw.enabled.unwrap_or(true).then_some(oom::Settings { sensu, realert_every })
    }

    /// nerve's defaults: a collector on this host (nerve.md §1.2).
    pub(super) fn statsd(&mut self, raw: &RawStatsd) -> String {
        let host = raw.host.as_ref().map_or("localhost", |host| host.value.as_str());
        if !is_host(host) {
            let message = format!("`{}`: expected a host", host.escape_debug());
            self.add(raw.host.as_ref(), "statsd.host", message);
        }
        let port = raw.port.map_or(8125, std::num::NonZeroU16::get);
        if host.contains(':') && !host.starts_with('[') {
            return format!("[{host}]:{port}");
        }
        format!("{host}:{port}")
    }
}
