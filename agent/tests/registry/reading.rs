//! What other hosts write is seen.

use std::{sync::Arc, time::Duration};

use agent::registry::{Observed, Source, zookeeper::Settings};

use end_to_end::Relay;
use zookeeper_client::{AuthId, Permission};

use crate::host::{Host, WEB, children, fleet, namespace, ports, put};

fn payload(port: u16) -> String {
    format!(r#"{{"host":"10.0.0.2","port":{port},"name":"host2"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_record_is_seen_and_its_end_too() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let mut host = Host::start(settings);
    host.watch(&["web.main"]);
    host.observed(|o| o.connected && ports(o, "web.main") == Some(vec![])).await;
    assert!(client.check_stat(WEB).await.unwrap().is_some(), "the parent was made");
    for port in 1..=20 {
        let path = put(&client, WEB, "host2", &payload(port)).await;
        let observed = host.observed(|o| ports(o, "web.main") == Some(vec![port])).await;
        let listing = &observed.namespaces[&namespace("web.main")];
        assert_eq!(listing.records[0].znode, path);
        client.delete(&path, None).await.unwrap();
        host.observed(|o| ports(o, "web.main") == Some(vec![])).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_one_by_one() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, WEB, "host2", &payload(1)).await;
    put(&client, WEB, "empty", "").await;
    put(&client, WEB, "name", r#"{"host":"10.0.0.2","port":2,"name":"a\n server b"}"#).await;
    put(&client, WEB, "long", &"x".repeat(100_000)).await;
    let locked = put(&client, WEB, "locked", &payload(3)).await;
    let nobody = [zookeeper_client::Acl::new(Permission::WRITE, AuthId::anyone())];
    client.set_acl(&locked, &nobody, None).await.unwrap();
    let mut host = Host::start(settings);
    host.watch(&["web.main"]);
    let observed = host.observed(|o| ports(o, "web.main").is_some()).await;
    assert_eq!(ports(&observed, "web.main"), Some(vec![1]));
    let listing = &observed.namespaces[&namespace("web.main")];
    let refused: Vec<(&str, &str)> = listing
        .refused
        .iter()
        .map(|(znode, why)| (&znode[WEB.len() + 1..], why.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            ("empty_0000000001", "payload is not JSON: it ends too early"),
            ("locked_0000000004", "reading it is not allowed"),
            ("long_0000000003", "payload of 100000 bytes is too long"),
            ("name_0000000002", r"name `a\n server b` holds more than A-Za-z0-9_.:-"),
        ]
    );
    host.stop().await;
}

/// Payloads are read many in one request, by an old server one by one.
#[tokio::test(flavor = "multi_thread")]
async fn many_children_are_read_however_large_they_are() {
    for legacy_server in [false, true] {
        let (server, _dir, settings) = fleet().await;
        let client = server.client().await.unwrap();
        // As large as ZooKeeper takes them.
        for _ in 0..20 {
            put(&client, WEB, "huge", &"x".repeat(1_000_000)).await;
        }
        for port in 1..=40 {
            put(&client, WEB, "host2", &payload(port)).await;
        }
        let mut host = Host::start(Settings { legacy_server, ..settings });
        host.watch(&["web.main"]);
        let observed = host.observed(|o| ports(o, "web.main").is_some()).await;
        assert_eq!(ports(&observed, "web.main").unwrap().len(), 40);
        assert_eq!(observed.namespaces[&namespace("web.main")].refused.len(), 20);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_may_not_be_read_harms_only_itself() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let locked = "/smartstack/global/locked.main";
    put(&client, locked, "host2", &payload(1)).await;
    let write_only =
        [zookeeper_client::Acl::new(Permission::WRITE | Permission::CREATE, AuthId::anyone())];
    client.set_acl(locked, &write_only, None).await.unwrap();
    let mut host = Host::start(settings);
    host.watch(&["web.main", "locked.main"]);
    host.want(&[crate::host::wish(locked, 7)]);
    for port in 1..=3 {
        put(&client, WEB, "host2", &payload(port)).await;
        let seen = (1..=port).collect::<Vec<_>>();
        let observed = host.observed(|o| ports(o, "web.main") == Some(seen.clone())).await;
        assert!(observed.connected && ports(&observed, "locked.main").is_none());
    }
    host.published(|p| p.records.len() == 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_changed_in_place_is_seen_by_the_full_read() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let path = put(&client, WEB, "host2", &payload(1)).await;
    let often = Duration::from_millis(200);
    let mut host = Host::start(Settings { reread_every: often, ..settings });
    host.watch(&["web.main"]);
    host.observed(|o| ports(o, "web.main") == Some(vec![1])).await;
    client.set_data(&path, payload(2).as_bytes(), None).await.unwrap();
    host.observed(|o| ports(o, "web.main") == Some(vec![2])).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reread_grows_the_generation_though_nothing_changed() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, WEB, "host2", &payload(1)).await;
    let mut host = Host::start(settings);
    host.watch(&["web.main"]);
    let web = namespace("web.main");
    let first = host.observed(|o| ports(o, "web.main") == Some(vec![1])).await;
    let generation = first.namespaces[&web].generation;
    host.reread.send(web.clone()).await.unwrap();
    let second = host.observed(|o| o.namespaces[&web].generation > generation).await;
    assert_eq!(second.namespaces[&web].records, first.namespaces[&web].records);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_is_read_in_all_given_places() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, "/nerve/region:a/web.main", "host2", &payload(1)).await;
    let read_places = vec!["region:a".parse().unwrap(), "region:b".parse().unwrap()];
    let mut host = Host::start(Settings { read: Source::V1, read_places, ..settings });
    host.watch(&["web.main"]);
    host.observed(|o| ports(o, "web.main") == Some(vec![1])).await;
    put(&client, "/nerve/region:b/web.main", "host2", &payload(2)).await;
    host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.len() == 2)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_mixed_fleet_both_layouts_are_read_together() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, "/nerve/region:a/web.main", "host2", &payload(1)).await;
    put(&client, WEB, "host3", &payload(2)).await;
    let read_places = vec!["region:a".parse().unwrap()];
    let mut host = Host::start(Settings { read: Source::Both, read_places, ..settings });
    host.watch(&["web.main"]);
    let both = |o: &Arc<Observed>| ports(o, "web.main").is_some_and(|ports| ports.len() == 2);
    host.observed(both).await;
    let late = put(&client, WEB, "host4", &payload(3)).await;
    host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.len() == 3)).await;
    client.delete(&late, None).await.unwrap();
    host.observed(both).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_no_longer_watched_is_dropped_and_can_come_back() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, WEB, "host2", &payload(1)).await;
    let mut host = Host::start(settings);
    host.watch(&["web.main", "api.main"]);
    host.observed(|o| o.namespaces.len() == 2).await;
    host.watch(&["api.main"]);
    host.observed(|o| o.namespaces.len() == 1).await;
    host.watch(&["api.main", "web.main"]);
    host.observed(|o| ports(o, "web.main") == Some(vec![1])).await;
    put(&client, WEB, "host2", &payload(2)).await;
    host.observed(|o| ports(o, "web.main") == Some(vec![1, 2])).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_namespaces_with_three_records_each_are_written_and_seen() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let names: Vec<String> = (0..300).map(|i| format!("service{i}.main")).collect();
    let wishes: Vec<_> = names
        .iter()
        .flat_map(|name| {
            (1..=3).map(move |port| crate::host::wish(&format!("/smartstack/global/{name}"), port))
        })
        .collect();
    let mut host = Host::start(settings);
    host.watch(&names.iter().map(String::as_str).collect::<Vec<_>>());
    host.want(&wishes);
    host.published(|p| p.records.len() == 900).await;
    host.observed(|o| {
        names.iter().all(|name| ports(o, name).is_some_and(|ports| ports.len() == 3))
    })
    .await;
    host.want(&[]);
    host.published(|p| p.records.is_empty()).await;
    host.observed(|o| names.iter().all(|name| ports(o, name) == Some(vec![]))).await;
    assert_eq!(children(&client, "/smartstack/global/service299.main").await, [""; 0]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_paths_than_one_session_can_watch_are_spread_over_two() {
    let (server, _dir, settings) = fleet().await;
    let relay = Relay::to(server.address()).await.unwrap();
    let mut host = Host::start(Settings { hosts: relay.address().to_string(), ..settings });
    // About 150,000 bytes, which one session would not survive.
    let names: Vec<String> = (0..700).map(|i| format!("{}{i}.main", "s".repeat(190))).collect();
    host.watch(&names.iter().map(String::as_str).collect::<Vec<_>>());
    host.observed(|o| o.namespaces.len() == 700).await;
    let sessions = server.ask("cons").await.unwrap().matches("sid=0x").count();
    assert_eq!(sessions, 3, "one for records, two for watches");
    relay.cut();
    host.observed(|o| !o.connected).await;
    relay.mend();
    host.observed(|o| o.connected).await;
    let client = server.client().await.unwrap();
    for name in [&names[0], &names[699]] {
        put(&client, &format!("/smartstack/global/{name}"), "host2", &payload(1)).await;
        host.observed(|o| ports(o, name) == Some(vec![1])).await;
    }
    host.stop().await;
}
