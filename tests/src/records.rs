//! What ZooKeeper holds of a namespace, in both layouts.

use std::collections::BTreeSet;

use serde_json::Value;
use zookeeper_client::Client;

use crate::{eventually, host::REGION};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

fn parents(region: &str, namespace: &str) -> [String; 2] {
    [format!("/smartstack/global/{namespace}"), format!("/nerve/region:{region}/{namespace}")]
}

/// Every record of a namespace: znode and the transaction that made it.
///
/// # Errors
/// When ZooKeeper does not answer.
pub async fn records(client: &Client, namespace: &str) -> Result<BTreeSet<(String, i64)>> {
    let mut found = BTreeSet::new();
    for parent in parents(REGION, namespace) {
        for child in client.list_children(&parent).await? {
            if let Some(stat) = client.check_stat(&format!("{parent}/{child}")).await? {
                found.insert((format!("{parent}/{child}"), stat.czxid));
            }
        }
    }
    Ok(found)
}

/// The ports that stand in the records of a namespace, in each layout, sorted.
///
/// # Errors
/// When a record cannot be understood.
pub async fn ports(client: &Client, namespace: &str) -> Result<[Vec<u64>; 2]> {
    ports_in(client, REGION, namespace).await
}

/// The same for records in another region.
///
/// # Errors
/// When a record cannot be understood.
pub async fn ports_in(client: &Client, region: &str, namespace: &str) -> Result<[Vec<u64>; 2]> {
    let mut both = [Vec::new(), Vec::new()];
    for (parent, ports) in parents(region, namespace).iter().zip(&mut both) {
        // What vanished between list and data may have been replaced: only a list that stood counts.
        *ports = loop {
            if let Some(read) = read(client, parent).await? {
                break read;
            }
        };
        ports.sort_unstable();
    }
    Ok(both)
}

/// None if a record vanished after it was listed.
async fn read(client: &Client, parent: &str) -> Result<Option<Vec<u64>>> {
    let children = match client.list_children(parent).await {
        Err(zookeeper_client::Error::NoNode) => return Ok(Some(Vec::new())),
        children => children?,
    };
    let mut ports = Vec::new();
    for child in children {
        let data = match client.get_data(&format!("{parent}/{child}")).await {
            Err(zookeeper_client::Error::NoNode) => return Ok(None),
            data => data?.0,
        };
        let payload: Value = serde_json::from_slice(&data)?;
        ports.push(payload["port"].as_u64().ok_or("a record without a port")?);
    }
    Ok(Some(ports))
}

/// Waits until a namespace has one record in each layout for each of these ports, and no others.
pub async fn until_exactly(client: &Client, namespace: &str, expected: &BTreeSet<u64>) {
    let expected: Vec<u64> = expected.iter().copied().collect();
    eventually(&format!("exactly {expected:?} are registered"), || async {
        let found = ports(client, namespace).await.map_err(|error| error.to_string())?;
        if found.iter().all(|layout| *layout == expected) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}
