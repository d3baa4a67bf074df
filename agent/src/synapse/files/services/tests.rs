use proptest::prelude::*;

use super::{
    super::tests::{FAR, HERE, World, record},
    *,
};

/// The text of each backend by its name.
fn texts(world: &mut World) -> Vec<(String, String)> {
    let catalog = world.catalog();
    let mut texts = Vec::new();
    for (namespace, pool) in &catalog.pools {
        for variant in pool.variants(namespace, &pool.config) {
            let text = text(Source::V2, namespace, pool, variant.reach).unwrap();
            texts.push((variant.name, text));
        }
    }
    texts.sort();
    texts
}

#[test]
fn the_worked_example_is_written_byte_for_byte() {
    let texts = texts(&mut World::pencil());
    let names: Vec<_> = texts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "pencil.main",
            "pencil.main.__slow__report_timeouts",
            "pencil.main.habitat",
            "pencil.main.habitat.__slow__report_timeouts",
            "pencil.only_files",
        ]
    );
    let beside = r#"{"name":"web2","host":"10.20.1.12","port":31001,"id":2,"weight":null,"haproxy_server_options":"backup","labels":{"region:east1-test":"","habitat:east1b-test":""}}"#;
    let here = r#"{"name":"web1","host":"10.20.1.11","port":31002,"id":1,"weight":12,"haproxy_server_options":null,"labels":{"region:east1-test":"","habitat:east1a-test":""}},{"name":"web1","host":"10.20.1.11","port":31001,"id":0,"weight":null,"haproxy_server_options":null,"labels":{"region:east1-test":"","habitat:east1a-test":""}}"#;
    let (region, habitat) = (format!("[{beside},{here}]"), format!("[{here}]"));
    let texts: Vec<_> = texts.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, [&region, &region, &habitat, &habitat, "[]"]);
}

#[test]
fn the_first_of_equal_servers_of_this_place_counts_and_what_is_not_said_is_null() {
    let mut world = World::new();
    world.soa("web", "main: {proxy_port: 1, chaos: {region: {west1-test: {fail: error_503}}}}");
    let far = format!(r#"{{"host":"10.20.1.11","port":1,"name":"web1","labels":{FAR}}}"#);
    let nameless = format!(r#"{{"host":"10.0.0.1","port":"2","labels":{HERE}}}"#);
    let heavy =
        format!(r#"{{"host":"10.20.1.11","port":1,"name":"web1","labels":{HERE},"weight":5}}"#);
    world.records(
        "web.main",
        &[
            ("web1_0000000009", &far),
            ("web1_0000000008", &record(1)),
            ("web1_0000000007", &heavy),
            ("noid", &nameless),
            ("bare", r#"{"host":"10.0.0.2","port":3}"#),
        ],
    );
    let here = r#""labels":{"region:east1-test":"","habitat:east1a-test":""}"#;
    let expected = format!(
        r#"[{{"name":"web1","host":"10.20.1.11","port":1,"id":8,"weight":null,"haproxy_server_options":null,{here}}},{{"name":null,"host":"10.0.0.1","port":2,"id":null,"weight":null,"haproxy_server_options":null,{here}}}]"#
    );
    assert_eq!(texts(&mut world), [("web.main".to_owned(), expected)]);
    world.soa("web", "main: {proxy_port: 1, chaos: {region: {east1-test: {fail: error_503}}}}");
    assert_eq!(texts(&mut world)[0].1, "[]");
}

#[test]
fn a_record_without_labels_has_null_for_them() {
    let record = crate::registry::Record::decode(br#"{"host":"10.0.0.2","port":3}"#).unwrap();
    let seen = SeenRecord::new("/nerve/region:a/web.main/h_0000000001".to_owned(), record);
    let text = serde_json::to_string(&Entry::from(&seen)).unwrap();
    assert!(text.ends_with(r#""id":1,"weight":null,"haproxy_server_options":null,"labels":null}"#));
}

#[test]
fn the_id_is_the_last_piece_of_the_znode_if_that_is_a_number() {
    for (znode, expected) in [
        ("/a/web1_0000000042", Some(42)),
        ("/a/we_b_1_0000000000", Some(0)),
        ("/a_1/0000000007", Some(7)),
        ("/a/base64_4_e30=_0000000003", Some(3)),
        ("/a/web1", None),
        ("/a/web1_-2147483648", None),
        ("/a/web1_+5", None),
        ("/a/web1_99999999999999999999999", None),
        ("", None),
    ] {
        assert_eq!(id(znode), expected, "{znode}");
    }
}

#[test]
fn only_other_servers_are_another_content() {
    let text = r#"[{"a":1,"b":null},{"a":2}]"#;
    for same in [text, "[ {\"b\": null, \"a\": 1}, {\"a\": 2} ]\n", r#"[{"a":2},{"a":1,"b":null}]"#]
    {
        assert!(says_the_same(same.as_bytes(), text), "{same}");
    }
    for other in
        ["", "[", "{}", "[]", r#"[{"a":1},{"a":2}]"#, r#"[{"a":2},{"a":2},{"a":1,"b":null}]"#]
    {
        assert!(!says_the_same(other.as_bytes(), text), "{other}");
    }
    assert!(!says_the_same(b"\xff", "[]"));
}

proptest! {
    #[test]
    fn whatever_labels_and_options_say_the_file_says_it_back(
        options in "\\PC*", label in ".*", value in "(?s).*", name in "[A-Za-z0-9_.:-]{0,20}",
    ) {
        let labels = IndexMap::from([("region:east1-test".to_owned(), String::new()), (label, value)]);
        let payload = serde_json::json!({
            "host": "10.0.0.1", "port": 1, "name": name, "haproxy_server_options": options, "labels": labels,
        });
        let mut world = World::new();
        world.soa("web", "main: {proxy_port: 1}");
        world.records("web.main", &[("h_0000000001", &payload.to_string())]);
        let text = texts(&mut world).remove(0).1;
        let read: Value = serde_json::from_str(&text).unwrap();
        if labels["region:east1-test"].is_empty() {
            prop_assert_eq!(&read[0]["labels"], &payload["labels"]);
            prop_assert_eq!(&read[0]["haproxy_server_options"], &payload["haproxy_server_options"]);
            prop_assert!(!text.contains('\n'));
            prop_assert!(says_the_same(text.as_bytes(), &text));
        } else {
            prop_assert_eq!(text, "[]");
        }
    }
}
