//! Settings of hacheck.

use std::time::Duration;

use hacheck::settings::{Login, PassedHeader, Secret};
use hyper::header::HOST;

use super::{ADDRESS, Problems};
use crate::config::{
    Hacheck,
    raw::{RawHacheck, RawLogin, Text},
};

impl Problems {
    pub(super) fn hacheck(&mut self, raw: RawHacheck) -> Hacheck {
        Hacheck {
            listen: self.parsed(
                "hacheck.listen",
                &raw.listen,
                ([0, 0, 0, 0], 6666).into(),
                ADDRESS,
            ),
            spool: raw.spool.unwrap_or_else(|| "/var/spool/hacheck".into()),
            cache: self.span("hacheck.cache", &raw.cache, Duration::from_secs(1)),
            timeout: self.span("hacheck.timeout", &raw.timeout, Duration::from_secs(10)),
            remote_marks: self.list("hacheck.remote_marks.allow", raw.remote_marks.allow.as_ref()),
            targets: self.list("hacheck.targets", raw.targets.as_ref()),
            headers_to_copy: match &raw.headers_to_copy {
                None => vec![HOST],
                Some(_) => {
                    let list = raw.headers_to_copy.as_ref();
                    let names: Vec<PassedHeader> = self.list("hacheck.headers_to_copy", list);
                    names.into_iter().map(Into::into).collect()
                }
            },
            token: self.token(&raw.remote_marks.token),
            service_name_header: raw.service_name_header.as_ref().and_then(|text| {
                let parsed: Result<PassedHeader, _> = text.value.parse();
                let parsed = parsed.map_err(|error| {
                    let shown = format!("`{}`: {error}", text.value.escape_debug());
                    self.add(Some(text), "hacheck.service_name_header", shown);
                });
                parsed.ok().map(Into::into)
            }),
            keep_alive: raw.keep_alive.unwrap_or(true),
            mysql: raw.mysql.map(login),
            redis: raw.redis.map(login),
            drop_stale_marks: raw.drop_stale_marks.unwrap_or(true),
        }
    }

    /// An empty token would let everybody in.
    fn token(&mut self, text: &Text) -> Option<Secret> {
        let text = text.as_ref()?;
        if text.value.is_empty() {
            self.add(Some(text), "hacheck.remote_marks.token", "must not be empty");
        }
        Some(Secret::new(text.value.as_str()))
    }
}

fn login(raw: RawLogin) -> Login {
    Login { user: raw.user, password: Secret::new(raw.password) }
}
