//! What only a reload can bring, and what holds when it fails.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use agent::{
    atomic_file::write,
    synapse::haproxy::{Settings, Status, carry, master},
};
use soa_configs::NamespaceConfig;
use tokio::net::TcpListener;

use super::{
    NS,
    host::{Host, Web, eventually, free_port, get, namespace},
    serving, serving_on, until_served_by,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_namespace_is_reloaded_in_and_proven() {
    let (mut host, port, _hacheck, first) = serving().await;
    let before = host.until("settled", |status| status.reachable).await;
    let other = Web::start(host.address(), "other").await;
    let other_port = free_port(host.address()).await;
    host.set([
        (NS, namespace(port), vec![first.server.clone()]),
        ("other.main", namespace(other_port), vec![other.server.clone()]),
    ]);
    let after = host.until_up("other.main", &other.server).await;
    assert_eq!(get((host.address(), other_port), "/").await, Some((200, "other".to_owned())));
    assert_eq!(get((host.address(), port), "/").await, Some((200, "first".to_owned())));
    assert_eq!((after.counters.reloads, after.counters.reload_failures), (1, 0));
    assert_ne!(after.worker_pid, before.worker_pid);
    assert_eq!(after.fingerprint_running, after.fingerprint_wanted);
    assert!(host.dir.path().join("haproxy.cfg.last-good").exists());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_is_undone_and_the_service_at_fault_stops_nobody_else() {
    // As long as by default: longer than the master is away while it tries to bind the port.
    let patient = |settings: &mut Settings| settings.command_timeout = Duration::from_secs(5);
    let (mut host, port, _hacheck, first) = serving_on(Host::start_with(patient).await).await;
    let good = host.config();
    // `haproxy -c` cannot see that somebody else listens there.
    let taken = TcpListener::bind((host.address(), 0)).await.unwrap();
    let bad = || ("bad.main", namespace(taken.local_addr().unwrap().port()), vec![]);
    let web = || (NS, namespace(port), vec![first.server.clone()]);
    host.set([web(), bad()]);
    let failed = host.until("the reload failed", |s| s.counters.reload_failures == 1).await;
    let reload = failed.last_reload.clone().unwrap();
    assert_eq!(
        reload.error.unwrap(),
        "the reload failed and was undone: haproxy could not start with it and went on with the old worker"
    );
    assert_eq!(host.config(), good);
    assert_eq!(get((host.address(), port), "/").await, Some((200, "first".to_owned())));
    let refused = host.until("the fault is found", |s| !s.refused.is_empty()).await;
    assert_eq!(refused.refused[0].what, "bad.main");
    assert!(refused.refused[0].reason.contains("another process"), "{:?}", refused.refused);
    host.until("the alarm ends", |status| status.alarm.is_none()).await;
    assert_eq!(reloads_counted_by_master(&host).await, 2, "one that failed and one that undid it");
    let other = Web::start(host.address(), "other").await;
    let other_port = free_port(host.address()).await;
    host.set([web(), bad(), ("other.main", namespace(other_port), vec![other.server.clone()])]);
    let after = host.until_up("other.main", &other.server).await;
    assert_eq!((after.counters.reloads, after.counters.reload_failures), (1, 1));
    let served = [(NS.to_owned(), port), ("other.main".to_owned(), other_port)].into();
    host.until("only what listens is said to", |status| status.ports == served).await;
    until_served_by(&host, other_port, "other").await;
    host.stop().await;
}

/// The master answers again a moment after its new worker does.
async fn reloads_counted_by_master(host: &Host) -> u32 {
    let count = AtomicU32::new(0);
    eventually("the master answers", || async {
        let answer = master::reloads(&host.settings.master_socket, Duration::from_secs(2)).await;
        answer.inspect(|reloads| count.store(reloads.count, Ordering::SeqCst)).is_ok()
    })
    .await;
    count.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_has_just_started_finds_a_taken_port_too() {
    let (mut host, port, _hacheck, first) = serving().await;
    host.stop_keeper().await;
    let taken = TcpListener::bind((host.address(), 0)).await.unwrap();
    let bad = || ("bad.main", namespace(taken.local_addr().unwrap().port()), vec![]);
    let web = || (NS, namespace(port), vec![first.server.clone()]);
    host.set([web(), bad()]);
    host.start_keeper();
    let refused = host.until("the fault is found", |s| !s.refused.is_empty()).await;
    assert_eq!(refused.refused[0].what, "bad.main");
    let other = Web::start(host.address(), "other").await;
    let other_port = free_port(host.address()).await;
    host.set([web(), bad(), ("other.main", namespace(other_port), vec![other.server.clone()])]);
    host.until_up("other.main", &other.server).await;
    until_served_by(&host, port, "first").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_reloads_fail_servers_still_follow_the_catalog() {
    let (mut host, port, _hacheck, first) = serving().await;
    host.settings.master_socket = host.dir.path().join("nobody");
    host.restart_keeper().await;
    host.until("the new agent has seen it", |status| status.reachable).await;
    let second = Web::start(host.address(), "second").await;
    let new = ("new.main", namespace(0), vec![]);
    host.set([(NS, namespace(port), vec![second.server.clone()]), new]);
    host.until_up(NS, &second.server).await;
    let status = host.until("it fails", |status| status.counters.reload_failures == 1).await;
    assert!(status.alarm.clone().unwrap().contains("master"), "{:?}", status.alarm);
    assert_ne!(status.fingerprint_running, status.fingerprint_wanted);
    until_served_by(&host, port, "second").await;
    host.until("the other is gone", |s| s.server(NS, &first.server.name).is_none()).await;
    eventually("the file has what runs", || async {
        let config = host.config();
        config.contains(&second.server.name) && !config.contains("new.main")
    })
    .await;
    host.set([(NS, namespace(port), vec![second.server.clone()])]);
    host.until("the alarm ends", |status| status.alarm.is_none()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_wait_for_a_reload_cost_one_and_servers_do_not_wait() {
    let slow = |settings: &mut Settings| {
        settings.reload_burst = NonZeroU32::MIN;
        settings.reload_interval = Duration::from_secs(5);
    };
    let mut host = Host::start_with(slow).await;
    let _hacheck = Web::hacheck(&host).await;
    let port = free_port(host.address()).await;
    let first = Web::start(host.address(), "first").await;
    host.set([(NS, namespace(port), vec![first.server.clone()])]);
    host.until_up(NS, &first.server).await;
    let empty = |name| (name, namespace(0), vec![]);
    host.set([(NS, namespace(port), vec![first.server.clone()]), empty("one.x")]);
    host.until("the first reload", |s| s.counters.reloads == 1).await;
    let second = Web::start(host.address(), "second").await;
    let servers = || vec![first.server.clone(), second.server.clone()];
    host.set([(NS, namespace(port), servers()), empty("one.x"), empty("two.x")]);
    let waiting = host.until_up(NS, &second.server).await;
    assert_eq!(waiting.counters.reloads, 1, "the server did not wait for the reload");
    assert_ne!(waiting.fingerprint_running, waiting.fingerprint_wanted);
    host.set([(NS, namespace(port), servers()), empty("one.x"), empty("three.x")]);
    let done = host.until("the second reload", |s| s.counters.reloads == 2).await;
    assert_eq!(done.fingerprint_running, done.fingerprint_wanted);
    assert!(!host.config().contains("two.x"), "the newest catalog wins");
    until_served_by(&host, port, "second").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_haproxy_with_a_foreign_configuration_is_taken_over() {
    let mut host = Host::start().await;
    host.stop_keeper().await;
    let foreign = format!(
        "global\n\tstats socket {} level admin expose-fd listeners\n\
         defaults\n\ttimeout connect 1s\n\ttimeout client 1s\n\ttimeout server 1s\n\
         listen stats\n\tmode http\n\tbind {}\n\tstats uri /\n",
        host.settings.socket.display(),
        host.settings.stats_bind
    );
    write(&host.settings.config_file, foreign.as_bytes()).unwrap();
    host.start_keeper();
    let seen = host.until("it is seen", |status| status.reachable).await;
    assert_eq!((seen.fingerprint_running, host.config()), (None, foreign.clone()));
    let _hacheck = Web::hacheck(&host).await;
    let port = free_port(host.address()).await;
    let first = Web::start(host.address(), "first").await;
    host.set([(NS, namespace(port), vec![first.server.clone()])]);
    let taken = host.until_up(NS, &first.server).await;
    assert_eq!(taken.counters.reloads, 1);
    let kept = host.dir.path().join("haproxy.cfg.last-good");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), foreign);
    until_served_by(&host, port, "first").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_down_is_down_after_a_reload_and_a_start_from_nothing_forgets_it() {
    let (mut host, port, hacheck, first) = serving().await;
    let second = Web::start(host.address(), "second").await;
    let both = || vec![first.server.clone(), second.server.clone()];
    host.set([(NS, namespace(port), both())]);
    host.until_up(NS, &second.server).await;
    let down = format!("set server {NS}/{} health down", second.server.name);
    assert_eq!(host.runtime().run(&[down]).await.unwrap(), [""]);
    // Or the first check would find it well.
    drop(hacheck);
    let config = NamespaceConfig { retries: Some(3), ..namespace(port) };
    host.set([(NS, config, both())]);
    let of = |status: &Status| {
        status.server(NS, &second.server.name).map(|seen| seen.status.clone()).unwrap_or_default()
    };
    let after =
        host.until("it is reloaded", |s| s.counters.reloads == 1 && !of(s).is_empty()).await;
    assert!(of(&after).starts_with("DOWN"), "{}", of(&after));
    until_served_by(&host, port, "first").await;
    let left = std::fs::read_to_string(carry::file(&host.settings)).unwrap();
    assert_eq!(left, "1\n", "a HAProxy that starts by itself believes nothing of it");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_workers_beyond_the_limit_are_ended_oldest_first() {
    let mut host = Host::start_with(|settings| {
        settings.max_old_workers = 2;
        settings.reload_burst = NonZeroU32::MIN.saturating_add(9);
    })
    .await;
    let _hacheck = Web::hacheck(&host).await;
    let web = Web::start(host.address(), "web").await;
    let port = free_port(host.address()).await;
    let mut held = Vec::new();
    for round in 0..4_u16 {
        let config = NamespaceConfig { retries: Some(round), ..namespace(port) };
        host.set([(NS, config, vec![web.server.clone()])]);
        host.until("in force", |status| {
            status.counters.reloads == u64::from(round)
                && status.server(NS, &web.server.name).is_some()
        })
        .await;
        // Keeps this worker alive after the next reload.
        held.push(tokio::spawn(get((host.address(), port), "/hold")));
        let holding = usize::from(round) + 1;
        eventually("it holds", async || web.held.load(Ordering::SeqCst) == holding).await;
    }
    // Of the three old ones the first was ended, and its request with it.
    let mut held = held.into_iter();
    assert_eq!(held.next().unwrap().await.unwrap(), None);
    web.release.cancel();
    for request in held {
        assert_eq!(request.await.unwrap(), Some((200, "web".to_owned())));
    }
    host.stop().await;
}
