//! `haproxy`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_yaml::Spanned;

use super::{
    super::raw::{RawHaproxy, Text},
    ADDRESS, Problems,
};
use crate::synapse::haproxy;

/// What HAProxy has a page of its own for.
const STATUSES: [u16; 16] =
    [200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 425, 429, 500, 502, 503, 504];
/// When a captured header says no length of its own (synapse.md §8.1).
const CAPTURED: u16 = 64;
const MOST_CAPTURED: u16 = 1024;

impl Problems {
    pub(super) fn haproxy(
        &mut self,
        raw: RawHaproxy,
        hacheck_port: u16,
        host_name: &str,
    ) -> haproxy::Settings {
        let d = haproxy::Settings::default();
        let lua_dir = raw.lua_dir.unwrap_or(d.lua_dir);
        haproxy::Settings {
            program: raw.program.unwrap_or(d.program),
            bind_address: self.parsed(
                "haproxy.bind_address",
                &raw.bind_address,
                d.bind_address,
                "expected an IP address",
            ),
            stats_bind: self.stats(&raw.stats, d.stats_bind),
            config_file: raw.config_file.unwrap_or(d.config_file),
            socket: raw.socket.unwrap_or(d.socket),
            master_socket: raw.master_socket.unwrap_or(d.master_socket),
            sockets_dir: raw
                .sockets_dir
                .or(d.sockets_dir)
                .filter(|dir| !dir.as_os_str().is_empty()),
            templates: raw.templates.or(d.templates),
            log: raw.log.or(d.log).filter(|log| !log.is_empty()),
            order_seed: haproxy::fingerprint::seed(host_name),
            hacheck_port: raw.hacheck_port.map_or(hacheck_port, std::num::NonZeroU16::get),
            maxconn: raw.maxconn.unwrap_or(d.maxconn),
            maxconn_per_server: raw.maxconn_per_server.unwrap_or(d.maxconn_per_server),
            maxqueue_per_server: raw.maxqueue_per_server.unwrap_or(d.maxqueue_per_server),
            captured_headers: self.captured(raw.captured_headers.as_ref(), d.captured_headers),
            error_files: self.error_files(raw.errorfiles.unwrap_or_default()),
            lua_files: files(&lua_dir),
            lua_dir,
            log_sample_rate: self.share(raw.log_sample_rate, d.log_sample_rate),
            map_file: raw.map_file.unwrap_or(d.map_file),
            check_interval: self.span(
                "haproxy.check_interval",
                &raw.check_interval,
                d.check_interval,
            ),
            hard_stop_after: self.span(
                "haproxy.hard_stop_after",
                &raw.hard_stop_after,
                d.hard_stop_after,
            ),
            reload_interval: self.span(
                "haproxy.reload_interval",
                &raw.reload_interval,
                d.reload_interval,
            ),
            reload_quiet: self.span("haproxy.reload_quiet", &raw.reload_quiet, d.reload_quiet),
            reload_jitter: self.span("haproxy.reload_jitter", &raw.reload_jitter, d.reload_jitter),
            max_old_workers: raw.max_old_workers.unwrap_or(d.max_old_workers),
            reload_burst: raw.reload_burst.unwrap_or(d.reload_burst),
            ..d
        }
    }

    /// `:3212` means every address, as in HAProxy's own files.
    fn stats(&mut self, text: &Text, default: SocketAddr) -> SocketAddr {
        let Some(text) = text else { return default };
        let full = match text.value.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => text.value.clone(),
        };
        full.parse().unwrap_or_else(|_| {
            self.add(Some(text), "haproxy.stats", ADDRESS);
            default
        })
    }

    /// `NAME[:LENGTH]`, as in synapse-tools' file.
    fn captured(
        &mut self,
        list: Option<&Spanned<Vec<String>>>,
        default: Vec<(String, u16)>,
    ) -> Vec<(String, u16)> {
        let Some(list) = list else { return default };
        let mut captured = Vec::new();
        for text in &list.value {
            let (name, length) = text.split_once(':').unwrap_or((text, ""));
            let length = if length.is_empty() { Some(CAPTURED) } else { length.parse().ok() };
            let length = length.filter(|length| (1..=MOST_CAPTURED).contains(length));
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            match length {
                Some(length) if !name.is_empty() && name.chars().all(is_name) => {
                    captured.push((name.to_owned(), length));
                }
                _ => {
                    let wrong = format!(
                        "`{}` is no header NAME[:LENGTH] with a length from 1 to {MOST_CAPTURED}",
                        text.escape_debug()
                    );
                    self.add(Some(list), "haproxy.captured_headers", wrong);
                }
            }
        }
        captured
    }

    /// HAProxy would not start without one of them.
    fn error_files(&mut self, files: BTreeMap<u16, PathBuf>) -> BTreeMap<u16, PathBuf> {
        const KEY: &str = "haproxy.errorfiles";
        for (code, file) in &files {
            if !STATUSES.contains(code) {
                self.add::<String>(None, KEY, format!("HAProxy has no page for {code}"));
            }
            if let Err(error) = File::open(file) {
                self.add::<String>(None, KEY, format!("{}: {error}", file.display()));
            }
        }
        files
    }

    fn share(&mut self, share: Option<f64>, default: f64) -> f64 {
        let share = share.unwrap_or(default);
        if !(0.0..=1.0).contains(&share) {
            self.add::<String>(None, "haproxy.log_sample_rate", "must be from 0 to 1");
        }
        share
    }
}

/// The names of what is in a directory; none if it cannot be read.
fn files(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
