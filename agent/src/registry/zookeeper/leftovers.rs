//! Records that earlier sessions of this host left behind.
//!
//! A restart begins a new session, and so does an expiry; the nodes of the one before may linger until
//! ZooKeeper expires it. Each goes as soon as a new record stands in its place, or nobody wants one.
//! Nodes of any other session are never touched: an old nerve beside us writes the same names.

mod ledger;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use futures_util::{StreamExt, stream};
use tracing::{debug, info};
use zookeeper_client::{Client, Error};

pub(super) use self::ledger::Ledger;
use super::{
    operation::{PIPELINE, bounded},
    plan::Nodes,
    write::{children_named_by, delete_all},
};
use crate::registry::{Ensemble, ParentPath, Record, Spot, Wanted};
use crate::tally::Tally;

/// A node of an earlier session of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leftover {
    parent: ParentPath,
    owner: i64,
    /// What it registers; `None` if that cannot be read.
    server: Option<(IpAddr, u16)>,
}

/// Knows our earlier sessions in one ensemble and what is left of them.
#[derive(Debug)]
pub(super) struct Leftovers {
    ledger: Ledger,
    instance_id: String,
    tally: Tally,
    /// By path, as of the last search.
    found: BTreeMap<String, Leftover>,
    searched: bool,
}

impl Leftovers {
    /// `ledger` says what earlier lives of this host noted of the ensemble.
    pub(super) fn new(ledger: Ledger, instance_id: String, tally: Tally) -> Self {
        Self { ledger, instance_id, tally, found: BTreeMap::new(), searched: false }
    }

    /// Notes that `session` is about to create nodes under `parents`; on disk when this returns.
    pub(super) async fn note(&mut self, session: i64, parents: BTreeSet<ParentPath>) {
        self.ledger.note(session, parents).await;
    }

    /// Notes that a session is over, so that its nodes are looked for.
    pub(super) fn retire(&mut self, session: i64) {
        self.ledger.retire(session);
        self.search_again();
    }

    /// Whether an earlier session may have left something.
    pub(super) fn are_sought(&self) -> bool {
        !self.ledger.earlier().is_empty()
    }

    /// Notes that nothing of a session is left.
    pub(super) async fn forget(&mut self, session: i64) {
        self.ledger.retire(session);
        self.ledger.forget_all_but(&BTreeSet::new()).await;
    }

    /// Asks for a new search in the next pass.
    pub(super) fn search_again(&mut self) {
        self.searched = false;
    }

    /// Searches, if it is time to, and deletes what may go by now.
    ///
    /// # Errors
    /// When the search did not come to its end; what was found before is kept.
    pub(super) async fn pass(
        &mut self,
        client: &Client,
        wanted: &Wanted,
        nodes: &Nodes,
    ) -> Result<(), Error> {
        let owners = self.ledger.earlier();
        if owners.is_empty() {
            return Ok(());
        }
        if !self.searched {
            let mut parents = self.ledger.parents_of_earlier();
            parents.extend(wanted.records.keys().map(|key| key.parent.clone()));
            self.found = search(client, &self.instance_id, parents, &owners).await?;
            self.searched = true;
            self.forget_empty().await;
        }
        let ensemble = self.ledger.ensemble();
        let may_go = |leftover: &Leftover| may_go(leftover, ensemble, wanted, nodes);
        let paths: Vec<String> =
            self.found.iter().filter(|(_, l)| may_go(l)).map(|(path, _)| path.clone()).collect();
        if paths.is_empty() {
            return Ok(());
        }
        for (path, deleted) in delete_all(client, paths, ensemble, &self.tally).await {
            match deleted {
                Ok(()) => {
                    debug!(path, "record of an earlier session removed");
                    self.found.remove(&path);
                }
                // It goes with its session at the latest.
                Err(error) => debug!(path, %error, "record of an earlier session not removed"),
            }
        }
        self.forget_empty().await;
        Ok(())
    }

    async fn forget_empty(&mut self) {
        let owners: BTreeSet<i64> = self.found.values().map(|leftover| leftover.owner).collect();
        for session in self.ledger.forget_all_but(&owners).await {
            info!(session = format_args!("{session:#x}"), "earlier session has no records left");
        }
    }
}

