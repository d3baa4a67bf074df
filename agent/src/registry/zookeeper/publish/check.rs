//! Finding out what the server has of our session.

use tracing::{debug, warn};
use zookeeper_client::Error;

use super::{
    super::{
        Settings,
        operation::{bounded, is_answer},
        plan::{self, Node},
        session::Session,
        write::owned,
    },
    Publisher,
};
use crate::registry::Wanted;

impl Publisher {
    /// Compares what the server has of our session with what we think it has.
    pub(super) async fn check(&mut self, session: &Session, wanted: &Wanted) -> Result<(), Error> {
        let Settings { instance_id, legacy_server, .. } = &self.settings;
        let known = self.nodes.values().map(|node| node.path.clone()).collect();
        let parents = wanted.records.keys().map(|key| key.parent.clone()).collect();
        let mut ours = owned(&session.client, instance_id, known, parents, *legacy_server).await?;
        self.nodes.retain(|key, node| {
            let there = ours.remove(&node.path);
            if !there {
                warn!(path = node.path, task = %key.task, "record has vanished");
            }
            there
        });
        for path in ours.into_iter().filter(|path| !self.doomed.contains(path)).collect::<Vec<_>>()
        {
            self.adopt_or_doom(session, wanted, path).await?;
        }
        Ok(())
    }

    async fn adopt_or_doom(
        &mut self,
        session: &Session,
        wanted: &Wanted,
        path: String,
    ) -> Result<(), Error> {
        let payload = match bounded(session.client.get_data(&path)).await {
            Ok((payload, _)) => payload,
            Err(Error::NoNode) => return Ok(()),
            // Unreadable, so it is of no use to anybody.
            Err(error) if is_answer(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        match plan::adopter(&path, &payload, &plan::missing(&self.nodes, wanted)) {
            Some(key) => {
                debug!(path, "record was written after all");
                self.stand(key, Node { path, payload, seen: false });
            }
            None => {
                self.doomed.insert(path);
            }
        }
        Ok(())
    }
}
