//! The lock of an instance in ZooKeeper, as kazoo takes it: whoever deploys or removes it shuts out the
//! others, PaaSTA's own tools among them (marathon-sync.md §14).

use std::{
    fmt::Write as _,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::{self, Instant};
use zookeeper_client::{Acls, Client, CreateMode, Error, EventType};

use crate::zookeeper::bounded;

/// How long one who holds it is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// What stands before the number of a contender.
const MARKS: [&str; 2] = ["__lock__", "__rlock__"];

/// Held until it is released, or its session ends.
#[derive(Debug)]
pub struct Lock<'c> {
    client: &'c Client,
    node: String,
}

/// Takes the lock at `path`. `None`: somebody else holds it and goes on doing so for a second.
///
/// # Errors
/// When ZooKeeper does not do what it is asked for.
pub async fn take<'c>(client: &'c Client, path: &str) -> Result<Option<Lock<'c>>, Error> {
    let until = Instant::now() + PATIENCE;
    let (lock, name) = contend(client, path, b"").await?;
    match time::timeout_at(until, first(client, path, &name)).await {
        Ok(first) => first.map(|()| Some(lock)),
        Err(_) => {
            lock.release().await?;
            Ok(None)
        }
    }
}

/// Waits for the lock at `path`, however long it takes. `data` says who holds it.
///
/// # Errors
/// When ZooKeeper does not do what it is asked for.
pub async fn wait<'c>(client: &'c Client, path: &str, data: &[u8]) -> Result<Lock<'c>, Error> {
    let (lock, name) = contend(client, path, data).await?;
    first(client, path, &name).await?;
    Ok(lock)
}

async fn contend<'c>(
    client: &'c Client,
    path: &str,
    data: &[u8],
) -> Result<(Lock<'c>, String), Error> {
    let open = Acls::anyone_all();
    bounded(client.mkdir(path, &CreateMode::Persistent.with_acls(open))).await?;
    let name = format!("{}{}", contender(), MARKS[0]);
    let mode = CreateMode::EphemeralSequential.with_acls(open);
    let (_, sequence) = bounded(client.create(&format!("{path}/{name}"), data, &mode)).await?;
    let name = format!("{name}{sequence}");
    Ok((Lock { client, node: format!("{path}/{name}") }, name))
}

/// Until nobody is before us.
async fn first(client: &Client, path: &str, name: &str) -> Result<(), Error> {
    loop {
        let contenders = bounded(client.list_children(path)).await?;
        let Some(before) = predecessor(&contenders, name) else { return Ok(()) };
        let before = format!("{path}/{before}");
        let (there, watcher) = bounded(client.check_and_watch_stat(&before)).await?;
        if there.is_some() && watcher.changed().await.event_type == EventType::Session {
            return Err(Error::SessionExpired);
        }
    }
}

/// 32 hexadecimal digits, as a UUID has them. They only have to differ.
fn contender() -> String {
    let mut digits = String::new();
    for _ in 0..2 {
        let random = RandomState::new().hash_one(std::process::id());
        let _ = write!(digits, "{random:016x}");
    }
    digits
}

/// The one that came just before; `None`: nobody did. Names that are no contender's do not count.
fn predecessor<'n>(names: &'n [String], own: &str) -> Option<&'n str> {
    let number = |name: &str| {
        let mut marks = MARKS.iter();
        marks.find_map(|mark| name.rsplit_once(mark)?.1.parse::<u64>().ok())
    };
    let ours = number(own)?;
    let before = names.iter().filter_map(|name| Some((number(name)?, name.as_str())));
    before.filter(|(number, _)| *number < ours).max().map(|(_, name)| name)
}

impl Lock<'_> {
    /// Whether it is still held: whoever is about to do what cannot be undone asks again.
    ///
    /// # Errors
    /// When ZooKeeper does not say.
    pub async fn is_held(&self) -> Result<bool, Error> {
        let found = bounded(self.client.check_stat(&self.node)).await?;
        Ok(found.is_some_and(|stat| stat.ephemeral_owner == self.client.session_id().0))
    }

    /// # Errors
    /// When ZooKeeper does not answer; it lets go by itself when the session ends.
    pub async fn release(self) -> Result<(), Error> {
        match bounded(self.client.delete(&self.node, None)).await {
            Err(Error::NoNode) => Ok(()),
            released => released,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_before_us_is_waited_for() {
        let names = ["x__lock__0000000007", "a__rlock__0000000003", "y__lock__0000000009", "z"];
        let names = names.map(str::to_owned);
        assert_eq!(predecessor(&names, &names[0]), Some("a__rlock__0000000003"));
        assert_eq!(predecessor(&names, &names[1]), None);
        assert_eq!(predecessor(&names, &names[2]), Some("x__lock__0000000007"));
    }

    #[test]
    fn contenders_have_names_as_kazoo_gives_them() {
        let (a, b) = (contender(), contender());
        assert!(a != b && a.len() == 32 && a.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
