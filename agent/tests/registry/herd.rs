//! A fleet does not trample on ZooKeeper: reads are few for each change, and spread after a reconnect.

use std::{collections::BTreeMap, time::Duration};

use agent::registry::zookeeper::Settings;
use end_to_end::{Relay, ZooKeeper};
use soa_configs::Namespace;
use tokio::time::Instant;

use crate::host::{Host, WEB, fleet, ports, put};

/// Packets that the server has had from anybody.
async fn packets(server: &ZooKeeper) -> u64 {
    let answer = server.ask("mntr").await.unwrap();
    let line = answer.lines().find_map(|line| line.strip_prefix("zk_packets_received\t"));
    line.expect("mntr counts packets").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_changes_are_read_as_a_hundred_records_and_a_few_lists() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    for port in 1..=100 {
        put(&client, WEB, "host2", &format!(r#"{{"host":"10.0.0.2","port":{port}}}"#)).await;
    }
    let mut host = Host::start(settings);
    host.watch(&["web.main"]);
    host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.len() == 100)).await;
    let (before, begun) = (packets(&server).await, Instant::now());
    for port in 101..=200 {
        put(&client, WEB, "host2", &format!(r#"{{"host":"10.0.0.2","port":{port}}}"#)).await;
    }
    host.observed(|o| ports(o, "web.main").is_some_and(|ports| ports.len() == 200)).await;
    let read = packets(&server).await - before;
    // Two by who makes a record, one by who reads it, and lists at a pace of their own. A reader of
    // everything at each change would come to more than ten thousand.
    let lists = u64::try_from(begun.elapsed().as_millis()).unwrap() / 10 + 100;
    assert!(read < 100 * 3 + lists, "{read} packets in {:?}", begun.elapsed());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reconnect_namespaces_are_not_read_all_at_once() {
    let (server, _dir, settings) = fleet().await;
    let relay = Relay::to(server.address()).await.unwrap();
    let mut host = Host::start(Settings {
        hosts: relay.address().to_string(),
        session_timeout: Duration::from_secs(10),
        ..settings
    });
    let names: Vec<String> = (0..100).map(|number| format!("service{number}.main")).collect();
    host.watch(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let all = host.observed(|o| o.namespaces.len() == names.len()).await;
    let generations: BTreeMap<_, _> =
        all.namespaces.iter().map(|(name, listing)| (name.clone(), listing.generation)).collect();
    relay.cut();
    host.observed(|o| !o.connected).await;
    relay.mend();
    host.observed(|o| o.connected).await;
    let reread = |o: &agent::registry::Observed| {
        let again =
            |(name, generation): (&Namespace, &u64)| o.namespaces[name].generation > *generation;
        generations.iter().filter(|pair| again(*pair)).count()
    };
    let mut times = Vec::new();
    for count in 1..=names.len() {
        host.observed(|o| reread(o) >= count).await;
        times.push(Instant::now());
    }
    let (first, last) = (times[0], times[names.len() - 1]);
    // Over half a second; a hundred at random do not all meet in a part of it.
    assert!(last - first > Duration::from_millis(250), "all within {:?}", last - first);
    host.stop().await;
}
