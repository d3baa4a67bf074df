//! What the next pass over Marathon would do.

use anyhow::Context;
use futures_util::{StreamExt, stream};
use paasta_master::{
    deploy::{
        guard,
        pass::{Deployer, Emptied, Looked},
        sight::{self, Listing},
    },
    difference::{self, Difference},
};
use serde_json::Value;
use soa_configs::documents::ServiceDocuments;

use super::show::Shown;
use crate::{Outcome, complain, of_instances::Gathered};

/// Instances that are looked at at once.
const AT_ONCE: usize = 8;

/// What is planned, as far as it could be found out.
pub(super) struct Planned {
    pub(super) words: String,
    pub(super) objects: Vec<Value>,
    pub(super) outcome: Outcome,
}

impl Planned {
    pub(super) fn nothing() -> Self {
        Self { words: String::new(), objects: Vec::new(), outcome: Outcome::Complete }
    }
}

/// Plans these instances of those that were gathered.
///
/// # Errors
/// When Marathon does not answer.
pub(super) async fn plan(
    gathered: &Gathered,
    instances: &[(String, String)],
) -> anyhow::Result<Planned> {
    let deployer = Deployer::new(&gathered.settings, &gathered.cluster, false);
    let deployer = deployer.context("synapse_haproxy_url_format")?;
    let emptied = Emptied::ask(&gathered.settings).await;
    let apps = Listing::of(sight::all_apps(&deployer.shards).await?);
    let looks = stream::iter(instances).map(async |(service, name)| {
        let files = gathered.files(service);
        let looked = match deployer.wanted(files, service, name).await {
            Ok(wanted) => {
                let own = apps.apps(&wanted);
                deployer.look(wanted, own, &emptied).await
            }
            Err(verdict) => Err(verdict),
        };
        let compared = match &looked {
            // Of a whole cluster, most are as they should be, and each comparison is a request.
            Ok(looked) if !gathered.are_all || !looked.is_steady() => {
                Some(compared(&deployer, looked, files).await)
            }
            _ => None,
        };
        (format!("{service}.{name}"), looked, compared)
    });
    let looks: Vec<_> = looks.buffered(AT_ONCE).collect().await;
    let mut outcome = if gathered.is_whole { Outcome::Complete } else { Outcome::Incomplete };
    let (mut words, mut objects, mut before) = (String::new(), Vec::new(), Vec::new());
    for (name, looked, compared) in looks {
        let looked = match looked {
            Ok(looked) => looked,
            Err(verdict) => {
                if verdict.has_failed || verdict.event.is_some() {
                    outcome = Outcome::Incomplete;
                }
                verdict.complaints.iter().for_each(|line| complain(&format!("{name}: {line}")));
                continue;
            }
        };
        looked.unheard.iter().for_each(|line| complain(line));
        before.push(looked.before());
        let is_told = compared.is_some();
        let compared = compared.transpose().unwrap_or_else(|error| {
            complain(&format!("{name}: cannot be compared with what runs: {error:#}"));
            outcome = Outcome::Incomplete;
            None
        });
        let (beside, differences) = compared.unzip();
        let beside = beside.flatten();
        let (name, looked) = (name.as_str(), &looked);
        let (beside, differences) = (beside.as_deref(), differences.as_deref());
        let shown = Shown { name, looked, beside, differences };
        if is_told {
            words.push_str(&looked.decided(|seen, step| shown.in_words(seen, step)));
        }
        objects.push(looked.decided(|seen, step| shown.in_json(seen, step)));
    }
    if gathered.are_all
        && let Err(refused) = guard::within(before, guard::MOST)
    {
        complain(&refused.to_string());
        outcome = Outcome::Incomplete;
    }
    Ok(Planned { words, objects, outcome })
}

/// The app that the wanted one is compared with, and how they differ.
async fn compared(
    deployer: &Deployer<'_>,
    looked: &Looked,
    files: &ServiceDocuments,
) -> anyhow::Result<(Option<String>, Vec<Difference>)> {
    let found = sight::definition(&deployer.shards, &looked.apps).await?;
    let differences = difference::of_app(found.as_ref(), &looked.wanted, files, deployer.settings)?;
    let id = found.and_then(|found| found.get("id")?.as_str().map(str::to_owned));
    Ok((id, differences))
}
