//! Every setting with its default.

use std::{num::NonZeroU32, time::Duration};

use hyper::header::{self, HeaderName};

use crate::network::Network;

/// Settings of the HTTP interface. The default is what a host of the fleet needs, except that nobody
/// but the host itself may set marks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Checks and their cache.
    pub checks: CheckSettings,
    /// Who may set marks over HTTP.
    pub remote_marks: RemoteMarks,
    /// Hosts beside this one that may be checked from here; default: none (hacheck.md §16.14).
    pub target_networks: Vec<Network>,
    /// Name of a header that tells the service its name; default: none.
    pub service_name_header: Option<HeaderName>,
    /// Headers that are passed on from the request to the service; default: `Host`.
    pub http_headers_to_copy: Vec<HeaderName>,
}

/// Settings of checks.
#[derive(Clone, Copy, Debug)]
pub struct CheckSettings {
    /// How long an answer is used; default 1 s, as in the fleet.
    pub cache_time: Duration,
    /// How many answers are kept; default 20,000.
    pub cache_entries: usize,
    /// How many bytes of paths, headers and bodies are kept; default 64 MiB.
    pub cache_bytes: usize,
    /// How long one check may take; default 10 s. Waiting for a turn does not count.
    pub timeout: Duration,
    /// Checks under way to one host and port; default 4, so that a service that hangs holds up no
    /// other (hacheck.md §16.2).
    pub per_target: usize,
    /// Checks under way in all; default 1,000, below the usual limit of file descriptors.
    pub in_total: usize,
    /// Checks that wait for their turn; default 10,000. More are answered at once.
    pub waiting: usize,
}

/// Who may set marks over HTTP, and how fast.
#[derive(Clone, Debug)]
pub struct RemoteMarks {
    /// Networks beside loopback; default: none.
    pub allow: Vec<Network>,
    /// Changes per second of one client; default 200.
    pub per_second: NonZeroU32,
    /// Changes of one client at once; default 1,000. PaaSTA kills the tasks of a refused drain, so
    /// this is far above the largest drain of a host.
    pub burst: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            checks: CheckSettings::default(),
            remote_marks: RemoteMarks::default(),
            target_networks: Vec::new(),
            service_name_header: None,
            http_headers_to_copy: vec![header::HOST],
        }
    }
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            cache_time: Duration::from_secs(1),
            cache_entries: 20_000,
            cache_bytes: 64 * 1024 * 1024,
            timeout: Duration::from_secs(10),
            per_target: 4,
            in_total: 1000,
            waiting: 10_000,
        }
    }
}

impl Default for RemoteMarks {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX);
        Self { allow: Vec::new(), per_second: number(200), burst: number(1000) }
    }
}
