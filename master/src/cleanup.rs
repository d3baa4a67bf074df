//! Which apps are of instances that nobody asks for any more (marathon-sync.md §16).
//!
//! Pure: ids and names go in.

use soa_configs::ids::JobId;

/// What a look at all apps comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale<'a, P> {
    /// Apps to remove, with the place where each is and their service and instance.
    pub apps: Vec<(&'a str, P, JobId)>,
    /// Ids that are no instance's; they are left alone and do not count.
    pub foreign: Vec<&'a str>,
    /// How many ids are some instance's.
    pub parsed: usize,
}

/// More is to be removed than may be without a person who says so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{stale} of {parsed} apps are of no instance in soa-configs, more than the share of {threshold} that may \
     be removed; nothing is removed. If that is meant, say --force"
)]
pub struct TooMany {
    pub stale: usize,
    pub parsed: usize,
    pub threshold: f64,
}

/// `ids` with a leading slash, and where each app is: two places may have apps of one id. `stands` says whether a
/// service and instance stand in soa-configs. Which version of an instance an app is does not matter.
#[must_use]
pub fn stale<'a, P>(
    ids: impl IntoIterator<Item = (&'a str, P)>,
    stands: impl Fn(&str, &str) -> bool,
) -> Stale<'a, P> {
    let mut found = Stale { apps: Vec::new(), foreign: Vec::new(), parsed: 0 };
    for (id, place) in ids {
        let name = id.trim_start_matches('/');
        // An app in a group is none of PaaSTA's.
        let job = if name.contains('/') { None } else { JobId::parse(name).ok() };
        let Some(job) = job else {
            found.foreign.push(id);
            continue;
        };
        found.parsed += 1;
        if !stands(&job.service, &job.instance) {
            found.apps.push((id, place, job));
        }
    }
    found
}

impl<P> Stale<'_, P> {
    /// # Errors
    /// When the share of apps to remove is above `threshold`; just as much is allowed.
    pub fn within(&self, threshold: f64) -> Result<(), TooMany> {
        let (stale, parsed) = (self.apps.len(), self.parsed);
        let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if stale > 0 && share(stale) / share(parsed) > threshold {
            return Err(TooMany { stale, parsed, threshold });
        }
        Ok(())
    }
}
