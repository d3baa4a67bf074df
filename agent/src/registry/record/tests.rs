use proptest::prelude::*;

use super::*;

const V1: &str = r#"{"host":"10.0.0.1","port":31001,"name":"host1-devc","weight":10}"#;
const V2: &str = r#"{"host":"10.0.0.1","port":31001,"name":"host1-devc","weight":10,"labels":{"region:uswest1-devc":"","superregion:norcal-devc":"","deploy_group":"dev.main","paasta_instance":"main"}}"#;

fn plain() -> Record {
    Record {
        host: "10.0.0.1".parse().unwrap(),
        port: 31001,
        name: "host1-devc".to_owned(),
        weight: Some(10),
        haproxy_server_options: None,
        labels: None,
    }
}

fn why(payload: &str) -> String {
    Record::decode(payload.as_bytes()).expect_err(payload).to_string()
}

#[test]
fn records_are_written_byte_for_byte_as_nerve_writes_them() {
    let pairs = [
        ("region:uswest1-devc", ""),
        ("superregion:norcal-devc", ""),
        ("deploy_group", "dev.main"),
        ("paasta_instance", "main"),
    ];
    let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let labelled = Record { labels: Some(labels.into_iter().collect()), ..plain() };
    assert_eq!(String::from_utf8(plain().encode()).unwrap(), V1);
    assert_eq!(String::from_utf8(labelled.encode()).unwrap(), V2);
    assert_eq!(Record::decode(V1.as_bytes()).unwrap(), plain());
    assert_eq!(Record::decode(V2.as_bytes()).unwrap(), labelled);
}

#[test]
fn only_what_json_requires_is_escaped() {
    let options = "é</>& \"q\" \\ \u{7f}".to_owned();
    let record = Record { weight: None, haproxy_server_options: Some(options), ..plain() };
    let expected = "{\"host\":\"10.0.0.1\",\"port\":31001,\"name\":\"host1-devc\",\
        \"haproxy_server_options\":\"é</>& \\\"q\\\" \\\\ \u{7f}\"}";
    assert_eq!(String::from_utf8(record.encode()).unwrap(), expected);
}

#[test]
fn labels_keep_the_order_of_the_payload() {
    let payload = r#"{"host":"10.0.0.1","port":1,"labels":{"z":"1","a":"2","m":"3"}}"#;
    let labels = Record::decode(payload.as_bytes()).unwrap().labels.unwrap();
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
}

