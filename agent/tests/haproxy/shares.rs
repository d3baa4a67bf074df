//! How requests are divided: servers that are new, and weights.

use std::{net::SocketAddr, time::Duration};

use agent::synapse::{catalog::Server, haproxy::runtime::Scope};
use soa_configs::{NamespaceConfig, smartstack::Balance};

use super::host::{Host, Web, eventually, free_port, get, namespace};

const REQUESTS: usize = 60;

/// How many of the requests a server gets.
async fn share_of(proxy: SocketAddr, name: &str) -> usize {
    let mut count = 0;
    for _ in 0..REQUESTS {
        let (status, body) = get(proxy, "/").await.unwrap_or_default();
        assert_eq!(status, 200);
        count += usize::from(body == name);
    }
    count
}

#[tokio::test]
async fn a_server_that_is_new_starts_slowly_and_a_reload_makes_nobody_new() {
    let mut host = Host::start().await;
    let _hacheck = Web::hacheck(&host).await;
    let (old, new) =
        (Web::start(host.address(), "old").await, Web::start(host.address(), "new").await);
    let proxy = SocketAddr::new(host.address(), free_port(host.address()).await);
    let config = |retries| NamespaceConfig {
        slowstart: Some(Duration::from_secs(3000)),
        balance: Some(Balance::Roundrobin),
        retries: Some(retries),
        ..namespace(proxy.port())
    };
    host.set([("web.main", config(1), vec![old.server.clone()])]);
    host.until_up("web.main", &old.server).await;
    let both = || vec![old.server.clone(), new.server.clone()];
    host.set([("web.main", config(1), both())]);
    let before = host.until_up("web.main", &new.server).await;
    let first = share_of(proxy, "new").await;
    assert!(first < REQUESTS / 4, "{first} of {REQUESTS} for a new server");
    host.set([("web.main", config(2), both())]);
    let reloads = before.counters.reloads + 1;
    host.until("reloaded", |status| status.counters.reloads == reloads && status.reachable).await;
    host.until_up("web.main", &new.server).await;
    let second = share_of(proxy, "new").await;
    assert!(second > REQUESTS / 3, "{second} of {REQUESTS} after a reload");
    host.stop().await;
}

#[tokio::test]
async fn a_changed_weight_is_followed_without_a_reload() {
    let mut host = Host::start().await;
    let _hacheck = Web::hacheck(&host).await;
    let (most, few) =
        (Web::start(host.address(), "most").await, Web::start(host.address(), "few").await);
    let proxy = SocketAddr::new(host.address(), free_port(host.address()).await);
    let config =
        || NamespaceConfig { balance: Some(Balance::Roundrobin), ..namespace(proxy.port()) };
    let weighed = |web: &Web, weight| Server { weight: Some(weight), ..web.server.clone() };
    let mut reloads = Vec::new();
    for (weight, expected) in [(1, 0..=10), (256, 20..=40), (0, 0..=0)] {
        host.set([("web.main", config(), vec![weighed(&most, 256), weighed(&few, weight)])]);
        eventually("it is weighed", async || {
            let scope = Scope::Only(["web.main".to_owned()].into());
            let Ok(seen) = host.runtime().observe(&scope).await else { return false };
            let servers = seen.backends.get("web.main").map(|backend| &backend.servers);
            servers.and_then(|s| s.get(&few.server.name)).is_some_and(|s| s.weight == weight)
        })
        .await;
        host.until_up("web.main", &few.server).await;
        reloads.push(host.status.borrow().counters.reloads);
        let share = share_of(proxy, "few").await;
        assert!(expected.contains(&share), "{share} of {REQUESTS} by weight {weight}");
    }
    assert!(reloads.iter().all(|count| *count == reloads[0]), "{reloads:?}");
    host.stop().await;
}