/// Whether nothing is lost without it: a new record of ours stands for the same server, or, once the
/// nerve wing knows everything, there is no such server any more.
fn may_go(leftover: &Leftover, ensemble: &Ensemble, wanted: &Wanted, nodes: &Nodes) -> bool {
    let Some((host, port)) = leftover.server else { return wanted.complete };
    let wish = wanted.records.iter().find(|(key, record)| {
        key.parent == leftover.parent && (record.host, record.port) == (host, port)
    });
    match wish {
        Some((key, record)) => nodes.get(key).is_some_and(|node| node.payload == record.encode()),
        None => {
            let (ensemble, parent) = (ensemble.clone(), leftover.parent.clone());
            wanted.complete && !wanted.undecided.contains(&Spot { ensemble, parent, host, port })
        }
    }
}

async fn search(
    client: &Client,
    instance_id: &str,
    parents: BTreeSet<ParentPath>,
    owners: &BTreeSet<i64>,
) -> Result<BTreeMap<String, Leftover>, Error> {
    // The server at hand may lag behind the one that the earlier session wrote to.
    bounded(client.sync("/")).await?;
    let list = async |parent: ParentPath| {
        let paths = children_named_by(client, &parent, instance_id).await?;
        Ok(paths.into_iter().map(|path| (parent.clone(), path)).collect())
    };
    let lists: Vec<Result<Vec<_>, Error>> =
        stream::iter(parents).map(list).buffer_unordered(PIPELINE).collect().await;
    let children: Vec<_> = lists.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let read = async |(parent, path): (ParentPath, String)| {
        let (payload, stat) = match bounded(client.get_data(&path)).await {
            Err(Error::NoNode | Error::NoAuth) => return Ok(None),
            read => read?,
        };
        let server = Record::decode(&payload).ok().map(|record| (record.host, record.port));
        let leftover = Leftover { parent, owner: stat.ephemeral_owner, server };
        Ok(owners.contains(&leftover.owner).then_some((path, leftover)))
    };
    let found: Vec<Result<Option<_>, Error>> =
        stream::iter(children).map(read).buffer_unordered(PIPELINE).collect().await;
    found.into_iter().filter_map(Result::transpose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{RecordKey, TaskId, zookeeper::plan::Node};

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn parent() -> ParentPath {
        "/smartstack/global/web.main".parse().unwrap()
    }

    fn here() -> Ensemble {
        "zk1".parse().unwrap()
    }

    fn leftover() -> Leftover {
        Leftover { parent: parent(), owner: 1, server: Some((HOST, 80)) }
    }

    fn wish(complete: bool, port: u16) -> (Wanted, Nodes) {
        let key = RecordKey { ensemble: here(), parent: parent(), task: TaskId("new".into()) };
        let record = Record {
            host: HOST,
            port,
            name: "h".to_owned(),
            weight: None,
            haproxy_server_options: None,
            labels: None,
        };
        let path = parent().child("h_0000000009");
        let node = Node { path, payload: record.encode(), seen: false };
        let wanted =
            Wanted { complete, records: [(key.clone(), record)].into(), ..Wanted::default() };
        (wanted, [(key, node)].into())
    }

    #[test]
    fn it_goes_once_a_new_record_stands_in_its_place() {
        let (wanted, nodes) = wish(false, 80);
        assert!(may_go(&leftover(), &here(), &wanted, &nodes));
        assert!(!may_go(&leftover(), &here(), &wanted, &Nodes::new()), "not written yet");
    }

    #[test]
    fn it_goes_when_nobody_wants_it_but_not_before_everything_is_known() {
        let (wanted, nodes) = wish(true, 81);
        assert!(may_go(&leftover(), &here(), &wanted, &nodes));
        let (incomplete, nodes) = wish(false, 81);
        assert!(!may_go(&leftover(), &here(), &incomplete, &nodes));
    }

    #[test]
    fn it_stays_while_the_verdict_is_open() {
        let (mut wanted, nodes) = wish(true, 81);
        let (ensemble, parent) = (here(), parent());
        wanted.undecided.insert(Spot { ensemble, parent, host: HOST, port: 80 });
        assert!(!may_go(&leftover(), &here(), &wanted, &nodes));
    }

    #[test]
    fn an_unreadable_one_goes_once_everything_is_known() {
        let unreadable = Leftover { server: None, ..leftover() };
        let (wanted, nodes) = wish(true, 80);
        assert!(may_go(&unreadable, &here(), &wanted, &nodes));
        let (wanted, nodes) = wish(false, 80);
        assert!(!may_go(&unreadable, &here(), &wanted, &nodes));
    }
}
