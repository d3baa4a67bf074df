//! What has to be written, deleted or adopted: decisions on values alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Settings;
use crate::registry::{Observed, ParentPath, Record, RecordKey, Wanted, record::MAX_PAYLOAD};

/// A znode of our session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) path: String,
    pub(super) payload: Vec<u8>,
    /// The synapse wing has read it; from then on its absence there is a reason to look.
    pub(super) seen: bool,
}

pub(super) type Nodes = BTreeMap<RecordKey, Node>;

/// A record that is not there, or stands there with an old payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) key: RecordKey,
    pub(super) payload: Vec<u8>,
}

/// Nodes of records that nobody wants any more.
pub(super) fn unwanted(nodes: &Nodes, wanted: &Wanted) -> Vec<RecordKey> {
    nodes.keys().filter(|key| !wanted.records.contains_key(key)).cloned().collect()
}

/// Records to be written. One whose payload changed is among them: the old node goes only after the
/// new one stands.
pub(super) fn missing(nodes: &Nodes, wanted: &Wanted) -> Vec<Missing> {
    let lacks = |(key, record): (&RecordKey, &Record)| {
        let payload = record.encode();
        let there = nodes.get(key).is_some_and(|node| node.payload == payload);
        (!there).then(|| Missing { key: key.clone(), payload })
    };
    wanted.records.iter().filter_map(lacks).collect()
}

/// Why a payload must not be sent: the server answers an overlong request by closing the connection,
/// and readers refuse what is longer than [`MAX_PAYLOAD`].
pub(super) fn refusal(payload: &[u8]) -> Option<String> {
    (payload.len() > MAX_PAYLOAD).then(|| format!("payload of {} bytes is too long", payload.len()))
}

/// The record that a node of ours holds which we did not know of, because the answer to its creation
/// was lost. `None`: it is a double and has to go.
pub(super) fn adopter(path: &str, payload: &[u8], missing: &[Missing]) -> Option<RecordKey> {
    let (parent, _) = path.rsplit_once('/')?;
    let fits = |m: &&Missing| m.key.parent.as_str() == parent && m.payload == payload;
    missing.iter().find(fits).map(|m| m.key.clone())
}

/// Notes which of our nodes the synapse wing has read; true if one that it had read is gone.
pub(super) fn has_vanished(nodes: &mut Nodes, observed: &Observed) -> bool {
    let mut vanished = false;
    for (key, node) in nodes {
        let Some(listing) = listing(&key.parent, observed) else { continue };
        let path = node.path.as_str();
        let there = listing.records.binary_search_by(|seen| seen.znode.as_str().cmp(path)).is_ok();
        vanished |= node.seen && !there;
        node.seen = there;
    }
    vanished
}

/// The paths of our nodes that the synapse wing does not read, so that it cannot miss them.
pub(super) fn unread(nodes: &Nodes, observed: &Observed, settings: &Settings) -> BTreeSet<String> {
    let is_read = |parent: &ParentPath| {
        let followed = parent.namespace().filter(|ns| observed.namespaces.contains_key(ns));
        followed.is_some_and(|namespace| {
            settings.read.parents(&namespace, &settings.read_places).contains(parent)
        })
    };
    let unread = nodes.iter().filter(|(key, _)| !is_read(&key.parent));
    unread.map(|(_, node)| node.path.clone()).collect()
}

