//! Carries out what was decided about our znodes.

use std::{collections::BTreeSet, time::Instant};

use futures_util::{StreamExt, stream};
use zookeeper_client::{Client, Error};

use super::{
    operation::{PIPELINE, bounded, make_parent},
    plan::Missing,
    security::Access,
};
use crate::{
    registry::{
        Ensemble, ParentPath,
        layout::{child_prefix, is_named_by},
    },
    tally::{Action, Tally},
};

/// Creates records, up to [`PIPELINE`] at once, and says the path or the error of each.
pub(super) async fn create_all(
    client: &Client,
    access: Access,
    instance_id: &str,
    missing: Vec<Missing>,
    tally: &Tally,
) -> Vec<(Missing, Result<String, Error>)> {
    let prefix = child_prefix(instance_id);
    let create = async |missing: Missing| {
        let begun = Instant::now();
        let created = create(client, access, &missing.key.parent, &prefix, &missing.payload).await;
        let path = missing.key.parent.child(&prefix);
        let ensemble = &missing.key.ensemble;
        tally.wrote(ensemble, &path, Action::Create, begun.elapsed(), created.is_ok());
        (missing, created)
    };
    stream::iter(missing).map(create).buffer_unordered(PIPELINE).collect().await
}

async fn create(
    client: &Client,
    access: Access,
    parent: &ParentPath,
    prefix: &str,
    payload: &[u8],
) -> Result<String, Error> {
    let path = parent.child(prefix);
    let created = match bounded(client.create(&path, payload, &access.record())).await {
        Err(Error::NoNode) => {
            make_parent(client, access, parent.as_str()).await?;
            bounded(client.create(&path, payload, &access.record())).await
        }
        created => created,
    };
    created.map(|(_, sequence)| format!("{path}{sequence}"))
}

/// Deletes nodes, up to [`PIPELINE`] at once. One that is gone already counts as deleted.
pub(super) async fn delete_all(
    client: &Client,
    paths: Vec<String>,
    ensemble: &Ensemble,
    tally: &Tally,
) -> Vec<(String, Result<(), Error>)> {
    let delete = async |path: String| {
        let begun = Instant::now();
        let deleted = match bounded(client.delete(&path, None)).await {
            Err(Error::NoNode) => Ok(()),
            deleted => deleted,
        };
        tally.wrote(ensemble, &path, Action::Delete, begun.elapsed(), deleted.is_ok());
        (path, deleted)
    };
    stream::iter(paths).map(delete).buffer_unordered(PIPELINE).collect().await
}

/// The nodes of our session, as the leader knows them.
///
/// One request on servers since 3.6. Older ones are asked about each of `known`, and about every child
/// under `parents` that is named like ours.
pub(super) async fn owned(
    client: &Client,
    instance_id: &str,
    known: BTreeSet<String>,
    parents: BTreeSet<ParentPath>,
    legacy: bool,
) -> Result<BTreeSet<String>, Error> {
    bounded(client.sync("/")).await?;
    if !legacy {
        match bounded(client.list_ephemerals("/")).await {
            Err(Error::Unimplemented) => {}
            listed => return Ok(listed?.into_iter().collect()),
        }
    }
    let mut paths = known;
    for parent in parents {
        paths.extend(children_named_by(client, &parent, instance_id).await?);
    }
    let owner = client.session_id().0;
    let ours = async |path: String| {
        let stat = bounded(client.check_stat(&path)).await?;
        Ok(stat.is_some_and(|stat| stat.ephemeral_owner == owner).then_some(path))
    };
    let found: Vec<Result<Option<String>, Error>> =
        stream::iter(paths).map(ours).buffer_unordered(PIPELINE).collect().await;
    found.into_iter().filter_map(Result::transpose).collect()
}

/// The paths of the children that bear this host's name; none if there is no such parent, or if it may
/// not be read, which must not hold up the others.
pub(super) async fn children_named_by(
    client: &Client,
    parent: &ParentPath,
    instance_id: &str,
) -> Result<Vec<String>, Error> {
    let mut children = match bounded(client.list_children(parent.as_str())).await {
        Err(Error::NoNode | Error::NoAuth) => return Ok(Vec::new()),
        listed => listed?,
    };
    children.retain(|child| is_named_by(child, instance_id));
    Ok(children.into_iter().map(|child| parent.child(&child)).collect())
}
