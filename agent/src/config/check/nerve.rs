//! Settings of the nerve wing, and of those who watch it.

use std::time::Duration;

use super::Problems;
use crate::{
    config::raw::{RawDamping, RawMesos, RawStatsd},
    nerve::{damper::Damping, mesos},
};

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

    /// nerve's defaults: a collector on this host (nerve.md §1.2).
    pub(super) fn statsd(&mut self, raw: &RawStatsd) -> String {
        let host = raw.host.as_ref().map_or("localhost", |host| host.value.as_str());
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
        if host.is_empty() || !host.chars().all(word) {
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
