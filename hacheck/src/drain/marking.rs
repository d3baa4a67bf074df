//! Sets and removes the mark: through the running hacheck, which then knows it at once, else in the
//! spool directory.

use std::{fmt, io, path::PathBuf};

use tokio::task;

use super::{Place, Target};
use crate::{
    client::{Ask, Client, Fault, HttpSettings},
    marks::{Files, UnixTime, Wish},
};

/// Who has the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    Hacheck,
    Spool,
}

/// Why the mark is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum MarkingError {
    /// The running hacheck has not done it, and the directory cannot be used either.
    #[error("cannot change the mark: hacheck: {hacheck}; spool directory {}", directory.display())]
    Failed {
        /// What the running hacheck says.
        hacheck: String,
        /// Where the file would be.
        directory: PathBuf,
        /// Why not there.
        source: io::Error,
    },
}

/// The mark of a target.
pub(super) struct Marker {
    client: Option<Client>,
    port: u16,
    path: String,
    directory: PathBuf,
    name: String,
}

impl Marker {
    pub(super) fn new(place: &Place, target: &Target) -> Self {
        let agent = concat!("hacheck ", env!("CARGO_PKG_VERSION"));
        Self {
            // This name can stand in a header.
            client: Client::new(HttpSettings::new(agent)).ok(),
            port: place.port,
            path: format!("/spool/{}/{}/drain", target.service, target.port.unwrap_or_default()),
            directory: place.spool_root.clone(),
            name: target.key().to_string(),
        }
    }

    pub(super) async fn down(&self, wish: Wish) -> Result<Marked, MarkingError> {
        let mut form = format!("status=down&reason={}", encoded(&wish.reason));
        if let Some(expiration) = wish.expiration {
            form.push_str(&format!("&expiration={}", expiration.seconds()));
        }
        self.change(&form, move |files, name| files.down(name, wish, UnixTime::now())).await
    }

    pub(super) async fn up(&self) -> Result<Marked, MarkingError> {
        self.change("status=up", |files, name| files.remove(name)).await
    }

    /// Whether hacheck answers that the target is down; `None` if there is no hacheck.
    pub(super) async fn in_force(&self) -> Option<bool> {
        match self.ask(Ask::Get).await {
            Ok(status) => Some(status == 503),
            Err(Fault::Unreachable(_)) => None,
            Err(_) => Some(false),
        }
    }

    async fn change(
        &self,
        form: &str,
        change: impl FnOnce(&mut Files, &str) -> io::Result<()> + Send + 'static,
    ) -> Result<Marked, MarkingError> {
        let hacheck = match self.ask(Ask::Post(form)).await {
            Ok(200) => return Ok(Marked::Hacheck),
            Ok(status) => format!("it answers {status}"),
            Err(fault) => fault.explained(),
        };
        let (directory, name) = (self.directory.clone(), self.name.clone());
        let written =
            task::spawn_blocking(move || change(&mut Files::open(&directory)?, &name)).await;
        let written = written.map_err(io::Error::other).flatten();
        let directory = self.directory.clone();
        written.map_err(|source| MarkingError::Failed { hacheck, directory, source })?;
        Ok(Marked::Spool)
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<u16, Fault> {
        let Some(client) = &self.client else { return Err(Fault::NoPort) };
        client.exchange("127.0.0.1", self.port, ask, &self.path).await.map(|reply| reply.status)
    }
}

impl Marked {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hacheck => "hacheck",
            Self::Spool => "spool",
        }
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hacheck => "through the running hacheck",
            Self::Spool => "in the spool directory",
        })
    }
}

/// A value of a form.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
