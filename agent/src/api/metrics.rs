//! What dashboards read, made from the newest snapshots when somebody asks.

mod nerve;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::ConstCounter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::View;
use crate::nerve::{containers::Link, health::State};

/// OpenMetrics.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByStage {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByEnsemble {
    ensemble: String,
}

/// All metrics as text; `of_hacheck` adds those of hacheck's own interface.
#[must_use]
pub(super) fn text(view: &View, of_hacheck: impl FnOnce(&mut Registry)) -> String {
    let mut registry = Registry::default();
    let ours = registry.sub_registry_with_prefix("smartstack");
    links(view, ours);
    tasks(view, ours);
    refusals(view, ours);
    haproxy(view, ours);
    of_hacheck(ours.sub_registry_with_prefix("hacheck"));
    nerve::register(view, registry.sub_registry_with_prefix("nerve"));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn links(view: &View, registry: &mut Registry) {
    let docker = view.containers.borrow().link == Link::Connected;
    gauge(registry, "docker_connected", "Docker answers", docker.into());
    let published = view.published.borrow();
    gauge(registry, "registry_connected", "The registry answers", published.connected.into());
    let further = Family::<ByEnsemble, Gauge>::default();
    for (ensemble, connected) in &published.further {
        let ensemble = ensemble.to_string();
        further.get_or_create(&ByEnsemble { ensemble }).set(i64::from(*connected));
    }
    registry.register("ensemble_connected", "A further ensemble of our records answers", further);
    gauge(registry, "records", "Records of this host in the registry", published.records.len());
    gauge(
        registry,
        "record_failures",
        "Records that should be in the registry and are not",
        published.failures.len(),
    );
    let doubted = view.doubted.borrow().len();
    gauge(registry, "namespaces_doubted", "Namespaces whose sudden loss is not believed", doubted);
    gauge(registry, "marks", "Marks in force on this host", view.marks.table().len());
    registry.register(
        "stale_marks",
        "Marks found that were older than the container with their port",
        view.stale_marks.clone(),
    );
    registry.register(
        "oom_kills",
        "Processes of containers that the kernel killed for want of memory",
        view.oom_kills.clone(),
    );
}

fn tasks(view: &View, registry: &mut Registry) {
    let family = Family::<ByState, Gauge>::default();
    for state in ["unknown", "up", "down", "held", "marked", "leaving"] {
        let _ = family.get_or_create(&ByState { state });
    }
    let health = view.health.borrow();
    for (key, registration) in &view.registrations.borrow().wanted {
        let state = match (&registration.leaving, health.get(key).map(|health| &health.state)) {
            (Some(_), _) => "leaving",
            (None, None | Some(State::Unknown)) => "unknown",
            (None, Some(State::Up)) => "up",
            (None, Some(State::Down)) => "down",
            (None, Some(State::Held)) => "held",
            (None, Some(State::Marked)) => "marked",
        };
        family.get_or_create(&ByState { state }).inc();
    }
    registry.register("registrations", "Registrations of this host by state", family);
}

fn refusals(view: &View, registry: &mut Registry) {
    let family = Family::<ByStage, Gauge>::default();
    let count = |stage, value: usize| {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        family.get_or_create(&ByStage { stage }).set(value);
    };
    count("task", view.registrations.borrow().refused.len());
    count("file", view.soa.borrow().problems.len());
    count("record", view.observed.borrow().namespaces.values().map(|l| l.refused.len()).sum());
    count("namespace", view.catalog.borrow().as_ref().map_or(0, |catalog| catalog.refused.len()));
    count("haproxy", view.haproxy.borrow().refused.len());
    registry.register("refused", "Things meant for this agent that it did not take", family);
    let failing = view.files.borrow().len();
    gauge(registry, "files_failing", "Files for others that are not as they should be", failing);
}

fn haproxy(view: &View, registry: &mut Registry) {
    let status = view.haproxy.borrow();
    gauge(registry, "haproxy_reachable", "HAProxy's socket answers", status.reachable.into());
    gauge(registry, "haproxy_alarm", "Something needs a person", status.alarm.is_some().into());
    let counters = &status.counters;
    let mut count = |name: &str, help: &str, value| {
        registry.register(name, help, ConstCounter::new(value));
    };
    count("haproxy_reloads", "Reloads of HAProxy that were proven", counters.reloads);
    count(
        "haproxy_reload_failures",
        "Configurations that were refused or undone",
        counters.reload_failures,
    );
    count(
        "haproxy_runtime_commands",
        "Commands sent to HAProxy's runtime socket",
        counters.runtime_commands,
    );
    count(
        "haproxy_runtime_refusals",
        "Commands that HAProxy's runtime socket refused",
        counters.runtime_refusals,
    );
    count(
        "haproxy_template_failures",
        "Templates that were broken, and catalogs that a template could not render",
        counters.template_failures,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::report::tests::{catalog, view},
        synapse::haproxy::{Status, model::Refused, status::Counters},
    };

    #[tokio::test]
    async fn each_further_ensemble_is_named() {
        let mut view = view(catalog([]), Status::default()).await;
        let further = [("a:1".parse().unwrap(), true), ("b:1,c:1".parse().unwrap(), false)].into();
        let published = crate::registry::Published { further, ..Default::default() };
        view.published = tokio::sync::watch::channel(std::sync::Arc::new(published)).1;
        let text = text(&view, |_| ());
        for line in [
            "smartstack_ensemble_connected{ensemble=\"a:1\"} 1",
            "smartstack_ensemble_connected{ensemble=\"b:1,c:1\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }

    #[tokio::test]
    async fn what_haproxy_is_not_given_and_what_it_refuses_is_counted() {
        let refused = Refused { what: "web.main".to_owned(), reason: "port".to_owned() };
        let counters =
            Counters { runtime_refusals: 3, template_failures: 2, ..Counters::default() };
        let status = Status { refused: vec![refused], counters, ..Status::default() };
        let text = text(&view(catalog([]), status).await, |_| ());
        for line in [
            "smartstack_refused{stage=\"haproxy\"} 1",
            "smartstack_haproxy_runtime_refusals_total 3",
            "smartstack_haproxy_template_failures_total 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
