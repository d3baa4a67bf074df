//! What is written, and that it stays what is wanted.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use agent::registry::{
    Record, RecordKey, Spot, Wanted,
    zookeeper::{OnStop, Settings},
};
use zookeeper_client::{AuthId, Permission};

use crate::host::{Host, WEB, children, eventually, fleet, put, record, wish};

const V1: &str = "/nerve/region:uswest1-devc/web.main";

#[tokio::test(flavor = "multi_thread")]
async fn records_are_byte_exact_ephemeral_and_open_in_both_layouts() {
    let (server, _dir, settings) = fleet().await;
    let mut host = Host::start(settings);
    let labels = [("region:uswest1-devc".to_owned(), String::new())];
    let labelled = Record { labels: Some(labels.into_iter().collect()), ..record(31001) };
    let (v1, v2) = (wish(V1, 31001), (wish(WEB, 31001).0, labelled));
    host.want(&[v1.clone(), v2.clone()]);
    let published = host.published(|p| p.records.len() == 2).await;
    assert!(published.connected && published.failures.is_empty());

    let client = server.client().await.unwrap();
    let payloads = [
        (&v1.0, r#"{"host":"10.0.0.1","port":31001,"name":"host1","weight":10}"#),
        (
            &v2.0,
            r#"{"host":"10.0.0.1","port":31001,"name":"host1","weight":10,"labels":{"region:uswest1-devc":""}}"#,
        ),
    ];
    for (key, payload) in payloads {
        let path = &published.records[key];
        assert_eq!(*path, format!("{}/host1_0000000000", key.parent));
        let (data, stat) = client.get_data(path).await.unwrap();
        assert_eq!(String::from_utf8(data).unwrap(), payload);
        assert_ne!(stat.ephemeral_owner, 0);
        assert_open(&client, path).await;
        // Parents are empty, persistent and open to all, up to the root.
        for parent in ["/nerve", "/nerve/region:uswest1-devc", V1, "/smartstack/global", WEB] {
            let (data, stat) = client.get_data(parent).await.unwrap();
            assert_eq!((data.len(), stat.ephemeral_owner), (0, 0), "{parent}");
            assert_open(&client, parent).await;
        }
    }
    host.stop().await;
}

async fn assert_open(client: &zookeeper_client::Client, path: &str) {
    let (acl, _) = client.get_acl(path).await.unwrap();
    assert_eq!(acl.len(), 1, "{path}");
    assert_eq!((acl[0].permission(), acl[0].auth_id()), (Permission::ALL, &AuthId::anyone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_a_parent_is_left_alone() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, WEB, "other", "{}").await;
    client.set_data(WEB, b"{\"haproxy\":{}}", None).await.unwrap();
    let mut host = Host::start(settings);
    host.want(&[wish(WEB, 1)]);
    host.published(|p| p.records.len() == 1).await;
    let (data, stat) = client.get_data(WEB).await.unwrap();
    assert_eq!((data.as_slice(), stat.version), (b"{\"haproxy\":{}}".as_slice(), 1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_wanted_is_deleted_and_reported_after_the_fact() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let mut host = Host::start(settings);
    host.want(&[wish(WEB, 1), wish(WEB, 2)]);
    host.published(|p| p.records.len() == 2).await;
    host.want(&[wish(WEB, 2)]);
    let published = host.published(|p| p.records.len() == 1).await;
    assert_eq!(children(&client, WEB).await.len(), 1);
    assert!(published.records.contains_key(&wish(WEB, 2).0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_payload_is_written_anew_before_the_old_node_goes() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let mut host = Host::start(settings);
    let (key, old) = wish(WEB, 1);
    host.want(&[(key.clone(), old.clone())]);
    let before = host.published(|p| p.records.len() == 1).await.records[&key].clone();
    let (_, watcher) = client.list_and_watch_children(WEB).await.unwrap();
    host.want(&[(key.clone(), Record { weight: Some(20), ..old })]);
    watcher.changed().await;
    assert!(!children(&client, WEB).await.is_empty(), "the first change was the new node");
    host.published(|p| p.records.get(&key).is_some_and(|path| *path != before)).await;
    eventually("the old node goes", async || children(&client, WEB).await == ["host1_0000000001"])
        .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_record_comes_back() {
    for legacy_server in [false, true] {
        let (server, _dir, settings) = fleet().await;
        let client = server.client().await.unwrap();
        let mut host = Host::start(Settings { legacy_server, ..settings });
        let (key, record) = wish(WEB, 1);
        host.want(&[(key.clone(), record)]);
        let path = host.published(|p| p.records.len() == 1).await.records[&key].clone();
        client.delete(&path, None).await.unwrap();
        host.published(|p| p.records.get(&key).is_some_and(|now| *now != path)).await;
        assert_eq!(children(&client, WEB).await, ["host1_0000000001"]);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_record_is_missed_at_once_if_the_namespace_is_watched() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let never = Duration::from_secs(3600);
    let mut host = Host::start(Settings { verify_every: never, ..settings });
    let (key, record) = wish(WEB, 1);
    host.watch(&["web.main"]);
    host.want(&[(key.clone(), record)]);
    let path = host.published(|p| p.records.len() == 1).await.records[&key].clone();
    let is_seen =
        |o: &Arc<agent::registry::Observed>| crate::host::ports(o, "web.main") == Some(vec![1]);
    host.observed(is_seen).await;
    client.delete(&path, None).await.unwrap();
    host.published(|p| p.records.get(&key).is_some_and(|now| *now != path)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_record_is_missed_at_once_in_every_layout_and_ensemble() {
    let (server, _dir, settings) = fleet().await;
    let further = end_to_end::ZooKeeper::start().await.unwrap();
    let never = Duration::from_secs(3600);
    let mut host = Host::start(Settings { verify_every: never, ..settings });
    let (key, elsewhere) = wish(WEB, 1);
    let ensemble = further.hosts().parse().unwrap();
    let elsewhere = (RecordKey { ensemble, ..key }, elsewhere);
    let records = [wish(V1, 1), wish(WEB, 1), wish("/other/path", 1), elsewhere.clone()];
    host.want(&records);
    // Several times: a watch fires but once.
    for _ in 0..3 {
        let standing = host.published(|p| p.records.len() == records.len()).await;
        for (key, path) in &standing.records {
            let holder = if *key == elsewhere.0 { &further } else { &server };
            let client = holder.client().await.unwrap();
            let watched = async || {
                holder.ask("wchp").await.is_ok_and(|watches| watches.contains(path.as_str()))
            };
            eventually("it is watched", watched).await;
            let (_, stat) = client.get_data(path).await.unwrap();
            let of_records = format!("0x{:x}", stat.ephemeral_owner);
            let watching = holder.ask("wchc").await.unwrap();
            assert!(!watching.contains(&of_records), "the session of records holds no watches");
            client.delete(path, None).await.unwrap();
            host.published(|p| p.records.get(key).is_some_and(|now| now != path)).await;
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_written_fails_alone_and_says_why() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    put(&client, "/smartstack/global/locked.main", "other", "{}").await;
    let read_only = [zookeeper_client::Acl::new(Permission::READ, AuthId::anyone())];
    client.set_acl("/smartstack/global/locked.main", &read_only, None).await.unwrap();
    let mut host = Host::start(settings);
    let locked = wish("/smartstack/global/locked.main", 1);
    let (key, mut huge) = wish(WEB, 2);
    huge.haproxy_server_options = Some("x".repeat(2_000_000));
    host.want(&[locked.clone(), (key.clone(), huge), wish(WEB, 3)]);
    let published = host.published(|p| p.records.len() == 1 && p.failures.len() == 2).await;
    assert!(published.records.contains_key(&wish(WEB, 3).0));
    assert_eq!(published.failures[&locked.0], "cannot write it: not authorized");
    assert!(published.failures[&key].ends_with("is too long"), "{:?}", published.failures);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_creations_does_not_delay_deletions() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let slowly = NonZeroU32::new(2).unwrap();
    let mut host = Host::start(Settings { creates_per_second: slowly, ..settings });
    let many: Vec<_> = (1..=200).map(|port| wish(WEB, port)).collect();
    host.want(&many);
    let first = host.published(|p| !p.records.is_empty()).await;
    let (gone, _) = first.records.first_key_value().unwrap();
    let others: Vec<_> = many.iter().filter(|(key, _)| key != gone).cloned().collect();
    host.want(&others);
    let now = host.published(|p| !p.records.contains_key(gone)).await;
    assert!(!now.failures.is_empty(), "most are still waiting for their turn");
    assert!(children(&client, WEB).await.len() < 100);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_chroot_is_made_and_paths_stand_under_it() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let chroot = Some("/fleet/east".to_owned());
    let mut host = Host::start(Settings { chroot, on_stop: OnStop::Withdraw, ..settings });
    host.watch(&["web.main"]);
    host.want(&[wish(WEB, 1)]);
    let published = host.published(|p| p.records.len() == 1).await;
    assert_eq!(published.records[&wish(WEB, 1).0], format!("{WEB}/host1_0000000000"));
    host.observed(|o| crate::host::ports(o, "web.main") == Some(vec![1])).await;
    let inside = format!("/fleet/east{WEB}");
    assert_eq!(children(&client, &inside).await, ["host1_0000000000"]);
    client.delete(&format!("{inside}/host1_0000000000"), None).await.unwrap();
    eventually("it comes back", async || children(&client, &inside).await == ["host1_0000000001"])
        .await;
    host.stop().await;
    assert_eq!(children(&client, &inside).await, [""; 0], "withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_before_anything_is_known() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let mut first = Host::start(settings.clone());
    first.want(&[wish(WEB, 1), wish(WEB, 2), wish(WEB, 3)]);
    first.published(|p| p.records.len() == 3).await;
    first.stop().await;

    let mut second = Host::start(settings);
    second.published(|p| p.connected).await;
    let (key, known) = wish(WEB, 1);
    let undecided = [Spot::of(&key, &record(3))].into();
    let records = [(key, known)].into();
    second.wanted.send_replace(Arc::new(Wanted { complete: false, records, undecided }));
    // The record of task 1 is replaced; of the other two nothing is known yet.
    eventually("task 1 is taken over", async || {
        children(&client, WEB).await == ["host1_0000000001", "host1_0000000002", "host1_0000000003"]
    })
    .await;
    let now = Wanted::clone(&second.wanted.borrow());
    second.wanted.send_replace(Arc::new(Wanted { complete: true, ..now }));
    // Now task 2 is known to be gone; the verdict on task 3 is still out.
    eventually("task 2 is forgotten", async || {
        children(&client, WEB).await == ["host1_0000000002", "host1_0000000003"]
    })
    .await;
    second.want(&[wish(WEB, 1)]);
    eventually("task 3 is forgotten", async || {
        children(&client, WEB).await == ["host1_0000000003"]
    })
    .await;
    second.stop().await;
}
