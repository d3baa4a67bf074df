//! What soa-configs, deployments.json and the autoscaler ask of each instance, and what of that is new.

use std::collections::{BTreeMap, BTreeSet};

use soa_configs::{
    documents::Documents,
    load::{self, Kind},
    tree::Unreadable,
};
use tokio::task::JoinError;

use super::queue::Name;
use crate::{
    deploy::{guard::Before, pass::Deployer, sight::Listing, verdict::Verdict},
    marathon::running::RunningApp,
};

/// What an instance is to be, as far as a change of it means work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    pub id: String,
    pub count: u32,
    pub shard: usize,
    /// Lower ones first.
    pub priority: i64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub aims: BTreeMap<Name, Aim>,
    /// Instances with a fault, which the pass over them tells.
    pub faulty: BTreeMap<Name, Verdict>,
    /// A line for each file that cannot be read. What was read of it before stands.
    pub broken: Vec<String>,
}

impl Scan {
    /// Looks at all services again. The second result is an error when soa-configs cannot be listed.
    ///
    /// # Errors
    /// When the thread that reads them has failed.
    pub async fn look(
        deployer: &Deployer<'_>,
        mut documents: Documents,
    ) -> Result<(Documents, Result<Self, Unreadable>), JoinError> {
        let looked = tokio::task::spawn_blocking(move || {
            let look = documents.refresh();
            (documents, look)
        });
        let (documents, look) = looked.await?;
        if let Err(error) = look {
            return Ok((documents, Err(error)));
        }
        let broken = documents.problems().map(|problem| problem.one_line.clone()).collect();
        let mut scan = Self { broken, ..Self::default() };
        for (service, files) in documents.services() {
            for name in load::names(files, Kind::Marathon, deployer.cluster) {
                let key = (service.to_owned(), name.to_owned());
                match deployer.wanted(files, service, name).await {
                    Ok(wanted) => {
                        let priority = wanted.config.bounce_priority().unwrap_or(0);
                        let aim = Aim {
                            id: wanted.app.id,
                            count: wanted.count,
                            shard: wanted.shard,
                            priority: priority.saturating_neg(),
                        };
                        scan.aims.insert(key, aim);
                    }
                    Err(verdict) if verdict == Verdict::nothing() => {}
                    Err(verdict) => drop(scan.faulty.insert(key, verdict)),
                }
            }
        }
        Ok((documents, Ok(scan)))
    }

    /// Instances that are to be something else than in an earlier scan, or are wrong in another way.
    #[must_use]
    pub fn changed(&self, before: &Self) -> BTreeSet<Name> {
        let aims = self.aims.iter().filter(|(name, aim)| before.aims.get(*name) != Some(aim));
        let faulty =
            self.faulty.iter().filter(|(name, fault)| before.faulty.get(*name) != Some(fault));
        aims.map(|(name, _)| name).chain(faulty.map(|(name, _)| name)).cloned().collect()
    }

    /// Whether an instance is asked for.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        self.aims.contains_key(name) || self.faulty.contains_key(name)
    }

    /// Whether all instances of another scan are asked for here, too.
    #[must_use]
    pub fn has_all_of(&self, before: &Self) -> bool {
        before.aims.keys().chain(before.faulty.keys()).all(|name| self.has(name))
    }

    /// Instances that Marathon does not have as they are to be.
    #[must_use]
    pub fn unmet(&self, listing: &Listing) -> BTreeSet<Name> {
        let is_met = |((service, name), aim): &(&Name, &Aim)| {
            let is_it = |app: &RunningApp| {
                app.id.trim_start_matches('/') == aim.id
                    && app.shard == aim.shard
                    && app.instances == aim.count
            };
            matches!(listing.named(service, name), [app] if is_it(app))
        };
        let unmet = self.aims.iter().filter(|one| !is_met(one)).map(|(name, _)| name.clone());
        unmet.chain(self.faulty.keys().cloned()).collect()
    }

    /// For [`crate::deploy::guard::within`].
    pub fn before<'s>(&'s self, listing: &'s Listing) -> impl Iterator<Item = Before> + 's {
        self.aims.iter().map(|((service, name), aim)| Before {
            running: listing.named(service, name).iter().map(|app| app.tasks.len()).sum(),
            want: aim.count,
        })
    }
}