#[test]
fn what_synapse_tolerates_is_tolerated() {
    let payload = r#" {"port":"31001","extra":{"a":[1]},"host":"10.0.0.1","name":null,"weight":1.5,
        "labels":null} "#;
    let expected = Record { name: String::new(), weight: None, ..plain() };
    assert_eq!(Record::decode(payload.as_bytes()).unwrap(), expected);
    for weight in ["-1", "\"9\"", "true", "[]", "99999999999"] {
        let payload = format!(r#"{{"host":"10.0.0.1","port":1,"weight":{weight}}}"#);
        assert_eq!(Record::decode(payload.as_bytes()).unwrap().weight, None, "{weight}");
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for payload in ["", "[]", "null", "17", "{} x", "NaN", "\u{feff}{}", "{\"host\":\"10.0.0.1\""] {
        assert!(why(payload).starts_with("payload is not"), "{payload}");
    }
    let deep = "[".repeat(60_000);
    assert!(why(&deep).starts_with("payload is not"));
    let long = format!("{V1}{}", " ".repeat(MAX_PAYLOAD));
    assert!(why(&long).ends_with("is too long"));
}

#[test]
fn what_must_not_reach_haproxy_is_refused_with_a_reason() {
    let cases = [
        (r#"{"port":1}"#, "host is missing"),
        (r#"{"host":"web1","port":1}"#, "host `web1` is not an IP address"),
        (r#"{"host":5,"port":1}"#, "host is not a string"),
        (r#"{"host":"0.0.0.0","port":1}"#, "host 0.0.0.0 is not the address of one host"),
        (r#"{"host":"::","port":1}"#, "host :: is not the address of one host"),
        (r#"{"host":"ff02::1","port":1}"#, "host ff02::1 is not the address of one host"),
        (r#"{"host":"10.0.0.1"}"#, "port is missing"),
        (r#"{"host":"10.0.0.1","port":0}"#, "port `0` is not within 1 to 65535"),
        (r#"{"host":"10.0.0.1","port":65536}"#, "port `65536` is not within 1 to 65535"),
        (r#"{"host":"10.0.0.1","port":"+80"}"#, "port `+80` is not within 1 to 65535"),
        (r#"{"host":"10.0.0.1","port":80.5}"#, "port is not a whole number"),
        (r#"{"host":"10.0.0.1","port":1,"name":7}"#, "name is not a string"),
        (
            r#"{"host":"10.0.0.1","port":1,"name":"a\nserver b"}"#,
            r"name `a\nserver b` holds more than A-Za-z0-9_.:-",
        ),
        (r#"{"host":"10.0.0.1","port":1,"labels":[]}"#, "labels is not an object"),
        (r#"{"host":"10.0.0.1","port":1,"labels":{"a":1}}"#, "label `a` is not a string"),
        (
            r#"{"host":"10.0.0.1","port":1,"haproxy_server_options":"backup\nx"}"#,
            "haproxy_server_options holds control characters",
        ),
    ];
    for (payload, reason) in cases {
        assert_eq!(why(payload), reason, "{payload}");
    }
    let name = "n".repeat(201);
    let payload = format!(r#"{{"host":"10.0.0.1","port":1,"name":"{name}"}}"#);
    assert_eq!(why(&payload), "name is longer than 200 characters");
}

#[test]
fn reasons_stay_short_and_on_one_line() {
    let payload = format!(r#"{{"host":"{}\n","port":1}}"#, "\\u001b[31m".repeat(1000));
    let reason = why(&payload);
    assert!(reason.len() < 400 && !reason.contains(char::is_control), "{reason}");
}

#[test]
fn a_record_in_the_name_of_the_child_is_read_from_there() {
    let child = "base64_164_eyJob3N0IjoiMTAuMC4wLjEiLCJwb3J0IjozMTAwMSwibmFtZSI6Imhvc3QxLWRldmMiLCJ3ZWlnaHQiOjcsImhhcHJveHlfc2VydmVyX29wdGlvbnMiOiJiYWNrdXAiLCJsYWJlbHMiOnsieiI6IjEiLCJhIjoiIn19_0000000000";
    let record = Record::from_child_name(child).unwrap();
    assert_eq!(record.haproxy_server_options.as_deref(), Some("backup"));
    assert_eq!((record.weight, record.labels.unwrap().len()), (Some(7), 2));
    for child in
        ["base64_", "base64_9_e30_1", "base64_x_e30_1", "base64_3_e30_1", "host1_0000000001"]
    {
        assert_eq!(Record::from_child_name(child), None, "{child}");
    }
}

prop_compose! {
    fn any_record()(
        bits: u128,
        v6: bool,
        port in 1_u16..,
        name in "[A-Za-z0-9_.:-]{0,200}",
        weight: Option<u32>,
        haproxy_server_options in proptest::option::of("\\PC*"),
        labels in proptest::option::of(proptest::collection::vec((".*", ".*"), 0..5)),
    ) -> Record {
        let v4 = std::net::Ipv4Addr::from((bits >> 96) as u32);
        let host = if v6 { IpAddr::from(bits.to_be_bytes()) } else { v4.into() };
        let labels = labels.map(|pairs| pairs.into_iter().collect());
        Record { host, port, name, weight, haproxy_server_options, labels }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(record in any_record()) {
        let host = record.host.to_canonical();
        prop_assume!(!host.is_unspecified() && !host.is_multicast());
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn bytes_never_panic(bytes: Vec<u8>) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn child_names_never_panic(name in "base64_[0-9]{0,5}_?\\PC*") {
        let _ = Record::from_child_name(&name);
    }

    #[test]
    fn damaged_records_never_panic(at in 0..V2.len(), with: u8) {
        let mut bytes = V2.as_bytes().to_vec();
        bytes[at] = with;
        let _ = Record::decode(&bytes);
    }
}
