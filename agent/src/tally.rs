//! Counts what the nerve wing does, under the names that nerve's dashboards know (nerve.md §1.5): for
//! Prometheus, and over statsd as it happens.
//!
//! A "watcher" of nerve is a registration here, and its reporter what writes a record.

use std::{fmt::Display, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};
use soa_configs::Namespace;

use crate::{registry::Ensemble, statsd::Statsd};

/// nerve's own buckets, in seconds.
const OPERATIONS: [f64; 12] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const LOOPS: [f64; 9] = [0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

macro_rules! labels {
    ($($name:ident { $($field:ident: $kind:ty),* })*) => {
        $(#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name { $($field: $kind),* })*
    };
}

labels! {
    Reason { reason: &'static str }
    Outcome { result: &'static str }
    Report { action: &'static str, result: &'static str }
    Operation { zk_cluster: String, operation: &'static str }
}

#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Where everything is counted. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Tally {
    statsd: Statsd,
    launches: Family<Reason, Counter>,
    stops: Family<Reason, Counter>,
    reports: Family<Report, Counter>,
    pings: Family<Outcome, Counter>,
    reloads: Counter,
    throttled: Counter,
    write_failures: Family<Operation, Counter>,
    operations: Family<Operation, Histogram, Buckets>,
    loops: Histogram,
    /// Attempts in a row in which the most unlucky record could not be written.
    streak: Gauge,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new(Statsd::default())
    }
}

/// What is asked of ZooKeeper for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Delete,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

fn result(good: bool) -> &'static str {
    if good { "success" } else { "fail" }
}

impl Tally {
    #[must_use]
    pub fn new(statsd: Statsd) -> Self {
        Self {
            statsd,
            launches: Family::default(),
            stops: Family::default(),
            reports: Family::default(),
            pings: Family::default(),
            reloads: Counter::default(),
            throttled: Counter::default(),
            write_failures: Family::default(),
            operations: Family::new_with_constructor(Buckets(&OPERATIONS)),
            loops: Histogram::new(LOOPS),
            streak: Gauge::default(),
        }
    }

    /// The process begins.
    pub fn started(&self) {
        self.statsd.count("nerve.start", &[]);
    }

    /// It ends as asked.
    pub fn stopped(&self) {
        let tags = [("stop_avenue", "clean"), ("stop_location", "main_loop")];
        self.statsd.count("nerve.stop", &tags);
        self.flush();
    }

    /// A registration is now `up` or `down`.
    pub fn turned(&self, status: &str) {
        self.statsd.count("nerve.watcher.status.transition", &[("new_status", status)]);
    }

    /// Sends what waits for a full packet.
    pub fn flush(&self) {
        self.statsd.flush();
    }

    /// One round of checks of a registration.
    pub fn checked(&self, namespace: &Namespace, up: bool, check: &impl Display) {
        // The most frequent of all; nothing is written out where nobody listens.
        if !self.statsd.is_on() {
            return;
        }
        let check = check.to_string();
        let tags = [
            ("check_result", if up { "up" } else { "down" }),
            ("service_name", namespace.as_str()),
            ("check_name", check.as_str()),
        ];
        self.statsd.count("nerve.watcher.status.service_check", &tags);
    }

    /// One write of a record, and how long the registry took for it.
    pub fn wrote(
        &self,
        ensemble: &Ensemble,
        path: &str,
        action: Action,
        took: Duration,
        good: bool,
    ) {
        let zk_cluster = ensemble.cluster();
        let outcome = Report { action: action.word(), result: result(good) };
        self.reports.get_or_create(&outcome).inc();
        self.statsd.count("nerve.watcher.status.report.count", &[("report_result", result(good))]);
        let name = match action {
            Action::Create => "nerve.reporter.zk.create.elapsed_time",
            Action::Delete => "nerve.reporter.zk.delete.elapsed_time",
        };
        let parent = path.rsplit_once('/').map_or(path, |(parent, _)| parent);
        self.statsd.time(name, took, &[("zk_cluster", &zk_cluster), ("zk_path", parent)]);
        let operation = Operation { zk_cluster, operation: action.word() };
        self.operations.get_or_create(&operation).observe(took.as_secs_f64());
        if !good {
            self.write_failures.get_or_create(&operation).inc();
        }
    }

    /// Attempts in a row in which the most unlucky record could not be written.
    pub fn failing(&self, attempts: u32) {
        self.streak.set(attempts.into());
    }

    /// Records have to wait for the rate limit.
    pub fn throttled(&self) {
        self.throttled.inc();
        self.statsd.count("nerve.watcher.throttled", &[("shadow_mode", "false")]);
    }

    /// Registrations were decided anew, which is what nerve's main loop is for.
    pub fn decided(&self, took: Duration) {
        self.loops.observe(took.as_secs_f64());
        self.statsd.time("nerve.main_loop.elapsed_time", took, &[]);
    }

    /// A registration began (`new`) or changed (`update`).
    pub fn launched(&self, namespace: &Namespace, port: u16, reason: &'static str) {
        self.launches.get_or_create(&Reason { reason }).inc();
        // As configure_nerve begins the names of its entries (nerve.md §5.5).
        let (name, service) = (format!("{namespace}.{port}"), namespace.as_str());
        let tags = [("launch_reason", reason), ("watcher_name", name.as_str())];
        self.statsd.count("nerve.watcher.launch", &tags);
        self.statsd.count("nerve.watcher.start", &[("service_name", service)]);
    }

    /// A registration ended (`old`) or changed (`update`).
    pub fn reaped(&self, reason: &'static str) {
        self.stops.get_or_create(&Reason { reason: "clean" }).inc();
        let tags = [("reap_reason", reason), ("reap_result", "success")];
        self.statsd.count("nerve.watcher.reap", &tags);
        self.statsd.count("nerve.watcher.stop", &[("stop_avenue", "clean")]);
    }

    /// There are other registrations than before.
    pub fn reloaded(&self) {
        self.reloads.inc();
        self.statsd.count("nerve.config.update", &[]);
    }

    /// A look at the records of one registration.
    pub fn pinged(&self, good: bool) {
        self.pings.get_or_create(&Outcome { result: result(good) }).inc();
        self.statsd.count("nerve.watcher.status.ping.count", &[("ping_result", result(good))]);
    }

    /// Adds what is counted to a registry whose prefix is `nerve`.
    pub fn register(&self, nerve: &mut Registry) {
        nerve.register("watcher_launches", "Registrations that began", self.launches.clone());
        nerve.register("watcher_stops", "Registrations that ended", self.stops.clone());
        nerve.register("report_results", "Writes of records", self.reports.clone());
        nerve.register(
            "reporter_ping_results",
            "Looks at records, every 10 seconds each",
            self.pings.clone(),
        );
        nerve.register("config_reloads", "Changes of registrations", self.reloads.clone());
        nerve.register(
            "watcher_throttled",
            "Times that records waited for the rate limit",
            self.throttled.clone(),
        );
        nerve.register(
            "zk_write_failures",
            "Writes of records that failed",
            self.write_failures.clone(),
        );
        nerve.register(
            "zk_operation_duration_seconds",
            "How long ZooKeeper takes for a write",
            self.operations.clone(),
        );
        nerve.register(
            "main_loop_duration_seconds",
            "How long a decision over all registrations takes",
            self.loops.clone(),
        );
        nerve.register(
            "repeated_report_failures_max",
            "Attempts in a row in which the most unlucky record could not be written",
            self.streak.clone(),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests;
