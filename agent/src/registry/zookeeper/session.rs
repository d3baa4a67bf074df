//! Keeps one session open, within what version 0.11.2 of the client can do (crates.md §3.2, §3.3).

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use zookeeper_client::{Client, Error, SessionInfo, SessionState};

use super::{Settings, operation::make_parent, security};
use crate::backoff::{Backoff, Waits, random};

/// The client's own attempts come at 0, 0.1, 0.3 and 0.7 s and then ever more rarely, without a cap: a
/// client that is still without a connection after this is replaced (crates.md §3.3 C).
const PATIENCE: Duration = Duration::from_secs(1);

const RETRY: Backoff = Backoff::fixed(100, 1000);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Unconnected {
    #[error(transparent)]
    ZooKeeper(#[from] Error),
    #[error("{0:#}")]
    Security(anyhow::Error),
}

impl From<security::Error> for Unconnected {
    fn from(error: security::Error) -> Self {
        Self::Security(error.into())
    }
}

/// An open and connected session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// Grows with every connection: what was read over an earlier one may be stale, and what was
    /// written may have got lost.
    pub(super) connection: u64,
    doubt: Arc<Notify>,
}

impl Session {
    pub(super) fn id(&self) -> i64 {
        self.client.session_id().0
    }

    /// Says that the client calls itself connected and yet does nothing; it is replaced.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }
}

/// The session as its users see it; `None` while there is no connection.
pub(super) type Link = watch::Receiver<Option<Session>>;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Holds our ephemerals and no watches. It is resumed as long as the server knows it, and
    /// outlives this process.
    Records,
    /// Holds watches only; a new one is as good as the old.
    Watches,
}

/// Keeps a session open and tells `link` of it, until `stop`.
pub(super) async fn keep(
    settings: Settings,
    purpose: Purpose,
    link: watch::Sender<Option<Session>>,
    stop: CancellationToken,
) {
    let keeper = Keeper { settings, purpose, link, doubt: Arc::default(), connections: 0 };
    stop.run_until_cancelled_owned(keeper.run()).await;
}

struct Keeper {
    settings: Settings,
    purpose: Purpose,
    link: watch::Sender<Option<Session>>,
    doubt: Arc<Notify>,
    connections: u64,
}

impl Keeper {
    async fn run(mut self) {
        let mut known = None;
        let mut waits = RETRY.waits();
        loop {
            let client = self.open(known.take(), &mut waits).await;
            let since = Instant::now();
            let last = self.follow(client).await;
            // A server that takes us and throws us out again is no better than one out of reach.
            if since.elapsed() < PATIENCE {
                time::sleep(waits.after_failure()).await;
            } else {
                waits.reset();
            }
            // Also after an expiry, which the client may have declared by its own clock.
            known = (self.purpose == Purpose::Records).then_some(last);
        }
    }

    /// Tries until there is a connection. A known session is given up only on the server's word.
    async fn open(&self, mut known: Option<SessionInfo>, waits: &mut Waits) -> Client {
        loop {
            let resumed = known.is_some();
            match self.connect(&mut known).await {
                Ok(client) => {
                    let (session, timeout) = (client.session_id(), client.session_timeout());
                    info!(%session, ?timeout, purpose = ?self.purpose, resumed, "session open");
                    return client;
                }
                Err(Unconnected::ZooKeeper(Error::SessionExpired)) if resumed => {
                    warn!(purpose = ?self.purpose, "session expired");
                    known = None;
                }
                Err(error) => {
                    if waits.failures().is_power_of_two() || waits.failures() == 0 {
                        let (ensemble, attempts) = (&self.settings.ensemble, waits.failures() + 1);
                        warn!(%ensemble, %error, attempts, "cannot reach zookeeper");
                    }
                    time::sleep(waits.after_failure()).await;
                }
            }
        }
    }

    /// One attempt. `known` keeps, or gets, a session whose opening stopped half-way.
    async fn connect(&self, known: &mut Option<SessionInfo>) -> Result<Client, Unconnected> {
        let security = &self.settings.security;
        security.admit(&self.settings.hosts)?;
        let mut connector = Client::connector()
            .with_session_timeout(self.settings.session_timeout)
            .with_connection_timeout(self.settings.connection_timeout)
            .with_fail_eagerly();
        if self.purpose == Purpose::Records {
            connector = connector.with_detached();
        }
        if self.settings.legacy_server {
            connector = connector.with_server_version(3, 4, 14);
        }
        if let Some(known) = known.as_ref() {
            connector = connector.with_session(known.clone());
        }
        let connecting = async {
            let is_secure = security.tls.is_some();
            let security = security.clone();
            let equipping = tokio::task::spawn_blocking(move || security.equip(connector));
            let connector =
                equipping.await.map_err(|panic| Unconnected::Security(panic.into()))??;
            Ok::<_, Unconnected>(match is_secure {
                true => connector.secure_connect(&self.settings.hosts).await?,
                false => connector.connect(&self.settings.hosts).await?,
            })
        };
        let client = match time::timeout(self.patience_to_connect(), Box::pin(connecting)).await {
            Ok(connected) => connected?,
            Err(_elapsed) => return Err(Error::Timeout.into()),
        };
        let Some(chroot) = &self.settings.chroot else { return Ok(client) };
        if let Err(error) = make_parent(&client, security.access, chroot).await {
            if self.purpose == Purpose::Records {
                *known = Some(client.into_session());
            }
            return Err(error.into());
        }
        client.chroot(chroot.as_str()).map_err(|_| Error::BadArguments(&"invalid chroot").into())
    }

    /// Long enough for every host of the list to be silent once.
    fn patience_to_connect(&self) -> Duration {
        let hosts = self.settings.hosts.split(',').count();
        let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
        self.settings.connection_timeout.saturating_mul(hosts) + PATIENCE
    }

    /// Reports the state of `client` until it has to be replaced.
    async fn follow(&mut self, client: Client) -> SessionInfo {
        let mut states = client.state_watcher();
        let mut state = states.state();
        while !state.is_terminated() {
            if state == SessionState::Disconnected {
                self.link.send_replace(None);
                // Not all hosts of a fleet at once.
                let patience = PATIENCE.mul_f64(1.0 + 0.5 * random());
                match time::timeout(patience, states.changed()).await {
                    Ok(next) => state = next,
                    Err(_elapsed) => break,
                }
                continue;
            }
            self.report(&client);
            tokio::select! {
                next = states.changed() => state = next,
                () = self.doubt.notified() => break,
            }
        }
        info!(session = %client.session_id(), %state, purpose = ?self.purpose, "client given up");
        self.link.send_replace(None);
        client.into_session()
    }

    fn report(&mut self, client: &Client) {
        self.connections += 1;
        self.link.send_replace(Some(Session {
            client: client.clone(),
            connection: self.connections,
            doubt: Arc::clone(&self.doubt),
        }));
    }
}

#[cfg(test)]
mod tests;
