//! What dashboards read about checks.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

use super::{Kind, Outcome};
use crate::cache::Statistics;

/// From the fastest answer on loopback to the longest timeout that anyone sets.
const SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

type Seconds = Family<ByKind, Histogram, fn() -> Histogram>;

/// Checks that were made, by protocol.
#[derive(Debug)]
pub(super) struct CheckMetrics {
    checks: Family<Labels, Counter>,
    seconds: Seconds,
    /// The same numbers at hand.
    kinds: [OfKind; Kind::ALL.len()],
}

#[derive(Debug)]
struct OfKind {
    healthy: Counter,
    unhealthy: Counter,
    seconds: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

impl Default for CheckMetrics {
    fn default() -> Self {
        let checks = Family::<Labels, Counter>::default();
        let seconds: Seconds = Family::new_with_constructor(|| Histogram::new(SECONDS));
        let kinds = Kind::ALL.map(|kind| {
            let kind = kind.as_str();
            let count = |outcome| checks.get_or_create_owned(&Labels { kind, outcome });
            let seconds = seconds.get_or_create_owned(&ByKind { kind });
            OfKind { healthy: count("healthy"), unhealthy: count("unhealthy"), seconds }
        });
        Self { checks, seconds, kinds }
    }
}

impl CheckMetrics {
    /// Counts a check that was made.
    pub(super) fn count(&self, kind: Kind, outcome: &Outcome) {
        let of_kind = &self.kinds[kind.index()];
        if outcome.is_healthy() { &of_kind.healthy } else { &of_kind.unhealthy }.inc();
        of_kind.seconds.observe(outcome.took.as_secs_f64());
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("checks", "Checks made, by protocol and outcome", self.checks.clone());
        registry.register_with_unit(
            "check_duration",
            "How long services take to answer checks",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }
}

/// Registers what the cache has done since the start.
pub(super) fn register_cache(registry: &mut Registry, statistics: Statistics) {
    let mut count = |name: &str, help: &str, value| {
        registry.register(name, help, ConstCounter::new(value));
    };
    count("cache_hits", "Answers from memory or from a check under way", statistics.hits);
    count(
        "cache_coalesced",
        "Of the hits, those that waited for a check under way",
        statistics.coalesced,
    );
    count("cache_misses", "Answers that needed a check", statistics.misses);
}

/// Registers how many checks wait and how many connections rest now.
pub(super) fn register_turns(registry: &mut Registry, waiting: usize, kept: usize) {
    let mut show = |name: &str, help: &str, value: usize| {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        registry.register(name, help, ConstGauge::new(value));
    };
    show("checks_waiting", "Checks that wait for their turn", waiting);
    show("connections_kept", "Connections to services that rest until the next check", kept);
}
