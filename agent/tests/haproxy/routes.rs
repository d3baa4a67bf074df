//! Which servers a request reaches: places, endpoints, proxies, and faults made on purpose.

use std::{net::SocketAddr, time::Duration};

use agent::synapse::catalog::{Fault, Pool};
use indexmap::IndexMap;
use soa_configs::NamespaceConfig;

use super::host::{Host, Web, eventually, free_port, get, namespace, one_place, reach};

/// A host with a port for one frontend.
struct Scene {
    host: Host,
    _hacheck: Web,
    proxy: SocketAddr,
}

impl Scene {
    async fn start() -> Self {
        let host = Host::start_with(|settings| {
            settings.maxconn_per_server = 1;
            settings.maxqueue_per_server = 1;
        })
        .await;
        let hacheck = Web::hacheck(&host).await;
        let proxy = (host.address(), free_port(host.address()).await).into();
        Self { host, _hacheck: hacheck, proxy }
    }

    fn config(&self) -> NamespaceConfig {
        namespace(self.proxy.port())
    }

    async fn web(&self, name: &str) -> Web {
        Web::start(self.host.address(), name).await
    }

    async fn until_answers(&self, path: &str, expected: &str) {
        eventually(&format!("{path} is answered by {expected}"), async || {
            self.get(path).await == expected
        })
        .await;
    }

    /// Requests in the queue of the near server.
    async fn waiting(&self) -> Option<u32> {
        let (_, table) = get(self.host.settings.stats_bind, "/;csv").await?;
        let row = table.lines().find(|line| line.starts_with("web.main,near_"))?;
        row.split(',').nth(2)?.parse().ok()
    }

    /// Who answers, or HAProxy's own status.
    async fn get(&self, path: &str) -> String {
        match get(self.proxy, path).await {
            Some((200, body)) => body,
            Some((status, _)) => status.to_string(),
            None => "nobody".to_owned(),
        }
    }
}

#[tokio::test]
async fn the_wider_place_takes_over_while_the_near_one_is_full_or_empty() {
    let scene = Scene::start().await;
    let (near, far) = (scene.web("near").await, scene.web("far").await);
    // It is the limit of the wait in the queue, too.
    let timeout_connect = Some(Duration::from_secs(20));
    let config = NamespaceConfig { timeout_connect, ..scene.config() };
    let pool = |near: &[&Web]| Pool {
        reaches: vec![
            reach("habitat:here", true, near.iter().map(|web| web.server.clone()).collect()),
            reach("region:here", false, vec![far.server.clone()]),
        ],
        ..one_place(config.clone(), vec![])
    };
    scene.host.set_pools([("web.main", pool(&[&near]))]);
    scene.until_answers("/", "near").await;
    // One connection and one in the queue.
    let elsewhere = async {
        eventually("a request waits", async || scene.waiting().await == Some(1)).await;
        scene.until_answers("/", "far").await;
        near.release.cancel();
    };
    let (first, second, ()) = tokio::join!(scene.get("/hold"), scene.get("/hold"), elsewhere);
    assert_eq!([first, second], ["near", "near"]);
    scene.until_answers("/", "near").await;
    scene.host.set_pools([("web.main", pool(&[]))]);
    scene.until_answers("/", "far").await;
    scene.host.set_pools([("web.main", pool(&[&near]))]);
    scene.until_answers("/", "near").await;
    scene.host.stop().await;
}

#[tokio::test]
async fn an_endpoint_has_a_timeout_of_its_own() {
    let scene = Scene::start().await;
    let web = scene.web("web").await;
    let endpoint_timeouts = IndexMap::from([("/hold/long".to_owned(), Duration::from_secs(20))]);
    let timeout_server = Some(Duration::from_millis(200));
    let config = NamespaceConfig {
        endpoint_timeouts,
        timeout_server,
        timeout_client: Some(Duration::from_secs(20)),
        ..scene.config()
    };
    scene.host.set_pools([("web.main", one_place(config, vec![web.server.clone()]))]);
    scene.until_answers("/", "web").await;
    let short = async {
        let answer = scene.get("/hold/short").await;
        web.release.cancel();
        answer
    };
    let (long, short) = tokio::join!(scene.get("/hold/long"), short);
    assert_eq!((long.as_str(), short.as_str()), ("web", "504"));
    scene.host.stop().await;
}

#[tokio::test]
async fn requests_pass_through_a_proxy_while_it_has_servers() {
    let scene = Scene::start().await;
    let (web, proxy) = (scene.web("web").await, scene.web("proxy").await);
    let config = || NamespaceConfig {
        proxied_through: Some("cache.main".parse().unwrap()),
        ..scene.config()
    };
    let cache = || NamespaceConfig { proxy_port: None, is_proxy: true, ..scene.config() };
    let pools = |servers| {
        [
            ("cache.main", one_place(cache(), servers)),
            ("web.main", one_place(config(), vec![web.server.clone()])),
        ]
    };
    scene.host.set_pools(pools(vec![proxy.server.clone()]));
    scene.until_answers("/", "proxy").await;
    let request = proxy.last_request().to_ascii_lowercase();
    assert!(request.contains("x-smartstack-destination: web.main\r\n"), "{request}");
    assert!(request.contains("x-smartstack-source: cache.main\r\n"), "{request}");
    assert_eq!(scene.get("/status").await, "web", "a health check is not for the proxy");
    scene.host.set_pools(pools(vec![]));
    scene.until_answers("/", "web").await;
    // Whom it names is not served here at all.
    scene.host.set_pools([("web.main", one_place(config(), vec![web.server.clone()]))]);
    scene.until_answers("/again", "web").await;
    scene.host.stop().await;
}

#[tokio::test]
async fn faults_are_made_as_asked_and_end_when_they_are_not_asked_any_more() {
    let scene = Scene::start().await;
    let web = scene.web("web").await;
    let faults = [
        (Some(Fault::Drop), "nobody"),
        (None, "web"),
        (Some(Fault::Delay(Duration::from_millis(50))), "web"),
    ];
    for (fault, expected) in faults {
        let pool = Pool { fault, ..one_place(scene.config(), vec![web.server.clone()]) };
        scene.host.set_pools([("web.main", pool)]);
        scene.until_answers("/", expected).await;
    }
    eventually("it waits", async || scene.host.config().contains("inspect-delay 50ms")).await;
    scene.until_answers("/", "web").await;
    scene.host.stop().await;
}
