use std::{path::Path, sync::Arc};

use soa_configs::locations::{LocationTypes, Mapping};

use super::*;
use crate::registry::TaskId;

const MAPPING: &str = r#"
{"dev_ecosystem": {"norcal-devc_superregion": {"uswest1-devc_region": {
    "uswest1adevc_habitat": {}, "uswest1bdevc_habitat": {}}}},
 "prod_ecosystem": {
    "norcal-prod_superregion": {"uswest1-prod_region": {"uswest1aprod_habitat": {}},
                                "uswest2-prod_region": {"uswest2aprod_habitat": {}}},
    "nova-prod_superregion": {"useast1-prod_region": {"useast1aprod_habitat": {}}}}}"#;

const OWN: [&str; 4] =
    ["ecosystem:dev", "superregion:norcal-devc", "region:uswest1-devc", "habitat:uswest1adevc"];

/// A host in uswest1adevc, in a fleet of three ensembles.
fn soa() -> Soa {
    let types = ["ecosystem", "superregion", "region", "habitat"].map(str::to_owned);
    let ensemble = |name: &str| (name.to_owned(), format!("zk-{name}").parse().unwrap());
    let atlas = Atlas {
        types: LocationTypes::new(types.into()),
        mapping: Mapping::parse(Path::new("location_mapping.json"), MAPPING).unwrap(),
        ensembles: Some(["norcal-devc", "norcal-prod", "nova-prod"].map(ensemble).into()),
        ..Atlas::default()
    };
    let places = OWN.iter().map(|place| place.parse().unwrap()).collect();
    Soa { places, atlas: Arc::new(atlas), ..Soa::default() }
}

fn host() -> HostIdentity {
    HostIdentity {
        name: "host1-devc".to_owned(),
        address: [10, 0, 0, 1].into(),
        ensemble: "here".parse().unwrap(),
        location_type: "superregion".to_owned(),
        layouts: [Layout::V1, Layout::V2].into(),
    }
}

fn config(advertise: &str, extra: &str) -> NamespaceConfig {
    let pair = extra.split_once(' ');
    let extra = pair.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
    NamespaceConfig {
        advertise: advertise.split_whitespace().map(str::to_owned).collect(),
        extra_advertise: extra.into_iter().collect(),
        ..NamespaceConfig::default()
    }
}

fn key() -> RegistrationKey {
    RegistrationKey { task: TaskId("t".into()), namespace: "books.main".parse().unwrap() }
}

/// `ensemble path labels` of each record.
fn written(config: &NamespaceConfig, soa: &Soa, payload: &Payload) -> Vec<String> {
    let destinations = destinations(config, soa, &host());
    let records = records(&key(), 31001, payload, &destinations, soa, &host());
    let line = |(key, record): (&RecordKey, &Record)| {
        let labels = record.labels.iter().flatten();
        let labels: String = labels.map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} {}{labels}", key.ensemble, key.parent)
    };
    records.iter().map(line).collect()
}

/// What the original does on such a host (nerve.md §5.4), by ensemble.
#[test]
fn records_and_labels_are_where_the_original_puts_them() {
    let here = "region:uswest1-devc";
    for (advertise, extra, wanted) in [
        ("region", "", vec![("here:2181", here)]),
        (
            "region superregion",
            "",
            vec![("here:2181", "region:uswest1-devc superregion:norcal-devc")],
        ),
        (
            "region",
            "superregion:norcal-devc region:uswest1-prod",
            vec![("here:2181", here), ("zk-norcal-prod:2181", "region:uswest1-prod")],
        ),
        (
            "region",
            "superregion:norcal-devc superregion:norcal-prod",
            vec![
                ("here:2181", here),
                ("zk-norcal-prod:2181", "region:uswest1-prod region:uswest2-prod"),
            ],
        ),
        ("region", "superregion:norcal-devc habitat:useast1aprod", vec![("here:2181", here)]),
        (
            "habitat",
            "region:uswest1-devc region:uswest2-prod",
            vec![
                ("here:2181", "habitat:uswest1adevc"),
                ("zk-norcal-prod:2181", "habitat:uswest2aprod"),
            ],
        ),
        ("region", "region:uswest2-prod region:useast1-prod", vec![("here:2181", here)]),
        (
            "region superregion",
            "ecosystem:dev superregion:nova-prod",
            vec![
                ("here:2181", "region:uswest1-devc superregion:norcal-devc"),
                ("zk-nova-prod:2181", "region:useast1-prod superregion:nova-prod"),
            ],
        ),
        // Not in the original's table: a wide place is in the ensembles of all that lies in it.
        (
            "ecosystem",
            "ecosystem:dev ecosystem:prod",
            vec![
                ("here:2181", "ecosystem:dev"),
                ("zk-norcal-prod:2181", "ecosystem:prod"),
                ("zk-nova-prod:2181", "ecosystem:prod"),
            ],
        ),
        ("", "ecosystem:dev superregion:nova-prod", vec![]),
    ] {
        let mut expected = Vec::new();
        for (ensemble, places) in wanted {
            for place in places.split(' ') {
                expected.push(format!("{ensemble} /nerve/{place}/books.main"));
            }
            let labels: String = places.split(' ').map(|place| format!(" {place}=")).collect();
            expected.push(format!("{ensemble} /smartstack/global/books.main{labels}"));
        }
        let config = config(advertise, extra);
        assert!(destinations(&config, &soa(), &host()).refused.is_empty());
        assert_eq!(written(&config, &soa(), &Payload::default()), expected, "{advertise}, {extra}");
    }
}

