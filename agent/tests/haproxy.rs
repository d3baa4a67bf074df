//! The HAProxy rooms against the real HAProxy.
#![expect(clippy::unwrap_used, reason = "what must not fail in a test may panic")]

#[path = "haproxy/faults.rs"]
mod faults;
#[path = "haproxy/host.rs"]
mod host;
#[path = "haproxy/losses.rs"]
mod losses;
#[path = "haproxy/reloads.rs"]
mod reloads;
#[path = "haproxy/routes.rs"]
mod routes;
#[path = "haproxy/shares.rs"]
mod shares;
#[path = "haproxy/templates.rs"]
mod templates;

use std::sync::atomic::Ordering;

use agent::synapse::{
    catalog::Server,
    haproxy::{runtime::Scope, status::UNKNOWN},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use soa_configs::NamespaceConfig;

use self::host::{Host, Web, eventually, free_port, get, namespace};

const NS: &str = "web.main";

fn leaving(server: &Server) -> Server {
    Server { leaving: true, ..server.clone() }
}

/// A host with one namespace and one server that serves.
async fn serving() -> (Host, u16, Web, Web) {
    serving_on(Host::start().await).await
}

async fn serving_on(mut host: Host) -> (Host, u16, Web, Web) {
    let hacheck = Web::hacheck(&host).await;
    let port = free_port(host.address()).await;
    let first = Web::start(host.address(), "first").await;
    host.set([(NS, namespace(port), vec![first.server.clone()])]);
    host.until_up(NS, &first.server).await;
    (host, port, hacheck, first)
}

/// Asks until `name` answers.
async fn until_served_by(host: &Host, port: u16, name: &str) {
    let address = (host.address(), port);
    eventually(&format!("{name} serves"), || async {
        get(address, "/").await == Some((200, name.to_owned()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_serves_without_a_reload_and_stands_in_the_file() {
    let (mut host, port, _hacheck, first) = serving().await;
    let before = host.until("settled", |status| status.alarm.is_none()).await;
    let second = Web::start(host.address(), "second").await;
    host.set([(NS, namespace(port), vec![first.server.clone(), second.server.clone()])]);
    let after = host.until_up(NS, &second.server).await;
    until_served_by(&host, port, "second").await;
    assert_eq!(after.worker_pid, before.worker_pid);
    assert_eq!(after.counters.reloads, before.counters.reloads);
    eventually("the file has the server", || async {
        host.config().contains(&format!("server {} ", second.server.name))
    })
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_server_gets_nothing_more_but_finishes_what_runs() {
    let (mut host, port, _hacheck, first) = serving().await;
    let address = (host.address(), port);
    let running = tokio::spawn(get(address, "/hold"));
    eventually("the request runs", || async { first.held.load(Ordering::SeqCst) == 1 }).await;
    let second = Web::start(host.address(), "second").await;
    host.set([(NS, namespace(port), vec![second.server.clone()])]);
    host.until("it waits for its connection", |s| s.pending_deletes.len() == 1).await;
    host.until_up(NS, &second.server).await;
    for _ in 0..10 {
        assert_eq!(get(address, "/").await, Some((200, "second".to_owned())));
    }
    first.release.cancel();
    assert_eq!(running.await.unwrap(), Some((200, "first".to_owned())));
    let gone = host.until("it is deleted", |s| s.pending_deletes.is_empty()).await;
    assert_eq!(gone.server(NS, &first.server.name), None);
    assert_eq!((gone.counters.reloads, gone.counters.runtime_refusals), (0, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_server_is_seen_to_be_drained_and_comes_back() {
    let (mut host, port, _hacheck, first) = serving().await;
    let second = Web::start(host.address(), "second").await;
    let both = |first: Server| vec![first, second.server.clone()];
    host.set([(NS, namespace(port), both(first.server.clone()))]);
    host.until_up(NS, &second.server).await;
    let address = (host.address(), port);
    let running = tokio::spawn(get(address, "/hold"));
    let held = || first.held.load(Ordering::SeqCst) + second.held.load(Ordering::SeqCst);
    eventually("the request runs", || async { held() == 1 }).await;
    let on_first = first.held.load(Ordering::SeqCst) == 1;
    let (busy, idle) = if on_first { (&first, &second) } else { (&second, &first) };
    let pool = vec![leaving(&busy.server), idle.server.clone()];
    host.set([(NS, namespace(port), pool)]);
    let name = busy.server.name.clone();
    let draining = host
        .until("it drains", |status| {
            status.server(NS, &name).is_some_and(|seen| seen.status.starts_with("DRAIN"))
        })
        .await;
    assert!(!draining.server(NS, &name).unwrap().is_drained(), "a request still runs");
    let expected = idle.server.name.split('_').next().unwrap().to_owned();
    for _ in 0..10 {
        assert_eq!(get(address, "/").await, Some((200, expected.clone())));
    }
    busy.release.cancel();
    assert_eq!(running.await.unwrap().unwrap().0, 200);
    host.until("it is drained", |s| s.server(NS, &name).unwrap().is_drained()).await;
    eventually("the file has it disabled", || async {
        let config = host.config();
        config.lines().any(|line| line.contains(&name) && line.ends_with(" disabled"))
    })
    .await;
    host.set([(NS, namespace(port), both(first.server.clone()))]);
    let back = host.until_up(NS, &busy.server).await;
    assert_eq!(back.counters.reloads, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_finds_all_as_it_should_be_and_changes_nothing() {
    let (mut host, port, _hacheck, first) = serving().await;
    // Added at run time, so that the process and its start-up file once differed.
    let second = Web::start(host.address(), "second").await;
    host.set([(NS, namespace(port), vec![second.server.clone(), leaving(&first.server)])]);
    let before = host.until_up(NS, &second.server).await;
    let names = Scope::All([NS.to_owned()].into());
    let seen = host.runtime().observe(&names).await.unwrap();
    host.restart_keeper().await;
    assert!(host.config().contains(&second.server.name), "written at the latest on the way out");
    let after = host
        .until("the new agent has seen it", |s| s.server(NS, &second.server.name).is_some())
        .await;
    assert_eq!(after.worker_pid, before.worker_pid);
    assert_eq!((after.counters.reloads, after.counters.runtime_commands), (0, 0));
    assert_eq!(host.runtime().observe(&names).await.unwrap(), seen);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_haproxy_that_died_comes_back_with_all_servers_from_the_file() {
    let (mut host, port, _hacheck, first) = serving().await;
    let second = Web::start(host.address(), "second").await;
    host.set([(NS, namespace(port), vec![first.server.clone(), second.server.clone()])]);
    let before = host.until_up(NS, &second.server).await;
    eventually("the file is written", || async { host.config().contains(&second.server.name) })
        .await;
    let pid = i32::try_from(before.worker_pid.unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let after = host
        .until("another worker", |s| s.worker_pid.is_some() && s.worker_pid != before.worker_pid)
        .await;
    assert_eq!(after.counters.runtime_commands, before.counters.runtime_commands);
    until_served_by(&host, port, "second").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hand_changed_is_put_right() {
    let (mut host, _port, _hacheck, first) = serving().await;
    let name = &first.server.name;
    let commands = [
        format!("disable server {NS}/{name}"),
        format!("add server {NS}/stranger 127.0.0.1:9 check"),
    ];
    host.runtime().run(&commands).await.unwrap();
    host.until("the hand's change is seen", |s| s.counters.runtime_commands > 0).await;
    host.until_up(NS, &first.server).await;
    let scope = Scope::All([NS.to_owned()].into());
    let (runtime, only) = (&host, std::slice::from_ref(name));
    eventually("only the wanted server is left", || async {
        let seen = runtime.runtime().observe(&scope).await.unwrap();
        seen.backends[NS].servers.keys().eq(only)
    })
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_catalog_nothing_is_written_or_started() {
    let mut host = Host::start().await;
    // A keeper finishes its first turn before it stops.
    host.restart_keeper().await;
    assert!(!host.settings.config_file.exists());
    assert_eq!(std::fs::read_dir(host.dir.path()).unwrap().count(), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_left_unfinished_is_removed_at_the_next_start() {
    let mut host = Host::start().await;
    host.stop_keeper().await;
    let (half, strange) = (".haproxy.cfg.7-1.tmp", ".haproxy.cfg.swp");
    for name in [half, ".haproxy.cfg.last-good.7-2.tmp", strange] {
        std::fs::File::create(host.dir.path().join(name)).unwrap();
    }
    host.start_keeper();
    let dir = host.dir.path();
    let left = || std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    eventually("only the stranger is left", || async { left().eq([strange]) }).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weight_is_changed_in_place_and_other_options_by_replacement() {
    let (mut host, port, _hacheck, first) = serving().await;
    let second = Web::start(host.address(), "second").await;
    let with = |weight, backup| {
        let changed = Server { weight: Some(weight), backup, ..second.server.clone() };
        [(NS, namespace(port), vec![first.server.clone(), changed])]
    };
    host.set(with(1, false));
    host.until_up(NS, &second.server).await;
    let scope = Scope::All([NS.to_owned()].into());
    let weight = || async {
        let seen = host.runtime().observe(&scope).await.unwrap();
        seen.backends[NS].servers.get(&second.server.name).map(|server| server.weight)
    };
    host.set(with(7, false));
    eventually("it has the weight", || async { weight().await == Some(7) }).await;
    host.set(with(7, true));
    let says = |text: &str| {
        text.lines().any(|line| line.contains(" backup id ") && line.ends_with(" weight 7"))
    };
    eventually("the file says backup", || async { says(&host.config()) }).await;
    let after = host.until_up(NS, &second.server).await;
    assert_eq!((after.counters.reloads, after.counters.runtime_refusals), (0, 0));
    let address = (host.address(), port);
    for _ in 0..10 {
        assert_eq!(get(address, "/").await, Some((200, "first".to_owned())), "a backup waits");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wedged_haproxy_is_reported_and_taken_up_again_without_a_reload() {
    let (mut host, port, _hacheck, first) = serving().await;
    let before = host.until("settled", |status| status.reachable).await;
    let worker = Pid::from_raw(i32::try_from(before.worker_pid.unwrap()).unwrap());
    kill(worker, Signal::SIGSTOP).unwrap();
    let away = host.until("it is reported", |status| !status.reachable).await;
    assert_eq!(away.server(NS, &first.server.name).unwrap().status, UNKNOWN);
    let second = Web::start(host.address(), "second").await;
    host.set([(NS, namespace(port), vec![first.server.clone(), second.server.clone()])]);
    eventually("the file is ready for it", || async {
        host.config().contains(&second.server.name)
    })
    .await;
    kill(worker, Signal::SIGCONT).unwrap();
    let after = host.until_up(NS, &second.server).await;
    assert_eq!((after.worker_pid, after.counters.reloads), (before.worker_pid, 0));
    host.until_up(NS, &first.server).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_of_servers_after_haproxy_has_died() {
    let (mut host, port, _hacheck, first) = serving().await;
    host.until("it listens", |status| status.ports.get(NS) == Some(&port)).await;
    host.end_haproxy().await;
    let away = host.until("it is reported", |status| !status.reachable).await;
    assert_eq!((away.worker_pid, away.ports.len()), (None, 0));
    let server = away.server(NS, &first.server.name).unwrap();
    assert_eq!((server.status.as_str(), server.is_drained()), (UNKNOWN, false));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_values_arrive_as_they_were_written() {
    let mut host = Host::start().await;
    let hacheck = Web::hacheck(&host).await;
    let port = free_port(host.address()).await;
    let first = Web::start(host.address(), "first").await;
    let value = r#"50% "of" \ %[src] $HOME ${HOME} 'a' #1; x"#;
    let headers = || [("X-Odd".to_owned(), value.to_owned())].into_iter().collect();
    let config = NamespaceConfig {
        extra_headers: headers(),
        extra_healthcheck_headers: headers(),
        healthcheck_uri: "/st?a=%20b".to_owned(),
        ..namespace(port)
    };
    host.set([(NS, config, vec![first.server.clone()])]);
    host.until_up(NS, &first.server).await;
    assert_eq!(get((host.address(), port), "/").await, Some((200, "first".to_owned())));
    assert!(first.last_request().contains(&format!("x-odd: {value}\r\n")));
    eventually("the check asks", || async { !hacheck.last_request().is_empty() }).await;
    let check = hacheck.last_request();
    assert!(check.starts_with("GET /http/web.main/0/st?a=%20b HTTP/1.1\r\n"), "{check}");
    assert!(check.contains(&format!("x-odd: {value}\r\n")), "{check}");
    assert!(check.contains(&format!("; name={NS}/{};", first.server.name)), "{check}");
    host.stop().await;
}
