//! Records in the registries of several places.

use std::{sync::Arc, time::Duration};

use agent::registry::{Ensemble, Record, RecordKey, Wanted, zookeeper::Settings};
use end_to_end::{Relay, ZooKeeper};
use tokio_util::sync::CancellationToken;

use crate::host::{Host, WEB, children, eventually, fewest_children, fleet, here, wish};

async fn another() -> (ZooKeeper, Ensemble) {
    let server = ZooKeeper::start().await.expect("zookeeper is installed and starts");
    let ensemble = server.hosts().parse().unwrap();
    (server, ensemble)
}

/// The record for `port` in another registry.
fn there(ensemble: &Ensemble, port: u16) -> (RecordKey, Record) {
    let (key, record) = wish(WEB, port);
    (RecordKey { ensemble: ensemble.clone(), ..key }, record)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_is_opened_for_a_record_and_closed_when_none_is_left() {
    let (server, _dir, settings) = fleet().await;
    let (further, ensemble) = another().await;
    let (client, their) = (server.client().await.unwrap(), further.client().await.unwrap());
    let close_idle_after = Duration::from_millis(10);
    let mut host = Host::start(Settings { close_idle_after, ..settings });
    for counter in 0..2 {
        host.want(&[wish(WEB, 1), there(&ensemble, 1)]);
        let published = host.published(|p| p.records.len() == 2).await;
        assert_eq!(published.further, [(ensemble.clone(), true)].into());
        assert_eq!(children(&client, WEB).await, ["host1_0000000000"]);
        assert_eq!(children(&their, WEB).await, [format!("host1_{counter:010}")]);
        host.want(&[wish(WEB, 1)]);
        let published = host.published(|p| p.further.is_empty()).await;
        assert_eq!(published.records.len(), 1);
        assert_eq!(children(&their, WEB).await, [""; 0]);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_out_of_reach_is_named_and_delays_no_other() {
    let (server, _dir, settings) = fleet().await;
    let (mut further, ensemble) = another().await;
    further.kill().await.unwrap();
    let client = server.client().await.unwrap();
    let mut host = Host::start(settings);
    let (one, far) = (wish(WEB, 1), there(&ensemble, 9));
    host.want(&[one.clone(), far.clone()]);
    let published = host.published(|p| p.records.contains_key(&one.0)).await;
    assert!(published.connected);
    host.want(&[wish(WEB, 2), far.clone()]);
    let two = wish(WEB, 2).0;
    let away = format!("zookeeper at {ensemble} is out of reach");
    host.published(|p| {
        let local = p.records.keys().collect::<Vec<_>>() == [&two];
        local && p.further == [(ensemble.clone(), false)].into() && p.failures[&far.0] == away
    })
    .await;
    assert_eq!(children(&client, WEB).await, ["host1_0000000001"]);
    further.restart().await.unwrap();
    host.published(|p| p.records.contains_key(&far.0) && p.failures.is_empty()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_replaces_or_removes_what_stands_in_every_ensemble() {
    let (_server, _dir, settings) = fleet().await;
    let (further, ensemble) = another().await;
    let their = further.client().await.unwrap();
    let mut first = Host::start(settings.clone());
    first.want(&[wish(WEB, 1), there(&ensemble, 1), there(&ensemble, 2)]);
    first.published(|p| p.records.len() == 3).await;
    first.stop().await;

    let stop = CancellationToken::new();
    let looking = tokio::spawn(fewest_children(their.clone(), stop.clone()));
    let mut second = Host::start(settings.clone());
    second.want(&[wish(WEB, 1), there(&ensemble, 1)]);
    second.published(|p| p.records.len() == 2).await;
    let replaced = async || children(&their, WEB).await == ["host1_0000000002"];
    eventually("one is replaced, one removed", replaced).await;
    stop.cancel();
    assert_eq!(looking.await.unwrap(), 1);
    second.stop().await;

    // Nothing of the third life names that ensemble: only the notes of the second one do.
    let third = Host::start(Settings { close_idle_after: Duration::ZERO, ..settings });
    third.want(&[wish(WEB, 1)]);
    eventually("the last one goes", async || children(&their, WEB).await.is_empty()).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_whose_list_of_servers_changes_never_lacks_the_record() {
    let (_server, _dir, settings) = fleet().await;
    let (further, old) = another().await;
    let relay = Relay::to(further.address()).await.unwrap();
    let new: Ensemble = relay.address().to_string().parse().unwrap();
    let their = further.client().await.unwrap();
    let mut host = Host::start(settings.clone());
    host.want(&[there(&old, 1)]);
    host.published(|p| p.records.len() == 1).await;
    let stop = CancellationToken::new();
    let looking = tokio::spawn(fewest_children(their.clone(), stop.clone()));
    relay.cut();
    let moved = there(&new, 1);
    host.want(std::slice::from_ref(&moved));
    host.published(|p| p.failures.contains_key(&moved.0)).await;
    relay.mend();
    host.published(|p| p.records.keys().eq([&moved.0])).await;
    host.stop().await;

    // The same between two lives.
    let mut next = Host::start(settings);
    let records = [there(&old, 1)].into();
    next.wanted.send_replace(Arc::new(Wanted { complete: true, records, ..Wanted::default() }));
    next.published(|p| p.records.len() == 1).await;
    let only = async || children(&their, WEB).await == ["host1_0000000002"];
    eventually("the old one goes", only).await;
    stop.cancel();
    assert_eq!(looking.await.unwrap(), 1);
    assert_ne!(old, here());
    next.stop().await;
}