#[test]
fn an_unknown_place_and_a_location_without_zookeeper_are_told_and_harm_no_other() {
    let mut soa = soa();
    Arc::make_mut(&mut soa.atlas).ensembles.as_mut().unwrap().remove("nova-prod");
    let pair = |to: &str| ("ecosystem:dev".parse().unwrap(), to.parse().unwrap());
    let config = NamespaceConfig {
        extra_advertise: ["superregion:mars", "region:useast1-prod", "region:uswest1-prod"]
            .map(pair)
            .into(),
        ..config("region", "")
    };
    let refused: Vec<_> = destinations(&config, &soa, &host()).refused.into_iter().collect();
    assert_eq!(refused[0], "extra_advertise: superregion:mars is not in the location mapping");
    assert!(refused[1].starts_with("region:useast1-prod is not registered"), "{refused:?}");
    assert!(refused[1].contains("nova-prod.yaml"), "{refused:?}");
    let ensembles = written(&config, &soa, &Payload::default());
    assert_eq!(ensembles.len(), 4, "{ensembles:?}");
}

#[test]
fn a_host_without_mapping_or_topology_has_one_ensemble() {
    let expected = ["here:2181 /nerve/region:uswest1-devc/books.main"];
    let expected = [expected[0], "here:2181 /smartstack/global/books.main region:uswest1-devc="];
    let (full, config) = (soa(), config("region", ""));
    let no_topology = Atlas { ensembles: None, ..Atlas::clone(&full.atlas) };
    let no_mapping = Atlas { mapping: Mapping::default(), ..Atlas::clone(&full.atlas) };
    for atlas in [no_topology, no_mapping, Atlas::default()] {
        let soa = Soa { atlas: Arc::new(atlas), ..full.clone() };
        assert!(destinations(&config, &soa, &host()).refused.is_empty());
        assert_eq!(written(&config, &soa, &Payload::default()), expected);
    }
    let assumed = Soa { places: vec!["region:local".parse().unwrap()], ..full };
    let local = written(&config, &assumed, &Payload::default());
    assert_eq!(local[0], "here:2181 /nerve/region:local/books.main");
}

#[test]
fn a_host_whose_own_location_is_not_said_finds_it_in_the_mapping() {
    let mut soa = soa();
    soa.places.retain(|place| place.kind() != "superregion");
    let written = written(&config("region", ""), &soa, &Payload::default());
    assert_eq!(written[0], "here:2181 /nerve/region:uswest1-devc/books.main");
}

#[test]
fn two_locations_with_the_same_servers_share_one_record() {
    let mut soa = soa();
    let ensembles = Arc::make_mut(&mut soa.atlas).ensembles.as_mut().unwrap();
    ensembles.insert("nova-prod".to_owned(), "zk-norcal-prod".parse().unwrap());
    let config = config("superregion", "ecosystem:dev ecosystem:prod");
    let written = written(&config, &soa, &Payload::default());
    let v2 = "zk-norcal-prod:2181 /smartstack/global/books.main superregion:norcal-prod= superregion:nova-prod=";
    assert!(written.iter().any(|line| line == v2), "{written:?}");
}

#[test]
fn labels_of_paasta_go_over_places_and_those_over_custom_ones() {
    let mut soa = soa();
    let pairs = |pairs: &[(&str, &str)]| -> IndexMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let of_operator = pairs(&[
        ("z", "file"),
        ("own", "file"),
        ("region:uswest1-devc", "wrong"),
        ("deploy_group", "wrong"),
    ]);
    let labels = [
        ("books.main31001".to_owned(), of_operator),
        ("books.main310011".to_owned(), pairs(&[("not", "ours")])),
    ];
    Arc::make_mut(&mut soa.atlas).labels = labels.into();
    let payload = Payload {
        labels: pairs(&[("own", "task"), ("paasta_instance", "wrong")]),
        paasta: vec![
            ("deploy_group", "dev.main".to_owned()),
            ("paasta_instance", "main".to_owned()),
        ],
        ..Payload::default()
    };
    let written = written(&config("region", ""), &soa, &payload);
    assert_eq!(
        written[1],
        "here:2181 /smartstack/global/books.main deploy_group=dev.main own=task paasta_instance=main region:uswest1-devc= z=file"
    );
    assert_eq!(written[0], "here:2181 /nerve/region:uswest1-devc/books.main", "v1 has none");
}

#[test]
fn payloads_are_those_that_the_original_wrote() {
    let soa = soa();
    let destinations = destinations(&config("region superregion", ""), &soa, &host());
    let payload = Payload {
        paasta: vec![
            ("deploy_group", "dev.main".to_owned()),
            ("paasta_instance", "main".to_owned()),
        ],
        ..Payload::default()
    };
    let records = records(&key(), 31001, &payload, &destinations, &soa, &host());
    let texts: Vec<_> =
        records.values().map(|record| String::from_utf8(record.encode()).unwrap()).collect();
    let v1 = r#"{"host":"10.0.0.1","port":31001,"name":"host1-devc","weight":10}"#;
    // As captured, but with the labels sorted, as configure_nerve sorts them.
    let v2 = r#"{"host":"10.0.0.1","port":31001,"name":"host1-devc","weight":10,"labels":{"deploy_group":"dev.main","paasta_instance":"main","region:uswest1-devc":"","superregion:norcal-devc":""}}"#;
    assert_eq!(texts, [v1, v1, v2]);
    let options = Some("backup".to_owned());
    let payload =
        Payload { weight: Some(7), haproxy_server_options: options, ..Payload::default() };
    let records = super::records(&key(), 31001, &payload, &destinations, &soa, &host());
    let first = String::from_utf8(records.values().next().unwrap().encode()).unwrap();
    assert!(first.ends_with(r#""weight":7,"haproxy_server_options":"backup"}"#), "{first}");
}
