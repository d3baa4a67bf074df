//! Settings of hacheck.

use std::time::Duration;

use hacheck::settings::{CommandUser, Login, PassedHeader, Secret};
use hyper::header::HOST;
use nix::unistd::{Uid, User};

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
            rabbitmq: raw.rabbitmq.map(login),
            command_user: self.command_user(&raw.command_user),
            drop_stale_marks: raw.drop_stale_marks.unwrap_or(true),
        }
    }

    /// Nobody's programs run as root by accident.
    fn command_user(&mut self, text: &Text) -> CommandUser {
        let is_root = Uid::effective().is_root();
        if text.is_none() && !is_root {
            return CommandUser::Own;
        }
        let name = text.as_ref().map_or("nobody", |text| text.value.as_str());
        match (User::from_name(name), text) {
            (Ok(Some(user)), _) if is_root || user.uid != Uid::effective() => {
                CommandUser::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() }
            }
            (Ok(Some(_)), _) => CommandUser::Own,
            (Ok(None) | Err(_), Some(_)) => {
                let message = format!("`{}`: there is no such user here", name.escape_debug());
                self.add(text.as_ref(), "hacheck.command_user", message);
                CommandUser::None
            }
            // A system without nobody: such checks say that nobody may run them.
            (Ok(None) | Err(_), None) => CommandUser::None,
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
