use std::{path::Path, time::SystemTime};

use soa_configs::smartstack;

use super::*;
use crate::registry::SeenRecord;

fn soa(text: &str) -> Soa {
    let namespaces = smartstack::parse("web", Path::new("test.yaml"), text).unwrap().namespaces;
    Soa {
        tried: true,
        read: true,
        configs: Arc::new(soa_configs::Snapshot { namespaces, ..Default::default() }),
        places: vec!["region:here".parse().unwrap()],
        register_marathon_services: true,
        ..Soa::default()
    }
}

fn listing(payloads: &[&str]) -> BTreeMap<Namespace, Arc<Listing>> {
    let seen = |(n, payload): (usize, &&str)| {
        let place = if payload.contains("there") { "there" } else { "here" };
        let znode = format!("/nerve/region:{place}/web.main/h_{n:010}");
        let record = Record::decode(payload.as_bytes()).unwrap();
        SeenRecord::new(znode, record)
    };
    let records = Arc::new(payloads.iter().enumerate().map(seen).collect());
    let listing = Listing {
        records,
        refused: vec![],
        generation: 1,
        session: 0,
        read_at: SystemTime::UNIX_EPOCH,
    };
    BTreeMap::from([("web.main".parse().unwrap(), Arc::new(listing))])
}

fn names(catalog: &Catalog) -> Vec<&str> {
    catalog.pools.values().flat_map(|pool| pool.servers()).map(|s| s.name.as_str()).collect()
}

fn by(source: Source) -> Reading {
    Reading { source, weights: false }
}

const NEAR: &str = r#"{"host":"10.0.0.1","port":1,"name":"h1","labels":{"region:here":""}}"#;

#[test]
fn servers_are_the_records_of_this_place_without_duplicates() {
    let far = r#"{"host":"10.0.0.2","port":1,"name":"h2","labels":{"region:there":""}}"#;
    let wrong = r#"{"host":"10.0.0.3","port":1,"name":"h3","labels":{"region:here":"x"}}"#;
    let bare = r#"{"host":"10.0.0.4","port":1,"name":"h4"}"#;
    let nameless = r#"{"host":"10.0.0.5","port":1,"labels":{"region:here":""}}"#;
    let listings = listing(&[NEAR, NEAR, far, wrong, bare, nameless]);
    let soa = soa("main: {proxy_port: 1}");
    let catalog = assemble(&soa, &listings, by(Source::V2), &Away::new(), None);
    assert_eq!(names(&catalog), ["10.0.0.5:1", "h1_10.0.0.1:1"]);
    let v1 = assemble(&soa, &listings, by(Source::V1), &Away::new(), None);
    assert_eq!(v1.pools.values().next().unwrap().servers().len(), 4);
}

#[test]
fn a_local_server_on_its_way_out_is_known_as_leaving_at_once() {
    let away = Away::from([(
        ("web.main".parse().unwrap(), "10.0.0.1:1".parse().unwrap()),
        "drained".to_owned(),
    )]);
    let catalog =
        assemble(&soa("main: {proxy_port: 1}"), &listing(&[NEAR]), by(Source::V2), &away, None);
    assert!(catalog.pools.values().next().unwrap().servers()[0].leaving);
}

#[test]
fn what_is_not_known_yet_is_left_out_and_a_strange_place_is_refused_alone() {
    let soa =
        soa("main: {proxy_port: 1, discover: habitat, advertise: [habitat]}\nro: {proxy_port: 2}");
    let mut listings = listing(&[NEAR]);
    let catalog = assemble(&soa, &listings, by(Source::V2), &Away::new(), None);
    assert!(catalog.pools.is_empty());
    assert_eq!(catalog.unread.iter().map(Namespace::as_str).collect::<Vec<_>>(), ["web.ro"]);
    assert!(catalog.refused.values().next().unwrap().contains("`discover: habitat`"));
    let main = listings.values().next().cloned().unwrap();
    listings.insert("web.ro".parse().unwrap(), main);
    let catalog = assemble(&soa, &listings, by(Source::V2), &Away::new(), None);
    assert_eq!((catalog.pools.len(), catalog.refused.len()), (1, 1));
}

#[test]
fn default_servers_stand_in_where_nobody_is_registered() {
    let soa =
        soa("main: {proxy_port: 1, default_servers: [{host: 10.9.9.9, port: 80, name: old}]}");
    let catalog =
        |payloads: &[&str]| assemble(&soa, &listing(payloads), by(Source::V2), &Away::new(), None);
    assert_eq!(names(&catalog(&[])), ["old_10.9.9.9:80"]);
    assert_eq!(names(&catalog(&[NEAR])), ["h1_10.0.0.1:1"]);
}

#[test]
fn the_weight_of_a_record_counts_only_when_it_is_to() {
    let heavy = NEAR.replace("\"port\":1", "\"port\":1,\"weight\":1000");
    let soa = soa("main: {proxy_port: 1}");
    let weight = |weights| {
        let reading = Reading { source: Source::V2, weights };
        let catalog = assemble(&soa, &listing(&[&heavy]), reading, &Away::new(), None);
        catalog.pools.values().next().unwrap().servers()[0].weight
    };
    assert_eq!((weight(false), weight(true)), (None, Some(256)));
}

#[test]
fn what_did_not_change_is_shared_with_the_catalog_before() {
    let soa = soa("main: {proxy_port: 1}");
    let listings = listing(&[NEAR]);
    let first = assemble(&soa, &listings, by(Source::V2), &Away::new(), None);
    let next = |away: &Away| assemble(&soa, &listings, by(Source::V2), away, Some(&first));
    let shares = |next: &Catalog| {
        let pools = next.pools.values().zip(first.pools.values());
        pools.map(|(next, first)| Arc::ptr_eq(next, first)).collect::<Vec<_>>()
    };
    assert_eq!(shares(&next(&Away::new())), [true]);
    let address = "10.0.0.1:1".parse().unwrap();
    let away = [(("web.main".parse().unwrap(), address), "drained".to_owned())].into();
    assert_eq!(shares(&next(&away)), [false]);
}

#[test]
fn in_a_mixed_fleet_a_record_counts_by_its_path_or_by_its_label_and_once() {
    let old = r#"{"host":"10.0.0.2","port":1,"name":"h2"}"#;
    let mut listings = listing(&[NEAR, old, NEAR]);
    let one = listings.values().next().unwrap();
    let mut records = one.records.to_vec();
    records[0].znode = "/smartstack/global/web.main/h_0000000000".to_owned();
    let listing = Listing { records: Arc::new(records), ..Listing::clone(one) };
    listings.insert("web.main".parse().unwrap(), Arc::new(listing));
    let soa = soa("main: {proxy_port: 1}");
    let read = |source| {
        let catalog = assemble(&soa, &listings, by(source), &Away::new(), None);
        names(&catalog).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read(Source::Both), ["h1_10.0.0.1:1", "h2_10.0.0.2:1"]);
    assert_eq!(read(Source::V2), ["h1_10.0.0.1:1"]);
}
