use std::{num::NonZeroU16, sync::Arc, time::Instant};

use hacheck::marks::Marks;
use soa_configs::NamespaceConfig;
use tokio::sync::watch;

use super::*;
use crate::{
    nerve::registrations::HostIdentity,
    synapse::{
        catalog::{Catalog, Pool},
        haproxy::{Status, model::Refused},
    },
};

/// Namespaces with a `proxy_port` each; 0: discovery only.
pub(in crate::api) fn catalog<const N: usize>(namespaces: [(&str, u16); N]) -> Catalog {
    let pool = |port| Pool {
        config: Arc::new(config(port)),
        records: Arc::default(),
        reaches: Vec::new(),
        fault: None,
        leaving: std::collections::BTreeSet::new(),
        spilled: false,
    };
    let pools = namespaces.map(|(name, port)| (name.parse().unwrap(), Arc::new(pool(port))));
    Catalog { pools: pools.into(), ..Catalog::default() }
}

fn config(port: u16) -> NamespaceConfig {
    let advertise = Vec::new();
    NamespaceConfig { proxy_port: NonZeroU16::new(port), advertise, ..NamespaceConfig::default() }
}

/// Of an agent that knows nothing but this.
pub(in crate::api) async fn view(catalog: Catalog, haproxy: Status) -> View {
    fn of<T>(value: T) -> watch::Receiver<T> {
        watch::channel(value).1
    }
    let spool = tempfile::tempdir().unwrap();
    let host = HostIdentity {
        name: "h".to_owned(),
        address: [127, 0, 0, 1].into(),
        ensemble: crate::registry::Ensemble::memory(),
        location_type: "superregion".to_owned(),
        layouts: [].into(),
    };
    View {
        host: Arc::new(host),
        registry_kind: "embedded",
        assumptions: Arc::new([]),
        bind_address: [127, 0, 0, 9].into(),
        started: Instant::now(),
        soa_dir: spool.path().into(),
        hold: std::time::Duration::ZERO,
        soa: of(Arc::default()),
        containers: of(Arc::default()),
        registrations: of(Arc::default()),
        health: of(Arc::default()),
        away: of(Arc::default()),
        published: of(Arc::default()),
        observed: of(Arc::default()),
        doubted: of(Arc::default()),
        catalog: of(Some(Arc::new(catalog))),
        haproxy: of(Arc::new(haproxy)),
        files: of(Arc::default()),
        withdrawn: of(Arc::default()),
        host_leave: crate::nerve::host_leave::HostLeave::open(spool.path().join("leaves")).await,
        tally: crate::tally::Tally::default(),
        stale_marks: Default::default(),
        oom_kills: Default::default(),
        marks: Marks::open(spool.path()).await.unwrap().0,
    }
}

#[tokio::test]
async fn what_haproxy_is_not_given_is_refused_in_the_report_and_does_not_listen() {
    let namespaces = [("bad.main", 80), ("files.main", 0), ("moves.main", 82), ("web.main", 81)];
    let refused = |what: &str| Refused { what: what.to_owned(), reason: "taken".to_owned() };
    let status = Status {
        refused: vec![refused("bad.main"), refused("web.main/a_127.0.0.1:1")],
        // Its last good settings are at another port than the newest.
        ports: [("moves.main".to_owned(), 79), ("web.main".to_owned(), 81)].into(),
        ..Status::default()
    };
    let report = report(&view(catalog(namespaces), status).await);
    let refused: Vec<_> = report.refused.iter().map(|r| (r.what.as_str(), &*r.reason)).collect();
    assert_eq!(refused, [("bad.main", "taken"), ("web.main a_127.0.0.1:1", "taken")]);
    let listens: Vec<_> = report.backends.iter().map(|b| b.listens.as_deref()).collect();
    let expected = [Some(NOT_LISTENING), None, Some("127.0.0.9:79"), Some("127.0.0.9:81")];
    assert_eq!(listens, expected);
}

#[tokio::test]
async fn a_file_for_others_that_cannot_be_written_is_a_problem_that_names_it() {
    let mut view = view(catalog([]), Status::default()).await;
    let trouble = crate::synapse::files::Trouble {
        file: "/run/services/web.main.json".to_owned(),
        message: "cannot be written: no room".to_owned(),
    };
    view.files = watch::channel(Arc::new(vec![trouble])).1;
    let problems = report(&view).problems;
    assert_eq!(problems[0].file, "/run/services/web.main.json");
    assert_eq!(problems[0].message, "/run/services/web.main.json: cannot be written: no room");
}
