//! Which group of Marathon servers an instance belongs to (marathon-sync.md §9).

use soa_configs::{
    ids::rendezvous,
    load::Instance,
    marathon::{ConfigError, MarathonConfig},
    paasta::{MarathonServer, Settings},
};

/// Why an instance has no group of servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoShard {
    #[error("`marathon_servers` of the system configuration names no Marathon")]
    None,
    #[error("marathon_shard is {0}, and `marathon_servers` has {1} groups")]
    OutOfRange(i64, usize),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// All groups of servers, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards<'s> {
    all: Vec<&'s MarathonServer>,
    /// Of each current group, its place in `all`.
    current: Vec<usize>,
}

impl<'s> Shards<'s> {
    /// The current groups and the previous ones, without those that share a server with one before.
    #[must_use]
    pub fn of(settings: &'s Settings) -> Self {
        let mut shards = Self { all: Vec::new(), current: Vec::new() };
        for server in &settings.marathon_servers {
            let at = shards.place(server);
            shards.current.push(at);
        }
        for server in &settings.previous_marathon_servers {
            shards.place(server);
        }
        shards
    }

    fn place(&mut self, server: &'s MarathonServer) -> usize {
        let shares =
            |other: &&MarathonServer| other.urls.iter().any(|url| server.urls.contains(url));
        let known = self.all.iter().position(shares);
        known.unwrap_or_else(|| {
            self.all.push(server);
            self.all.len() - 1
        })
    }

    #[must_use]
    pub fn all(&self) -> &[&'s MarathonServer] {
        &self.all
    }

    /// Where the app of an instance is to be: its place in [`Self::all`].
    ///
    /// # Errors
    /// When there is no group, or not the one that is asked for.
    pub fn current(&self, instance: &Instance, config: &MarathonConfig) -> Result<usize, NoShard> {
        let count = self.current.len();
        let chosen = match config.marathon_shard()? {
            Some(asked) => {
                let index = usize::try_from(asked).ok().filter(|index| *index < count);
                index.ok_or(NoShard::OutOfRange(asked, count))?
            }
            None => rendezvous(count, &instance.to_string()).ok_or(NoShard::None)?,
        };
        self.current.get(chosen).copied().ok_or(NoShard::None)
    }
}
