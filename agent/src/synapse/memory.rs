//! The last believed listings on disk, so that a start without a registry changes nothing.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use soa_configs::Namespace;

use crate::{
    atomic_file,
    registry::{Listing, Record, SeenRecord, Source},
};

/// Listings by namespace.
pub type Listings = BTreeMap<Namespace, Arc<Listing>>;

/// Far above a fleet of 30,000 records; a larger file is not ours.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct File {
    saved_at: u64,
    /// What was read from one source says nothing of another: `v1`, `v2` or `both`.
    layout: String,
    /// Namespace → znode → payload, as in the registry.
    namespaces: BTreeMap<Namespace, BTreeMap<String, String>>,
}

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the catalog of before")]
    Read(#[source] std::io::Error),
    #[error("the catalog of before is {0} bytes long")]
    TooLarge(u64),
    #[error("the catalog of before is not what this program writes")]
    Parse(#[source] serde_json::Error),
    #[error("cannot save the catalog")]
    Write(#[source] atomic_file::Error),
}

/// Reads what was saved, with its age, and clears away what a killed process left half written. A
/// missing file is an empty memory.
///
/// # Errors
/// When the file is there and cannot be understood; the caller starts without it.
pub fn load(path: &Path, source: Source, now: SystemTime) -> Result<(Listings, Duration), Error> {
    atomic_file::remove_leftovers(path);
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((Listings::new(), Duration::ZERO));
        }
        Err(error) => return Err(Error::Read(error)),
        Ok(meta) if meta.len() > MAX_BYTES => return Err(Error::TooLarge(meta.len())),
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(Error::Read)?;
    let file: File = serde_json::from_slice(&bytes).map_err(Error::Parse)?;
    if file.layout != source.to_string() {
        return Ok((Listings::new(), Duration::ZERO));
    }
    let saved_at = UNIX_EPOCH + Duration::from_secs(file.saved_at);
    let listing = |children: BTreeMap<String, String>| {
        let records = children.into_iter().filter_map(|(znode, payload)| {
            let record = Record::decode(payload.as_bytes()).ok()?;
            Some(SeenRecord::new(znode, record))
        });
        let records = Arc::new(records.collect());
        Arc::new(Listing {
            records,
            refused: Vec::new(),
            generation: 0,
            session: 0,
            read_at: saved_at,
        })
    };
    let listings = file.namespaces.into_iter().map(|(name, c)| (name, listing(c))).collect();
    Ok((listings, now.duration_since(saved_at).unwrap_or_default()))
}

/// Saves `listings` atomically. Blocking.
///
/// # Errors
/// When the disk refuses.
pub fn save(
    path: &Path,
    source: Source,
    listings: &Listings,
    now: SystemTime,
) -> Result<(), Error> {
    let children = |listing: &Arc<Listing>| {
        let entry = |s: &SeenRecord| {
            (s.znode.clone(), String::from_utf8_lossy(&s.record.encode()).into_owned())
        };
        listing.records.iter().map(entry).collect()
    };
    let file = File {
        saved_at: now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        layout: source.to_string(),
        namespaces: listings.iter().map(|(name, l)| (name.clone(), children(l))).collect(),
    };
    let bytes = serde_json::to_vec(&file).map_err(Error::Parse)?;
    atomic_file::write(path, &bytes).map_err(Error::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_comes_back_with_its_age() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        let payload =
            br#"{"host":"10.0.0.1","port":31001,"name":"host1","labels":{"region:a":""}}"#;
        let record = Record::decode(payload).unwrap();
        let records = Arc::new(vec![SeenRecord::new("host1_0000000001".to_owned(), record)]);
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let listing =
            Listing { records, refused: Vec::new(), generation: 0, session: 0, read_at: at };
        let saved = Listings::from([("web.main".parse().unwrap(), Arc::new(listing))]);
        save(&path, Source::V2, &saved, at).unwrap();
        let later = at + Duration::from_secs(90);
        assert_eq!(load(&path, Source::V2, later).unwrap(), (saved, Duration::from_secs(90)));
        assert!(load(&path, Source::V1, later).unwrap().0.is_empty());
    }

    #[test]
    fn a_missing_file_is_empty_and_a_broken_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        assert!(load(&path, Source::V2, SystemTime::now()).unwrap().0.is_empty());
        atomic_file::write(&path, b"{\"half\":").unwrap();
        assert!(load(&path, Source::V2, SystemTime::now()).is_err());
    }
}
