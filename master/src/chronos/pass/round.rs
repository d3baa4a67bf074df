//! Everything that is to be done about Chronos, from one listing.

use std::collections::HashSet;

use jiff::Zoned;

use super::{Allowed, Checked, Cleaned, Deployed, Pass, told};
use crate::chronos::{JobName, sync::Done};

/// How it went.
#[derive(Debug, Default)]
pub struct Round {
    /// Jobs that Chronos had. `None`: it did not tell.
    pub listed: Option<usize>,
    pub deployed: Deployed,
    pub cleaned: Cleaned,
    pub checked: Checked,
    /// What went wrong with none of the three.
    pub complaints: Vec<String>,
}

impl Round {
    /// Nothing is left to be done, and nothing was refused.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.listed.is_some()
            && self.deployed.is_fine
            && self.cleaned.is_fine
            && self.checked.is_fine
            && self.complaints.is_empty()
    }

    /// A line for everything that is not as it should be.
    pub fn complaints(&self) -> impl Iterator<Item = &String> {
        let parts = [&self.deployed.complaints, &self.cleaned.complaints, &self.checked.complaints];
        self.complaints.iter().chain(parts.into_iter().flatten())
    }
}

impl Pass<'_> {
    /// Writes what is new or changed, removes what is nobody's, and looks how the last runs went.
    pub async fn round(self, allowed: Allowed, now: &Zoned) -> Round {
        let mut telling = self.telling();
        let mut round = Round::default();
        match self.list(&mut telling).await {
            Ok(listed) => {
                round.listed = Some(listed.len());
                let wanted = self.soa.make(self.soa.names(), now);
                round.deployed = self.deploy_beside(wanted, &listed, &mut telling).await;
                let is_gone = |done: &Done| matches!(done, Done::Gone(_));
                // Of a Chronos that has gone meanwhile enough is told.
                if !round.deployed.jobs.values().any(is_gone) {
                    let now = now.timestamp();
                    self.clean(&listed, allowed, now, &mut telling, &mut round.cleaned).await;
                    // The listing does not have those that have just been created.
                    let new = round.deployed.written.iter().filter(|write| write.is_new);
                    let new: HashSet<&JobName> = new.map(|write| &write.name).collect();
                    let names = self.soa.names().filter(|name| !new.contains(name));
                    round.checked = self.check_beside(names, &listed, now, &mut telling).await;
                }
            }
            Err(error) => round.complaints.push(told(error)),
        }
        self.finish(telling, &mut round.complaints).await;
        round
    }
}
