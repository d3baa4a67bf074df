//! Whatever stands in the registry, nothing of it gets into HAProxy's configuration but lines of servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use proptest::prelude::*;
use soa_configs::{Namespace, smartstack};

use super::{
    catalog::{Reading, assemble},
    haproxy::{
        Settings,
        guilty::HeldBack,
        model::{self, Accepted, Ids},
        render::Rendered,
        template::{self, Template},
    },
};
use crate::{
    nerve::publish::Away,
    registry::{Listing, Record, SeenRecord, Source},
    soa::Soa,
};

fn soa() -> Soa {
    let text = "main: {proxy_port: 20001, canary: {label: canary, share: 0.5}}";
    let namespaces = smartstack::parse("web", Path::new("x"), text).unwrap().namespaces;
    Soa {
        tried: true,
        read: true,
        configs: Arc::new(soa_configs::Snapshot { namespaces, ..Default::default() }),
        places: vec!["region:here".parse().unwrap()],
        ..Soa::default()
    }
}

/// The configuration with these records.
fn rendered(template: &Template, records: Vec<Record>) -> String {
    let seen =
        |(n, record)| SeenRecord::new(format!("/smartstack/global/web.main/h_{n:010}"), record);
    let listing = Listing {
        records: Arc::new(records.into_iter().enumerate().map(seen).collect()),
        refused: Vec::new(),
        generation: 1,
        session: 1,
        read_at: SystemTime::UNIX_EPOCH,
    };
    let name: Namespace = "web.main".parse().unwrap();
    let listings = BTreeMap::from([(name, Arc::new(listing))]);
    let reading = Reading { source: Source::V2, weights: true };
    let catalog = assemble(&soa(), &listings, reading, &Away::new(), None);
    let settings = Settings::default();
    let (ids, accepted, held) = (Ids::new(), Accepted::new(), HeldBack::new());
    let built = model::build(&settings, &catalog, &ids, &accepted, &held, &BTreeSet::new());
    template.render(&built.model).unwrap()
}

/// Texts that look like what belongs there, and texts that do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.-]{1,12}",
        "[ -~]{0,24}",
        "[a-z]{0,4}[\n\r\t\0\u{85}\u{2028}]{1,2}\tserver evil 6[.]6[.]6[.]6:1",
        any::<String>(),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let host =
        prop_oneof![4 => Just("10.0.0.1".to_owned()), 1 => Just("::1".to_owned()), 1 => text()];
    let port = prop_oneof![8 => 1_i64..65_536, 1 => any::<i64>()];
    let json = (host, port, text(), text(), text(), any::<Option<i64>>()).prop_map(
        |(host, port, name, options, label, weight)| {
            let mut labels = serde_json::Map::from_iter([("region:here".to_owned(), "".into())]);
            labels.insert(label.clone(), label.clone().into());
            labels.insert("canary".to_owned(), label.into());
            let payload = serde_json::json!({
                "host": host, "port": port, "name": name, "weight": weight,
                "haproxy_server_options": options, "labels": labels,
            });
            payload.to_string().into_bytes()
        },
    );
    prop_oneof![9 => json, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    /// Four payloads in each case: a thousand kinds.
    #[test]
    fn of_a_thousand_payloads_nothing_but_servers_reaches_the_configuration(
        payloads in proptest::collection::vec(payload(), 4),
    ) {
        let template::Source { file, text } = template::built_in();
        let template = Template::parse(&file, text).unwrap();
        let managed = BTreeSet::from(["web.main"]);
        let skeleton = |text: &str| Rendered::parse(text, &managed).fingerprint;
        let records: Vec<_> = payloads.iter().filter_map(|p| Record::decode(p).ok()).collect();
        let count = records.len();
        let (bare, full) = (rendered(&template, Vec::new()), rendered(&template, records));
        prop_assert_eq!(skeleton(&bare), skeleton(&full));
        let lines: Vec<_> = full.lines().filter(|line| line.starts_with("\tserver ")).collect();
        prop_assert_eq!(full.lines().count(), bare.lines().count() + lines.len());
        prop_assert!(lines.len() <= count);
        for line in lines {
            let safe = |c: char| c.is_ascii_alphanumeric() || "\t _.:-[]".contains(c);
            prop_assert!(line.chars().all(safe), "{}", line);
            let words: Vec<&str> = line.split(' ').collect();
            prop_assert_eq!((words[3], words[4]), ("check", "port"), "{}", line);
        }
    }
}
