//! ZooKeeper goes and comes back.

use std::{sync::Arc, time::Duration};

use agent::registry::{Published, zookeeper::Settings};
use end_to_end::Relay;

use crate::host::{Host, WEB, children, eventually, fleet, ports, put, wish};

fn stands(count: usize) -> impl Fn(&Arc<Published>) -> bool {
    move |p| p.connected && p.records.len() == count && p.failures.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_the_listing_and_gets_the_records_back() {
    let (mut server, _dir, settings) = fleet().await;
    let mut host = Host::start(settings);
    host.watch(&["web.main"]);
    host.want(&[wish(WEB, 1)]);
    host.published(stands(1)).await;
    host.observed(|o| ports(o, "web.main") == Some(vec![1])).await;
    server.kill().await.unwrap();
    let blind = host.observed(|o| !o.connected).await;
    assert_eq!(ports(&blind, "web.main"), Some(vec![1]));
    let blind = host.published(|p| !p.connected).await;
    assert_eq!(blind.records.len(), 1);
    // What changes meanwhile is made up for afterwards.
    host.want(&[wish(WEB, 2)]);
    let waiting = host.published(|p| p.failures.len() == 1).await;
    assert_eq!(waiting.failures[&wish(WEB, 2).0], "zookeeper at here:1 is out of reach");
    server.restart().await.unwrap();
    let back = host.published(stands(1)).await;
    assert!(back.records.contains_key(&wish(WEB, 2).0));
    host.observed(|o| o.connected && ports(o, "web.main") == Some(vec![2])).await;
    let client = server.client().await.unwrap();
    assert_eq!(children(&client, WEB).await.len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_keeps_the_records_and_sees_what_was_missed() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let relay = Relay::to(server.address()).await.unwrap();
    let mut host = Host::start(Settings {
        hosts: relay.address().to_string(),
        session_timeout: Duration::from_secs(10),
        ..settings
    });
    host.watch(&["web.main"]);
    host.want(&[wish(WEB, 1)]);
    host.published(stands(1)).await;
    host.observed(|o| ports(o, "web.main") == Some(vec![1])).await;
    let changing = put(&client, WEB, "host2", r#"{"host":"10.0.0.2","port":100}"#).await;
    // The client comes back by itself from the first outage. After the second its own next attempt
    // would come when the session is lost.
    for (port, tries) in [(2, 1), (3, 32)] {
        relay.cut();
        host.observed(|o| !o.connected).await;
        let payload = |port: u16| format!(r#"{{"host":"10.0.0.2","port":{port}}}"#);
        put(&client, WEB, "host2", &payload(port)).await;
        client.set_data(&changing, payload(100 + port).as_bytes(), None).await.unwrap();
        relay.refuses(tries).await;
        relay.mend();
        host.published(stands(1)).await;
        let seen = |o: &Arc<agent::registry::Observed>| {
            let ports = ports(o, "web.main").unwrap_or_default();
            o.connected && ports.contains(&port) && ports.contains(&(100 + port))
        };
        host.observed(seen).await;
        assert!(children(&client, WEB).await.contains(&"host1_0000000000".to_owned()), "the same");
        let later = put(&client, WEB, "host2", r#"{"host":"10.0.0.2","port":9}"#).await;
        host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.contains(&9))).await;
        client.delete(&later, None).await.unwrap();
        host.observed(|o| ports(o, "web.main").is_some_and(|ports| !ports.contains(&9))).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_gets_all_records_back() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let relay = Relay::to(server.address()).await.unwrap();
    let mut host = Host::start(Settings {
        hosts: relay.address().to_string(),
        session_timeout: Duration::from_secs(2),
        connection_timeout: Duration::from_secs(1),
        ..settings
    });
    host.watch(&["web.main"]);
    let wishes: Vec<_> = (1..=100).map(|port| wish(WEB, port)).collect();
    host.want(&wishes);
    host.published(stands(100)).await;
    host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.len() == 100)).await;
    relay.cut();
    eventually("the server expires it", async || children(&client, WEB).await.is_empty()).await;
    assert_eq!(host.published.borrow().records.len(), 100, "nothing is known to be lost");
    assert_eq!(ports(&host.observed.borrow(), "web.main").map(|p| p.len()), Some(100));
    host.want(&wishes[..50]);
    relay.mend();
    host.published(stands(50)).await;
    assert_eq!(children(&client, WEB).await.len(), 50);
    host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.len() == 50)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_is_survived() {
    let (server, _dir, settings) = fleet().await;
    let mut host = Host::start(Settings { connection_timeout: Duration::from_secs(1), ..settings });
    host.watch(&["web.main"]);
    host.want(&[wish(WEB, 1)]);
    host.published(stands(1)).await;
    server.pause().unwrap();
    host.want(&[wish(WEB, 1), wish(WEB, 2)]);
    host.published(|p| !p.connected).await;
    host.observed(|o| !o.connected).await;
    server.resume().unwrap();
    host.published(stands(2)).await;
    host.observed(|o| o.connected && ports(o, "web.main").is_some_and(|p| p.len() == 2)).await;
    let client = server.client().await.unwrap();
    eventually("no double stays", async || children(&client, WEB).await.len() == 2).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_connection_loses_and_doubles_nothing() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let relay = Relay::to(server.address()).await.unwrap();
    let mut host = Host::start(Settings { hosts: relay.address().to_string(), ..settings });
    host.published(|p| p.connected).await;
    // Cut in the midst of many writes, so that the outcome of some is unknown.
    for round in 1..=10_u16 {
        let wishes: Vec<_> = (1..=200).map(|port| wish(WEB, round * 1000 + port)).collect();
        host.want(&wishes);
        host.published(|p| p.records.keys().any(|key| wishes.iter().any(|(w, _)| w == key))).await;
        relay.cut();
        host.published(|p| !p.connected).await;
        relay.mend();
    }
    host.published(stands(200)).await;
    eventually("exactly the wanted ones stay", async || children(&client, WEB).await.len() == 200)
        .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let (mut server, _dir, settings) = fleet().await;
    server.kill().await.unwrap();
    let mut host = Host::start(settings);
    host.watch(&["web.main"]);
    host.want(&[wish(WEB, 1)]);
    let waiting = host.published(|p| !p.failures.is_empty()).await;
    assert!(!waiting.connected);
    assert!(!host.observed.borrow().connected && host.observed.borrow().namespaces.is_empty());
    server.restart().await.unwrap();
    host.published(stands(1)).await;
    host.observed(|o| o.connected && ports(o, "web.main") == Some(vec![1])).await;
    host.stop().await;
}
