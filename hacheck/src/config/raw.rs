//! The file as it is written.

use std::{num::NonZeroU32, path::Path};

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess},
};

use super::{
    Config, LogTarget, OpenFiles, everyone,
    section::{Read, Section},
    spelling::meant,
    values::{Header, Headers, Networks, Seconds, Switch, Timeout, Token},
};
use crate::settings::{CheckSettings, Login, RemoteMarks, Secret, Settings};

/// The whole file.
pub(super) type Raw = Read<Top>;

#[derive(Debug, Default)]
pub(super) struct Top {
    cache_time: Option<Seconds>,
    healthcheck_timeout: Option<Timeout>,
    max_clients: bool,
    service_name_header: Option<Header>,
    http_headers_to_copy: Option<Headers>,
    allow_remote_spool_changes: Option<Switch>,
    log_path: Option<LogTarget>,
    mysql_username: Option<String>,
    mysql_password: Option<String>,
    rlimit_nofile: Option<OpenFiles>,
    remote_marks: Option<Read<RawRemoteMarks>>,
    targets: Option<Networks>,
    checks: Option<Read<RawChecks>>,
}

impl Section for Top {
    const KEYS: &'static [&'static str] = &[
        "cache_time",
        "healthcheck_timeout",
        "max_clients",
        "service_name_header",
        "http_headers_to_copy",
        "allow_remote_spool_changes",
        "log_path",
        "mysql_username",
        "mysql_password",
        "rlimit_nofile",
        "remote_marks",
        "targets",
        "checks",
    ];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "cache_time" => self.cache_time = Some(map.next_value()?),
            "healthcheck_timeout" => self.healthcheck_timeout = Some(map.next_value()?),
            "max_clients" => {
                map.next_value::<IgnoredAny>()?;
                self.max_clients = true;
            }
            "service_name_header" => self.service_name_header = Some(map.next_value()?),
            "http_headers_to_copy" => self.http_headers_to_copy = Some(map.next_value()?),
            "allow_remote_spool_changes" => {
                self.allow_remote_spool_changes = Some(map.next_value()?);
            }
            "log_path" => self.log_path = Some(map.next_value()?),
            "mysql_username" => self.mysql_username = Some(map.next_value()?),
            "mysql_password" => self.mysql_password = Some(map.next_value()?),
            "rlimit_nofile" => self.rlimit_nofile = map.next_value()?,
            "remote_marks" => self.remote_marks = Some(map.next_value()?),
            "targets" => self.targets = Some(map.next_value()?),
            "checks" => self.checks = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `remote_marks`: who may set marks over HTTP.
#[derive(Debug, Default)]
pub(super) struct RawRemoteMarks {
    allow: Option<Networks>,
    token: Option<Token>,
    per_second: Option<NonZeroU32>,
    burst: Option<NonZeroU32>,
}

impl Section for RawRemoteMarks {
    const KEYS: &'static [&'static str] = &["allow", "token", "per_second", "burst"];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "allow" => self.allow = Some(map.next_value()?),
            "token" => self.token = Some(map.next_value()?),
            "per_second" => self.per_second = Some(map.next_value()?),
            "burst" => self.burst = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `checks`: limits on checks and on the memory for their answers.
#[derive(Debug, Default)]
pub(super) struct RawChecks {
    per_target: Option<NonZeroU32>,
    in_total: Option<NonZeroU32>,
    waiting: Option<NonZeroU32>,
    cache_entries: Option<NonZeroU32>,
    cache_bytes: Option<NonZeroU32>,
    per_target_per_second: Option<NonZeroU32>,
    per_second: Option<NonZeroU32>,
    keep_alive: Option<Switch>,
    kept_connections: Option<NonZeroU32>,
    redis: Option<RawLogin>,
    rabbitmq: Option<RawLogin>,
}

/// Who to log in as. A misspelt key here would be a login without a password, so it is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogin {
    #[serde(default)]
    user: String,
    password: String,
}

impl From<RawLogin> for Login {
    fn from(raw: RawLogin) -> Self {
        Self { user: raw.user, password: Secret::new(raw.password) }
    }
}

