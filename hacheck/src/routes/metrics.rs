//! What dashboards read about requests.

use hyper::{StatusCode, header::HeaderValue};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};

use super::{answers::reply, path::Route};
use crate::{checks::Kind, server::Reply};

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `/metrics`
pub(super) fn text(registry: &Registry) -> Reply {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, registry);
    reply(StatusCode::OK, OPEN_METRICS, text.into())
}

/// Registers how many marks are in force.
pub(super) fn register_marks(registry: &mut Registry, marks: usize) {
    let marks = i64::try_from(marks).unwrap_or(i64::MAX);
    registry.register("marks", "Marks in force", ConstGauge::new(marks));
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was told that the instance is up, or was given what it asked for.
    Up,
    /// It was told that the instance is down.
    Down,
    /// It was told that someone holds the instance down.
    Marked,
    /// It was refused: there is no such thing, or it may not.
    Refused,
    /// Something on this host failed: a disk, or too much to do.
    Failed,
}

impl Verdict {
    const ALL: [Self; 5] = [Self::Up, Self::Down, Self::Marked, Self::Refused, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Marked => "marked",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Of a refusal with this status.
    pub(super) fn of_refusal(status: StatusCode) -> Self {
        if status.is_server_error() { Self::Failed } else { Self::Refused }
    }
}

/// Requests by route and outcome.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: Family<Labels, Counter>,
    /// The same numbers at hand: counting must not cost more than it tells.
    counters: [[Counter; Verdict::ALL.len()]; ROUTES],
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    route: &'static str,
    outcome: &'static str,
}

/// Beside one for each kind of check.
const OTHERS: [&str; 4] = ["spool", "mark", "document", "unknown"];
const ROUTES: usize = Kind::ALL.len() + OTHERS.len();

impl Default for RequestMetrics {
    fn default() -> Self {
        let requests = Family::<Labels, Counter>::default();
        let counters = std::array::from_fn(|place| {
            let route = match Kind::ALL.get(place) {
                Some(kind) => kind.as_str(),
                None => OTHERS[place - Kind::ALL.len()],
            };
            let counter = |outcome: Verdict| {
                requests.get_or_create_owned(&Labels { route, outcome: outcome.as_str() })
            };
            Verdict::ALL.map(counter)
        });
        Self { requests, counters }
    }
}

impl RequestMetrics {
    /// Counts a request; without a route it asked for something that does not exist.
    pub(super) fn count(&self, route: Option<&Route<'_>>, is_post: bool, verdict: Verdict) {
        let other = |place| Kind::ALL.len() + place;
        let place = match route {
            Some(Route::Check { kind, .. }) => kind.index(),
            Some(Route::Spool(_)) if is_post => other(1),
            Some(Route::Spool(_)) => other(0),
            Some(Route::Recent | Route::Status | Route::Count | Route::Metrics) => other(2),
            None => other(3),
        };
        self.counters[place][verdict as usize].inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Requests by route and outcome";
        registry.register("requests", help, self.requests.clone());
    }
}