fn listing<'a>(
    parent: &ParentPath,
    observed: &'a Observed,
) -> Option<&'a Arc<crate::registry::Listing>> {
    observed.namespaces.get(&parent.namespace()?)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::registry::{Listing, SeenRecord, TaskId};

    fn key(task: &str) -> RecordKey {
        let parent = "/smartstack/global/web.main".parse().unwrap();
        RecordKey { ensemble: "zk1".parse().unwrap(), parent, task: TaskId(task.into()) }
    }

    /// One of host `h`.
    pub(in crate::registry::zookeeper) fn record(port: u16) -> Record {
        Record {
            host: "10.0.0.1".parse().unwrap(),
            port,
            name: "h".to_owned(),
            weight: None,
            haproxy_server_options: None,
            labels: None,
        }
    }

    fn node(port: u16, counter: u32) -> Node {
        let path = format!("/smartstack/global/web.main/h_{counter:010}");
        Node { path, payload: record(port).encode(), seen: false }
    }

    fn wanted(records: &[(&str, u16)]) -> Wanted {
        let records = records.iter().map(|(task, port)| (key(task), record(*port))).collect();
        Wanted { complete: true, records, ..Wanted::default() }
    }

    #[test]
    fn what_is_there_and_wanted_is_left_alone() {
        let nodes = Nodes::from([(key("a"), node(1, 0))]);
        assert_eq!(unwanted(&nodes, &wanted(&[("a", 1)])), []);
        assert_eq!(missing(&nodes, &wanted(&[("a", 1)])), []);
    }

    #[test]
    fn a_changed_payload_is_written_before_the_old_node_goes() {
        let nodes = Nodes::from([(key("a"), node(1, 0))]);
        let changed = wanted(&[("a", 2)]);
        assert_eq!(unwanted(&nodes, &changed), []);
        let payload = record(2).encode();
        assert_eq!(missing(&nodes, &changed), [Missing { key: key("a"), payload }]);
    }

    #[test]
    fn what_is_no_longer_wanted_goes() {
        let nodes = Nodes::from([(key("a"), node(1, 0)), (key("b"), node(2, 1))]);
        assert_eq!(unwanted(&nodes, &wanted(&[("b", 2)])), [key("a")]);
    }

    #[test]
    fn an_unknown_node_is_adopted_only_for_a_record_that_lacks_one() {
        let lacking = missing(&Nodes::new(), &wanted(&[("a", 1)]));
        let unknown = node(1, 7);
        assert_eq!(adopter(&unknown.path, &unknown.payload, &lacking), Some(key("a")));
        assert_eq!(adopter(&unknown.path, &record(9).encode(), &lacking), None);
        assert_eq!(adopter(&unknown.path, &unknown.payload, &[]), None);
        let elsewhere = "/nerve/region:x/web.main/h_0000000001";
        assert_eq!(adopter(elsewhere, &unknown.payload, &lacking), None);
    }

    #[test]
    fn a_node_is_missed_only_after_it_was_seen() {
        let mut nodes = Nodes::from([(key("a"), node(1, 0))]);
        let observed = |znodes: &[&str]| {
            let seen = |z: &&str| SeenRecord::new((*z).to_owned(), record(1));
            let listing = Listing {
                records: Arc::new(znodes.iter().map(seen).collect()),
                refused: Vec::new(),
                generation: 1,
                session: 0,
                read_at: SystemTime::UNIX_EPOCH,
            };
            let namespaces = [("web.main".parse().unwrap(), Arc::new(listing))].into();
            Observed { connected: true, namespaces }
        };
        let path = node(1, 0).path;
        assert!(!has_vanished(&mut nodes, &Observed::default()));
        assert!(!has_vanished(&mut nodes, &observed(&[])), "not read yet");
        assert!(!has_vanished(&mut nodes, &observed(&[&path])));
        assert!(has_vanished(&mut nodes, &observed(&[])));
        assert!(!has_vanished(&mut nodes, &observed(&[])), "said once");
    }

    #[test]
    fn what_the_synapse_wing_does_not_read_is_for_the_lookout() {
        let v1 = RecordKey { parent: "/nerve/region:x/web.main".parse().unwrap(), ..key("a") };
        let old = Node { path: "/nerve/region:x/web.main/h_0000000000".to_owned(), ..node(1, 0) };
        let nodes = Nodes::from([(key("a"), node(1, 0)), (v1, old.clone())]);
        let settings = Settings::new("zk1".parse().unwrap(), "h".to_owned(), "/".into());
        assert_eq!(unread(&nodes, &Observed::default(), &settings).len(), 2);
        let listing = Listing {
            records: Arc::default(),
            refused: Vec::new(),
            generation: 1,
            session: 0,
            read_at: SystemTime::UNIX_EPOCH,
        };
        let namespaces = [("web.main".parse().unwrap(), Arc::new(listing))].into();
        let observed = Observed { connected: true, namespaces };
        assert_eq!(unread(&nodes, &observed, &settings), [old.path].into());
    }

    #[test]
    fn an_overlong_payload_is_never_sent() {
        assert_eq!(refusal(&[0; MAX_PAYLOAD]), None);
        assert_eq!(refusal(&[0; MAX_PAYLOAD + 1]).unwrap(), "payload of 65537 bytes is too long");
    }
}
