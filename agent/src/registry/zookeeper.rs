//! The registry in ZooKeeper, for a fleet.
//!
//! Tasks, what each owns, and how they meet:
//!
//! - `session::keep` owns one session: it opens it, follows its state and replaces a client that backs
//!   off too long. Out: a `watch` of the open session, `None` while there is no connection.
//! - `ensembles` divides `Wanted` between the ensembles, each with a publisher and a record session of
//!   its own, and merges what comes of it. In: `Wanted`. Out: `Published`.
//! - `publish` owns our znodes in one ensemble. In: its share of `Wanted`, and the record session, which
//!   holds no watches (crates.md §3.3 rule 1). Out: its `Published`.
//! - `lookout` watches those of our znodes that nobody reads here. In: their paths. Out: which are gone.
//! - `observe::run` owns `Observed`. It starts one `namespace::follow` for each namespace, and a
//!   watching session for every 96 KiB of watched paths (rule 2).

mod budget;
mod ensembles;
mod leftovers;
mod lookout;
mod namespace;
mod observe;
mod operation;
mod payloads;
mod plan;
mod publish;
pub mod security;
mod session;
mod share;
mod turns;
mod write;

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use soa_configs::Place;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::security::Security;
use super::{Ensemble, Inputs, Outputs, Source};
use crate::tally::Tally;

/// What becomes of our records when the agent stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStop {
    /// The session is left to linger until ZooKeeper expires it, so that a restart leaves no gap.
    #[default]
    Keep,
    /// The records are deleted before the agent ends.
    Withdraw,
}

/// How to reach ZooKeeper and how to behave towards it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry that is read, and that holds our records if these do not name another one.
    pub ensemble: Ensemble,
    /// How to reach it, `host:port,host:port`. Default: as it is named.
    pub hosts: String,
    /// Where writes are counted. Default: nowhere that anybody looks.
    pub tally: Tally,
    /// A znode under which all paths stand; made if missing. Default: none.
    pub chroot: Option<String>,
    /// Asked for; the server may give less. Default: 30 s.
    pub session_timeout: Duration,
    /// A connection that is silent for so long is given up. Default: 3 s.
    pub connection_timeout: Duration,
    /// The `name` of our records and the first part of their znodes.
    pub instance_id: String,
    /// Holds `sessions.json`: which sessions were ours before a restart.
    pub state_dir: PathBuf,
    /// Where records are read. Default: v2.
    pub read: Source,
    /// The places to read, for v1. Default: none.
    pub read_places: Vec<Place>,
    /// Default: keep.
    pub on_stop: OnStop,
    /// How often our znodes are checked for existence. Default: 5 s.
    pub verify_every: Duration,
    /// How often each namespace is read in full, because data may change in place. Default: 60 s.
    pub reread_every: Duration,
    /// In each ensemble; deletions are not limited. Default: 500.
    pub creates_per_second: NonZeroU32,
    /// How long the session of a further ensemble stays open without a record there. Default: 60 s.
    pub close_idle_after: Duration,
    /// How we log in, and who may change what we write; the same in every ensemble. Default: plain
    /// connections, and open to all.
    pub security: Security,
    /// The ensemble is older than ZooKeeper 3.5. Default: no.
    pub legacy_server: bool,
}

impl Settings {
    /// Defaults for everything but the essentials.
    #[must_use]
    pub fn new(ensemble: Ensemble, instance_id: String, state_dir: PathBuf) -> Self {
        Self {
            hosts: ensemble.to_string(),
            ensemble,
            tally: Tally::default(),
            chroot: None,
            session_timeout: Duration::from_secs(30),
            connection_timeout: Duration::from_secs(3),
            instance_id,
            state_dir,
            read: Source::V2,
            read_places: Vec::new(),
            on_stop: OnStop::default(),
            verify_every: Duration::from_secs(5),
            reread_every: Duration::from_secs(60),
            creates_per_second: NonZeroU32::MIN.saturating_add(499),
            close_idle_after: Duration::from_secs(60),
            security: Security::default(),
            legacy_server: false,
        }
    }
}

/// Keeps ZooKeeper and the rest of the agent in step until `stop`.
///
/// Returns early only if a part of it has failed, which never leaves the other parts running.
pub async fn run(settings: Settings, inputs: Inputs, outputs: Outputs, stop: CancellationToken) {
    let users = stop.child_token();
    let observed = outputs.observed.subscribe();
    let publishers = ensembles::Ensembles::new(
        settings.clone(),
        inputs.wanted,
        observed,
        outputs.published,
        users.child_token(),
    );
    let observer = observe::Observer::new(
        settings,
        inputs.namespaces,
        inputs.reread,
        outputs.observed,
        users.clone(),
    );
    let mut wings = JoinSet::new();
    wings.spawn(publishers.run());
    wings.spawn(observer.run());
    // The first one to end, asked or not, ends the other as well.
    while let Some(ended) = wings.join_next().await {
        users.cancel();
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the registry has failed");
        }
    }
}
