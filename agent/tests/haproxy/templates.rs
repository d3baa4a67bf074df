//! The operator's template: in force when it works, stood in for when it never did.

use std::path::PathBuf;

use agent::atomic_file::write;
use soa_configs::NamespaceConfig;

use super::{
    NS,
    host::{Host, Web, eventually, free_port, get, namespace},
    until_served_by,
};

const BUILT_IN: &str = include_str!("../../../templates/haproxy.cfg.tera");

/// The built-in template with a difference that a reload brings into force.
fn mended() -> String {
    BUILT_IN.replace("unix-bind mode 666", "unix-bind mode 660")
}

/// A host whose template stands in a directory of its own.
async fn with_template(text: Option<&str>) -> (Host, tempfile::TempDir, PathBuf) {
    let templates = tempfile::tempdir().unwrap();
    let file = templates.path().join("haproxy.cfg.tera");
    if let Some(text) = text {
        write(&file, text.as_bytes()).unwrap();
    }
    let host = Host::start_with(|s| s.templates = Some(templates.path().to_owned())).await;
    (host, templates, file)
}

async fn until_in_force(host: &mut Host, reloads: u64) {
    host.until("it takes over", |s| s.alarm.is_none() && s.counters.reloads == reloads).await;
    assert!(host.config().contains("unix-bind mode 660"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_template_is_reported_and_stops_nothing() {
    let (mut host, _templates, file) = with_template(Some(BUILT_IN)).await;
    let _hacheck = Web::hacheck(&host).await;
    let port = free_port(host.address()).await;
    let first = Web::start(host.address(), "first").await;
    host.set([(NS, namespace(port), vec![first.server.clone()])]);
    let before = host.until_up(NS, &first.server).await;
    write(&file, BUILT_IN.replace("default_backend", "defaultbackend").as_bytes()).unwrap();
    let rejected = host.until("haproxy's word is reported", |s| s.alarm.is_some()).await;
    assert!(rejected.alarm.as_ref().unwrap().contains("defaultbackend"), "{:?}", rejected.alarm);
    write(&file, BUILT_IN.replace("ns.mode", "ns.moed").as_bytes()).unwrap();
    let place = format!("{}:", file.display());
    host.until("file and line are reported", |s| {
        s.alarm.as_ref().is_some_and(|alarm| alarm.contains(&place) && alarm.contains("moed"))
    })
    .await;
    let second = Web::start(host.address(), "second").await;
    host.set([(NS, namespace(port), vec![first.server.clone(), second.server.clone()])]);
    let after = host.until_up(NS, &second.server).await;
    assert_eq!(after.worker_pid, before.worker_pid);
    assert_eq!(after.counters.template_failures, 2);
    write(&file, BUILT_IN.as_bytes()).unwrap();
    host.until("the alarm ends", |status| status.alarm.is_none()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_template_stands_in_for_one_that_is_broken_at_the_start() {
    for (right, wrong, said) in [
        ("ns.mode", "ns.moed", "haproxy.cfg.tera:"),
        ("default_backend", "defaultbackend", "unknown keyword 'defaultbackend'"),
    ] {
        let (mut host, _templates, file) =
            with_template(Some(&BUILT_IN.replace(right, wrong))).await;
        let _hacheck = Web::hacheck(&host).await;
        let port = free_port(host.address()).await;
        let first = Web::start(host.address(), "first").await;
        host.set([(NS, namespace(port), vec![first.server.clone()])]);
        let status = host.until_up(NS, &first.server).await;
        let alarm = status.alarm.clone().unwrap_or_default();
        assert!(alarm.contains(said) && alarm.contains("built-in"), "{alarm}");
        assert_eq!(status.counters.template_failures, 1);
        until_served_by(&host, port, "first").await;
        write(&file, mended().as_bytes()).unwrap();
        until_in_force(&mut host, 1).await;
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_the_file_means_the_built_in_template_and_no_alarm() {
    let (mut host, _templates, file) = with_template(None).await;
    let _hacheck = Web::hacheck(&host).await;
    let port = free_port(host.address()).await;
    let first = Web::start(host.address(), "first").await;
    host.set([(NS, namespace(port), vec![first.server.clone()])]);
    let status = host.until_up(NS, &first.server).await;
    assert_eq!((status.alarm.as_deref(), status.counters.template_failures), (None, 0));
    write(&file, mended().as_bytes()).unwrap();
    until_in_force(&mut host, 1).await;
    std::fs::remove_file(&file).unwrap();
    host.until("the built-in one is back", |status| status.counters.reloads == 2).await;
    eventually("it is in the file", || async { host.config().contains("unix-bind mode 666") })
        .await;
    host.stop().await;
}

/// An operator's template that HAProxy refuses for one kind of namespace only.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_haproxy_refuses_keeps_its_last_good_section_and_all_others_go_on() {
    let picky = BUILT_IN.replace(
        "	default_backend {{ ns.name }}",
        "	default_backend {{ ns.name }}\n{%- if ns.retries == 7 %}\n\tno such line\n{%- endif %}",
    );
    assert_ne!(picky, BUILT_IN);
    let (mut host, _templates, _file) = with_template(Some(&picky)).await;
    let _hacheck = Web::hacheck(&host).await;
    let web = Web::start(host.address(), "web").await;
    let mut ports = Vec::new();
    for _ in 0..10 {
        ports.push(free_port(host.address()).await);
    }
    let names: Vec<String> = (0..10).map(|n| format!("s{n}.main")).collect();
    let set = |host: &Host, known: usize, retries: u16, guilty: &[usize]| {
        let config = |n: usize| NamespaceConfig {
            retries: Some(if guilty.contains(&n) { 7 } else { retries }),
            ..namespace(ports[n])
        };
        let servers = || vec![web.server.clone()];
        host.set((0..known).map(|n| (names[n].as_str(), config(n), servers())));
    };
    set(&host, 9, 1, &[]);
    host.until_up("s0.main", &web.server).await;
    // One that was good before, and one that never was.
    set(&host, 10, 2, &[4, 9]);
    let held = host
        .until("two are held back and the rest is in force", |status| {
            status.refused.len() == 2 && status.counters.reloads == 1
        })
        .await;
    let refused: Vec<_> = held.refused.iter().map(|refused| refused.what.as_str()).collect();
    assert_eq!(refused, ["s4.main", "s9.main"]);
    assert!(held.refused[0].reason.contains("no such line"), "{:?}", held.refused);
    assert!(held.refused[0].reason.ends_with("its last good settings stay"), "{:?}", held.refused);
    let config = host.config();
    assert_eq!(
        (config.matches("\tretries 2\n").count(), config.matches("\tretries 1\n").count()),
        (8, 2),
        "one of them in the defaults"
    );
    assert!(!config.contains("s9.main"));
    for (n, port) in ports.iter().enumerate() {
        let answer = get((host.address(), *port), "/").await;
        assert_eq!(answer.is_some_and(|(status, _)| status == 200), n != 9, "{n}");
    }
    // A held one does not stand in the way of the next change.
    set(&host, 9, 3, &[4]);
    host.until("the next change", |status| {
        status.refused.len() == 1 && status.counters.reloads == 2 && status.alarm.is_none()
    })
    .await;
    set(&host, 10, 3, &[]);
    host.until("they are good again", |status| {
        status.refused.is_empty() && status.counters.reloads == 3
    })
    .await;
    host.until_up("s9.main", &web.server).await;
    host.stop().await;
}
