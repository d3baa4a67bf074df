//! Single operations: each with a deadline, each outcome sorted by what the caller may assume.

use std::{future::Future, time::Duration};

use tokio::time;
use zookeeper_client::{Client, Error};

use super::security::Access;

/// Longer than any connection timeout in use, so a dead connection reports itself first.
const DEADLINE: Duration = Duration::from_secs(5);

/// After a lost session or connection every host of a fleet has much to read and to write: each begins
/// within this time, at random.
pub(super) const SPREAD: Duration = Duration::from_millis(500);

/// How many operations one task has on the wire at once.
pub(super) const PIPELINE: usize = 64;

/// Bounds an operation; `Error::Timeout` says that its outcome is unknown.
pub(super) async fn bounded<T>(
    operation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    time::timeout(DEADLINE, operation).await.unwrap_or(Err(Error::Timeout))
}

/// Whether the server has answered, so that the outcome is known and is a failure.
///
/// Everything else (a lost connection, an I/O error, an expired session that may yet be resumed) leaves
/// open whether the operation has been or will be carried out (crates.md §3.2).
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::NoNode
            | Error::NodeExists
            | Error::NoAuth
            | Error::BadVersion
            | Error::NotEmpty
            | Error::InvalidAcl
            | Error::BadArguments(_)
            | Error::QuotaExceeded
            | Error::Unimplemented
            | Error::NoChildrenForEphemerals
            | Error::MarshallingError
            | Error::NotReadOnly
    )
}

/// Makes a parent of records and what is missing above it, with empty data.
pub(super) async fn make_parent(client: &Client, access: Access, path: &str) -> Result<(), Error> {
    bounded(client.mkdir(path, &access.parent())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_operation_without_an_answer_ends_as_unknown() {
        let outcome = bounded(std::future::pending::<Result<(), Error>>()).await;
        assert_eq!(outcome, Err(Error::Timeout));
        assert!(!is_answer(&Error::Timeout) && !is_answer(&Error::ConnectionLoss));
        assert!(is_answer(&Error::NoNode));
    }
}
