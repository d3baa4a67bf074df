//! Who disappears from ZooKeeper, without gaps between two looks.

use zookeeper_client::{
    Acls, AddWatchMode, Client, CreateMode, Error, EventType, PersistentWatcher, SessionState,
};

/// Marks the end of what is to be read.
const END: &str = "/end-of-watch";

/// Every deletion in a ZooKeeper server, from now on.
#[derive(Debug)]
pub struct Deletions {
    client: Client,
    events: PersistentWatcher,
}

impl Deletions {
    /// # Errors
    /// When the server does not answer.
    pub async fn watch(client: &Client) -> Result<Self, Error> {
        let events = client.watch("/", AddWatchMode::PersistentRecursive).await?;
        Ok(Self { client: client.clone(), events })
    }

    /// Paths that were deleted until now.
    ///
    /// # Errors
    /// When the server does not answer, or the watch had a gap.
    pub async fn end(mut self) -> Result<Vec<String>, Error> {
        let mode = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        self.client.create(END, b"", &mode).await?;
        let mut deleted = Vec::new();
        loop {
            let event = self.events.changed().await;
            match event.event_type {
                EventType::NodeCreated if event.path == END => return Ok(deleted),
                EventType::NodeDeleted => deleted.push(event.path),
                EventType::Session if event.session_state != SessionState::SyncConnected => {
                    return Err(Error::ConnectionLoss);
                }
                _ => {}
            }
        }
    }
}
