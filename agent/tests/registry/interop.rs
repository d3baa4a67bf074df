//! What this host registers is found by a reader that follows synapse's rules (nerve.md §4.4).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use agent::{
    nerve::{
        checks::Checked,
        containers::Containers,
        local_tasks::{LocalTask, LocalTasks},
        records::Payload,
        registrations::{HostIdentity, registrations},
    },
    registry::Layout,
    soa::{Soa, atlas::Atlas},
};
use end_to_end::ZooKeeper;
use serde_json::Value;
use soa_configs::{
    locations::{LocationTypes, Mapping},
    smartstack,
};
use zookeeper_client::Client;

use crate::host::{Host, fleet, here, put};

/// A backend as synapse knows it: host, port, name.
type Backend = (String, u64, String);

/// Reads the children of a path. `label`: only backends for which it is the empty text.
async fn synapse(client: &Client, path: &str, label: Option<&str>) -> Vec<Backend> {
    let mut found = BTreeMap::new();
    for child in client.list_children(path).await.unwrap_or_default() {
        let payload = match from_name(&child) {
            Some(payload) => payload,
            None => client.get_data(&format!("{path}/{child}")).await.unwrap().0,
        };
        let Ok(Value::Object(payload)) = serde_json::from_slice(&payload) else { continue };
        let (Some(host), Some(port)) = (payload.get("host"), payload.get("port")) else { continue };
        let labels = payload.get("labels").cloned().unwrap_or_default();
        if label.is_some_and(|label| labels.get(label) != Some(&Value::from(""))) {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = payload.get("name").map(text).unwrap_or_default();
        let backend = (text(host), port.as_u64().unwrap(), name);
        // The last `_` is followed by the counter that leaders are elected by.
        let id: u64 = child.rsplit_once('_').unwrap().1.parse().unwrap();
        found.entry(backend).or_insert(id);
    }
    found.into_keys().collect()
}

/// `base64_<length>_<text>_<counter>`, by arithmetic on the alphabet.
fn from_name(child: &str) -> Option<Vec<u8>> {
    let (length, rest) = child.strip_prefix("base64_")?.split_once('_')?;
    let text = rest.get(..length.parse().ok()?)?;
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for c in text.trim_end_matches('=').chars() {
        bits = (bits << 6 | u32::try_from(alphabet.find(c)?).ok()?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn soa(elsewhere: &ZooKeeper) -> Soa {
    let text = "main:\n  proxy_port: 20001\n  advertise: [region, superregion]\n  extra_advertise:\n    'superregion:a': ['superregion:b']\nro: {proxy_port: 20002}\n";
    let namespaces = smartstack::parse("books", Path::new("x"), text).unwrap().namespaces;
    let mapping = r#"{"a_superregion": {"a1_region": {}}, "b_superregion": {"b1_region": {}}}"#;
    let types = ["superregion", "region"].map(str::to_owned).to_vec();
    let atlas = Atlas {
        types: LocationTypes::new(types),
        mapping: Mapping::parse(Path::new("mapping"), mapping).unwrap(),
        ensembles: Some([("b".to_owned(), elsewhere.hosts().parse().unwrap())].into()),
        ..Atlas::default()
    };
    Soa {
        tried: true,
        read: true,
        configs: Arc::new(soa_configs::Snapshot { namespaces, ..Default::default() }),
        places: ["superregion:a", "region:a1"].map(|place| place.parse().unwrap()).into(),
        atlas: Arc::new(atlas),
        ..Soa::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_by_synapses_rules_finds_every_record_in_every_place_and_ensemble() {
    let (server, _dir, settings) = fleet().await;
    let further = ZooKeeper::start().await.unwrap();
    let (client, their) = (server.client().await.unwrap(), further.client().await.unwrap());
    let identity = HostIdentity {
        name: "host1".to_owned(),
        address: [10, 0, 0, 1].into(),
        ensemble: here(),
        location_type: "superregion".to_owned(),
        layouts: [Layout::V1, Layout::V2].into(),
    };
    let task = |port: u16| LocalTask {
        name: format!("books-{port}"),
        namespaces: ["books.main", "books.ro"].map(|name| name.parse().unwrap()).into(),
        port,
        checked: Checked::AsNamespace,
        payload: Payload::default(),
    };
    let local = LocalTasks { items: (31001..=31003).map(task).collect(), ..LocalTasks::nothing() };
    let decided = registrations(&Containers::default(), &local, &soa(&further), &identity);
    assert_eq!(decided.refused, []);
    let records: Vec<_> = decided.wanted.values().flat_map(|r| r.records.clone()).collect();
    // For each port: in main four v1 and two v2 records, in ro one of each.
    assert_eq!(records.len(), 3 * (4 + 2 + 2));
    let mut host = Host::start(settings);
    host.want(&records);
    host.published(|p| p.records.len() == records.len()).await;

    let backend = |port: u64| ("10.0.0.1".to_owned(), port, "host1".to_owned());
    let all: Vec<Backend> = (31001..=31003).map(backend).collect();
    let (main, ro) = ("/smartstack/global/books.main", "/smartstack/global/books.ro");
    // One that a nerve with path encoding wrote for a task of ours is no further server.
    let double = r#"{"host":"10.0.0.1","port":31001,"name":"host1","labels":{"region:a1":""}}"#;
    put(&client, main, &encoded(double), "").await;
    for (client, path, label) in [
        (&client, main, Some("region:a1")),
        (&client, main, Some("superregion:a")),
        (&client, "/nerve/region:a1/books.main", None),
        (&client, "/nerve/superregion:a/books.main", None),
        (&client, ro, Some("region:a1")),
        (&client, "/nerve/region:a1/books.ro", None),
        (&their, main, Some("region:b1")),
        (&their, main, Some("superregion:b")),
        (&their, "/nerve/region:b1/books.main", None),
        (&their, "/nerve/superregion:b/books.main", None),
    ] {
        assert_eq!(synapse(client, path, label).await, all, "{path} {label:?}");
    }
    for (client, path, label) in [
        (&client, main, "region:b1"),
        (&their, main, "region:a1"),
        (&client, ro, "superregion:a"),
        (&their, ro, "region:b1"),
    ] {
        assert_eq!(synapse(client, path, Some(label)).await, [], "{path} {label}");
    }
    host.stop().await;
}

/// The name of a child that carries its payload; the writer adds `_` and the server the counter.
fn encoded(payload: &str) -> String {
    let alphabet: Vec<char> =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().collect();
    let mut text = String::new();
    for chunk in payload.as_bytes().chunks(3) {
        let byte = |n: usize| u32::from(chunk.get(n).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (n, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let index = usize::try_from(bits >> shift & 63).unwrap();
            text.push(if n > chunk.len() { '=' } else { alphabet[index] });
        }
    }
    format!("base64_{}_{text}", text.len())
}
