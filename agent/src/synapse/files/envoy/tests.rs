use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::tests::{HERE, World, record},
    *,
};

fn texts(world: &mut World) -> Vec<String> {
    let catalog = world.catalog();
    let pools = catalog.pools.iter();
    let texts = pools.flat_map(|(namespace, pool)| {
        let variants = pool.variants(namespace, &pool.config);
        variants.map(|variant| text(&variant).unwrap()).collect::<Vec<_>>()
    });
    texts.collect()
}

fn assignment(text: &str) -> Value {
    let read: Value = serde_yaml::from_str(text).unwrap();
    assert_eq!(read["resources"].as_array().map(Vec::len), Some(1), "{text}");
    assert_eq!(read["resources"][0]["@type"], KIND);
    read["resources"][0].clone()
}

fn member(address: &str, port: u16, weight: u16) -> Value {
    let socket_address = json!({"address": address, "port_value": port});
    json!({"endpoint": {"address": {"socket_address": socket_address}}, "load_balancing_weight": weight})
}

#[test]
fn the_servers_of_the_worked_example_are_endpoints() {
    let texts = texts(&mut World::pencil());
    assert_eq!(texts.len(), 5);
    let web1 = json!([member("10.20.1.11", 31001, 1), member("10.20.1.11", 31002, 1)]);
    let habitat = json!({"zone": "east1a-test"});
    assert_eq!(
        assignment(&texts[1]),
        json!({
            "@type": KIND, "cluster_name": "pencil.main.habitat",
            "endpoints": [{"locality": habitat, "priority": 0, "lb_endpoints": web1}],
        })
    );
    let region = json!({"region": "east1-test"});
    let backup = json!([member("10.20.1.12", 31001, 1)]);
    let main = texts.iter().map(|text| assignment(text));
    let main = main.into_iter().find(|found| found["cluster_name"] == "pencil.main").unwrap();
    assert_eq!(
        main["endpoints"],
        json!([
            {"locality": region, "priority": 0, "lb_endpoints": web1},
            {"locality": region, "priority": 1, "lb_endpoints": backup},
        ])
    );
    let empty = json!({"@type": KIND, "cluster_name": "pencil.only_files", "endpoints": []});
    assert_eq!(assignment(&texts[4]), empty);
}

#[test]
fn who_leaves_or_weighs_nothing_is_no_endpoint_and_weights_count_if_they_are_to() {
    let mut world = World::new();
    world.soa("web", "main: {proxy_port: 1}");
    let weighing = |port: u16, weight: u32| {
        format!(
            r#"{{"host":"10.0.0.1","port":{port},"name":"h","weight":{weight},"labels":{HERE}}}"#
        )
    };
    world.records(
        "web.main",
        &[
            ("h_1", &weighing(1, 0)),
            ("h_2", &weighing(2, 7)),
            ("h_3", &weighing(3, 100_000)),
            ("h_4", &record(31001)),
        ],
    );
    world.weights = true;
    let leaving = ("web.main".parse().unwrap(), "10.20.1.11:31001".parse().unwrap());
    world.away.insert(leaving, "drained".to_owned());
    let read = assignment(&texts(&mut world)[0]);
    let expected = json!([member("10.0.0.1", 2, 7), member("10.0.0.1", 3, 256)]);
    assert_eq!(read["endpoints"][0]["lb_endpoints"], expected);
}

#[test]
fn backups_alone_have_the_first_priority() {
    let mut world = World::new();
    world.soa("web", "main: {proxy_port: 1}");
    let backup = format!(
        r#"{{"host":"fd00::1","port":1,"name":"h","haproxy_server_options":"backup","labels":{HERE}}}"#
    );
    world.records("web.main", &[("h_1", &backup)]);
    let read = assignment(&texts(&mut world)[0]);
    assert_eq!(read["endpoints"][0]["priority"], 0);
    assert_eq!(read["endpoints"][0]["lb_endpoints"], json!([member("fd00::1", 1, 1)]));
}

proptest! {
    #[test]
    fn whatever_a_name_says_the_file_says_it_back(name in "(?s).*", location in "[A-Za-z0-9_-]{1,20}") {
        let reach = Reach {
            place: soa_configs::Place::new("region", &location).unwrap(),
            is_discovered: true,
            servers: vec![Server {
                name: name.clone(),
                address: ([10, 0, 0, 1], 1).into(),
                weight: None,
                backup: false,
                leaving: false,
            }],
        };
        let variant = Variant { name: name.clone(), reach: &reach, endpoint: Some(("/", Duration::ZERO)) };
        let read = assignment(&text(&variant).unwrap());
        prop_assert_eq!(read["cluster_name"].as_str(), Some(name.as_str()));
        prop_assert_eq!(read["endpoints"][0]["locality"]["region"].as_str(), Some(location.as_str()));
    }
}