impl Section for RawChecks {
    const KEYS: &'static [&'static str] = &[
        "per_target",
        "in_total",
        "waiting",
        "cache_entries",
        "cache_bytes",
        "per_target_per_second",
        "per_second",
        "keep_alive",
        "kept_connections",
        "redis",
        "rabbitmq",
    ];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "per_target" => self.per_target = Some(map.next_value()?),
            "in_total" => self.in_total = Some(map.next_value()?),
            "waiting" => self.waiting = Some(map.next_value()?),
            "cache_entries" => self.cache_entries = Some(map.next_value()?),
            "cache_bytes" => self.cache_bytes = Some(map.next_value()?),
            "per_target_per_second" => self.per_target_per_second = Some(map.next_value()?),
            "per_second" => self.per_second = Some(map.next_value()?),
            "keep_alive" => self.keep_alive = Some(map.next_value()?),
            "kept_connections" => self.kept_connections = Some(map.next_value()?),
            "redis" => self.redis = Some(map.next_value()?),
            "rabbitmq" => self.rabbitmq = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Raw {
    pub(super) fn into_config(self, path: &Path) -> Config {
        let mut warnings = Vec::new();
        let top = self.section;
        warn(&mut warnings, path, "", &self.unknown, Top::KEYS);
        if top.max_clients {
            warnings.push(format!(
                "{}: max_clients has no effect: checks are limited for each target by \
                 checks.per_target, so that one slow service does not hold up the others",
                path.display()
            ));
        }
        let remote_marks = top.remote_marks.unwrap_or_default();
        warn(&mut warnings, path, "remote_marks.", &remote_marks.unknown, RawRemoteMarks::KEYS);
        let checks = top.checks.unwrap_or_default();
        warn(&mut warnings, path, "checks.", &checks.unknown, RawChecks::KEYS);
        let mut check_settings = check_settings(checks.section);
        check_settings.mysql = match (top.mysql_username, top.mysql_password) {
            (Some(user), password) => {
                Some(Login { user, password: Secret::new(password.unwrap_or_default()) })
            }
            (None, _) => None,
        };
        if let Some(Seconds(time)) = top.cache_time {
            check_settings.cache_time = time;
        }
        if let Some(Timeout(time)) = top.healthcheck_timeout {
            check_settings.timeout = time;
        }
        let open = top.allow_remote_spool_changes.is_some_and(|Switch(open)| open);
        let defaults = Settings::default();
        let settings = Settings {
            checks: check_settings,
            remote_marks: who_may_mark(remote_marks.section, open),
            target_networks: top.targets.map_or(defaults.target_networks, |Networks(list)| list),
            service_name_header: top.service_name_header.map(|Header(name)| name),
            http_headers_to_copy: top
                .http_headers_to_copy
                .map_or(defaults.http_headers_to_copy, |Headers(names)| names),
        };
        Config {
            settings,
            log: top.log_path.unwrap_or(LogTarget::Stderr),
            open_files: top.rlimit_nofile.unwrap_or(OpenFiles::Max),
            warnings,
        }
    }
}

/// A list of networks goes before `allow_remote_spool_changes`, so that a file which opens an old
/// hacheck to everyone can be narrower here.
fn who_may_mark(raw: RawRemoteMarks, open: bool) -> RemoteMarks {
    let defaults = RemoteMarks::default();
    let unlisted = if open { everyone() } else { Vec::new() };
    RemoteMarks {
        allow: raw.allow.map_or(unlisted, |Networks(list)| list),
        token: raw.token.map(|Token(token)| token),
        per_second: raw.per_second.unwrap_or(defaults.per_second),
        burst: raw.burst.unwrap_or(defaults.burst),
    }
}

fn check_settings(raw: RawChecks) -> CheckSettings {
    let defaults = CheckSettings::default();
    let or = |given: Option<NonZeroU32>, default: usize| {
        given.and_then(|number| usize::try_from(number.get()).ok()).unwrap_or(default)
    };
    CheckSettings {
        per_target: or(raw.per_target, defaults.per_target),
        in_total: or(raw.in_total, defaults.in_total),
        waiting: or(raw.waiting, defaults.waiting),
        cache_entries: or(raw.cache_entries, defaults.cache_entries),
        cache_bytes: or(raw.cache_bytes, defaults.cache_bytes),
        per_target_per_second: raw.per_target_per_second.unwrap_or(defaults.per_target_per_second),
        per_second: raw.per_second.unwrap_or(defaults.per_second),
        keep_alive: raw.keep_alive.map_or(defaults.keep_alive, |Switch(on)| on),
        kept_connections: or(raw.kept_connections, defaults.kept_connections),
        redis: raw.redis.map(Login::from),
        rabbitmq: raw.rabbitmq.map(Login::from),
        ..defaults
    }
}

fn warn(
    warnings: &mut Vec<String>,
    path: &Path,
    section: &str,
    unknown: &[(String, u64)],
    known: &[&str],
) {
    for (key, line) in unknown {
        let key = key.escape_debug();
        let mut text = format!("{}:{line}: {section}{key} is no setting", path.display());
        if let Some(meant) = meant(&key.to_string(), known) {
            text.push_str(&format!("; did you mean {section}{meant}?"));
        }
        warnings.push(text);
    }
}
