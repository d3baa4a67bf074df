//! The statistics socket: one connection in prompt mode, many commands in flight, a deadline on all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time,
};

use super::{
    observed::{self, Backend, Info, Observed, Unreadable},
    status::ServerStatus,
};

/// Commands sent before their replies are read: enough to hide the round trip, few enough for any
/// socket buffer (synapse.md §13.1).
const BATCH: usize = 64;
/// Of one reply: `show servers state` of 30,000 servers has 2.5 MB (synapse.md §13.7).
const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;
/// What ends a reply in prompt mode.
const PROMPT: &[u8] = b"\n> ";

const NO_BACKEND: &str = "Can't find backend.";

/// Which backends to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything; the named ones are known to exist even when they have no servers.
    All(BTreeSet<String>),
    Only(BTreeSet<String>),
}

/// Why HAProxy could not be asked. Nothing is known about commands that were on their way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to {}", path.display())]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("haproxy does not answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection to haproxy broke")]
    Broken(#[source] io::Error),
    #[error("haproxy is stopping")]
    Stopping,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A client of the statistics socket.
#[derive(Debug)]
pub struct Runtime {
    path: PathBuf,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Runtime {
    /// A client that connects when it is first used. `timeout` is for each batch of commands.
    #[must_use]
    pub fn new(path: PathBuf, timeout: Duration) -> Self {
        Self { path, timeout, connection: None }
    }

    /// Forgets the connection: after a reload it would lead to the old worker.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Runs commands in order and returns their replies, trimmed.
    ///
    /// # Errors
    /// When not all replies came; some commands may have been carried out.
    pub async fn run(&mut self, commands: &[String]) -> Result<Vec<String>, Error> {
        let mut replies = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            let exchange = time::timeout(self.timeout, self.exchange(batch)).await;
            match exchange.unwrap_or(Err(Error::Timeout(self.timeout))) {
                Ok(mut more) => replies.append(&mut more),
                Err(error) => {
                    // A late reply must not be taken for that of a later command.
                    self.connection = None;
                    return Err(error);
                }
            }
        }
        Ok(replies)
    }

    async fn exchange(&mut self, commands: &[String]) -> Result<Vec<String>, Error> {
        // Taken out: if the caller gives up half way, the connection is gone with the future.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.path).await?,
        };
        let replies = connection.exchange(commands).await.map_err(Error::Broken)?;
        self.connection = Some(connection);
        Ok(replies)
    }

    /// `show info` of the worker that serves now.
    ///
    /// # Errors
    /// When it cannot be asked, or is on its way out.
    pub async fn info(&mut self) -> Result<Info, Error> {
        let replies = self.ask(&["show info".to_owned()]).await?;
        self.info_of(replies.first())
    }

    /// Looks at the worker and at the backends in `scope`.
    ///
    /// # Errors
    /// When not everything could be read: what is not known is never taken for empty.
    pub async fn observe(&mut self, scope: &Scope) -> Result<Observed, Error> {
        let mut commands = vec!["show info".to_owned()];
        match scope {
            Scope::All(_) => commands.push("show servers state".to_owned()),
            Scope::Only(names) => {
                commands.extend(names.iter().map(|name| format!("show servers state {name}")));
            }
        }
        let replies = self.ask(&commands).await?;
        let info = self.info_of(replies.first())?;
        let states = replies.get(1..).unwrap_or_default();
        let mut backends = BTreeMap::new();
        let (Scope::All(names) | Scope::Only(names)) = scope;
        // A backend without servers has no rows.
        let there = |at: usize| states.get(at).is_some_and(|reply| reply != NO_BACKEND);
        let there = |at| matches!(scope, Scope::All(_)) || there(at);
        for (_, name) in names.iter().enumerate().filter(|(at, _)| there(*at)) {
            backends.insert(name.clone(), Backend::default());
        }
        for reply in states.iter().filter(|reply| *reply != NO_BACKEND) {
            backends.extend(observed::servers_state(reply)?);
        }
        Ok(Observed { info, backends })
    }

    /// The statistics of backends, given by their numbers: by name `show stat` would find the
    /// frontend (synapse.md §13.7).
    ///
    /// # Errors
    /// When not all could be read.
    pub async fn stat(
        &mut self,
        backends: &[u32],
    ) -> Result<BTreeMap<String, Vec<ServerStatus>>, Error> {
        let commands: Vec<_> = backends.iter().map(|id| format!("show stat {id} 4 -1")).collect();
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for reply in self.ask(&commands).await? {
            for (backend, server) in observed::stat(&reply)? {
                found.entry(backend).or_default().push(server);
            }
        }
        Ok(found)
    }

    /// Runs commands that change nothing. The kept connection may have idled out or belong to a
    /// worker that is gone, so a failure there is tried once more on a new one.
    async fn ask(&mut self, commands: &[String]) -> Result<Vec<String>, Error> {
        let reused = self.connection.is_some();
        match self.run(commands).await {
            Err(Error::Broken(_)) if reused => self.run(commands).await,
            outcome => outcome,
        }
    }

    fn info_of(&mut self, reply: Option<&String>) -> Result<Info, Error> {
        let info = Info::parse(reply.map(String::as_str).unwrap_or_default())?;
        if info.stopping {
            self.connection = None;
            return Err(Error::Stopping);
        }
        Ok(info)
    }
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    /// Received and not yet consumed.
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(path: &PathBuf) -> Result<Self, Error> {
        let fail = |source| Error::Connect { path: path.clone(), source };
        let stream = UnixStream::connect(path).await.map_err(fail)?;
        let mut connection = Self { stream, buffer: Vec::new() };
        // The first prompt is the answer to `prompt`.
        connection.exchange(&["prompt".to_owned()]).await.map_err(Error::Broken)?;
        Ok(connection)
    }

    async fn exchange(&mut self, commands: &[String]) -> io::Result<Vec<String>> {
        let mut lines = commands.join("\n");
        lines.push('\n');
        let Self { stream, buffer } = self;
        let (mut reader, mut writer) = stream.split();
        let receive = async {
            let mut replies = Vec::with_capacity(commands.len());
            while replies.len() < commands.len() {
                replies.push(reply(&mut reader, buffer).await?);
            }
            Ok(replies)
        };
        // Both at once: HAProxy stops reading while nobody takes its replies.
        let ((), replies) = tokio::try_join!(writer.write_all(lines.as_bytes()), receive)?;
        Ok(replies)
    }
}

/// The next reply, without the prompt that ends it.
async fn reply(
    reader: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<String> {
    let mut searched = 0;
    loop {
        if let Some(at) = find(&buffer[searched..], PROMPT) {
            let rest = buffer.split_off(searched + at + PROMPT.len());
            let reply = std::mem::replace(buffer, rest);
            let text = &reply[..reply.len() - PROMPT.len()];
            return Ok(String::from_utf8_lossy(text).trim().to_owned());
        }
        searched = buffer.len().saturating_sub(PROMPT.len() - 1);
        if buffer.len() > MAX_REPLY_BYTES {
            return Err(io::Error::other("the reply is longer than 32 MiB"));
        }
        if reader.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests;
