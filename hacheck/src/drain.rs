//! `hacheck drain` and `hacheck undrain`: out of service, and not back before nobody is sent there.
//!
//! A mark alone says nothing about who still sends requests: HAProxy learns of it with its next check,
//! or when discovery takes the server away. So the local HAProxy, and whichever others are named, are
//! asked until none of them sends anything any more.

mod decide;
mod haproxy;
mod marking;
mod outcome;
pub mod statistics;

use std::{io, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use tokio::time::{self, Instant};

pub use self::{
    haproxy::{InvalidSource, Source},
    marking::MarkingError,
};
use self::{
    marking::{Marked, Marker},
    outcome::{Look, Outcome},
};
use crate::{
    marks::{MarkKey, UnixTime, Wish},
    names::{Host, LocalAddressesTask, ServiceName},
    tools::{Anonymous, Caller, Output},
};

/// Between two looks at HAProxy.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What is to be drained: `web.main:31000`, `web.main`, or `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    service: ServiceName,
    port: Option<u16>,
}

/// A text that is no [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected SERVICE or SERVICE:PORT, such as web.main:31000")]
pub struct InvalidTarget;

/// Where marks are set.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Where the hacheck of this host listens; if it does not answer, the mark is written to the
    /// spool directory.
    #[arg(short, long, value_name = "N", default_value_t = 6666)]
    pub port: u16,
    /// Where marks are kept if no hacheck answers.
    #[arg(long, value_name = "DIR", default_value = "/var/spool/hacheck")]
    pub spool_root: PathBuf,
}

/// Arguments of `hacheck drain`.
#[derive(Clone, Debug, Args)]
pub struct Drain {
    /// SERVICE:PORT for one instance on this host, SERVICE for all of them, `all` for everything.
    pub target: Target,
    /// How long to wait until nobody sends to it any more; 0 looks once.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u32,
    /// Shown to everyone who asks why it is down. Default: who you are.
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Lift the mark by itself after so long. Default: `hacheck undrain` or `haup` lift it.
    #[arg(long = "for", value_name = "SECONDS")]
    pub lasts: Option<u32>,
    /// A HAProxy to ask: its statistics socket, or the address of its statistics page. May be given
    /// several times.
    #[arg(long, value_name = "SOCKET|URL", default_value = "/var/run/synapse/haproxy.sock")]
    pub haproxy: Vec<Source>,
    #[command(flatten)]
    /// Where the mark is set.
    pub place: Place,
    /// One JSON document at the end instead of lines as things happen.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hacheck undrain`.
#[derive(Clone, Debug, Args)]
pub struct Undrain {
    /// As for `drain`.
    pub target: Target,
    #[command(flatten)]
    /// Where the mark is removed.
    pub place: Place,
    /// A JSON document instead of a line.
    #[arg(long)]
    pub json: bool,
}

/// Why the command cannot say anything.
#[derive(Debug, thiserror::Error)]
pub enum DrainFailure {
    /// Nobody stands behind the name of the caller.
    #[error(transparent)]
    Anonymous(#[from] Anonymous),
    /// The mark.
    #[error(transparent)]
    Mark(#[from] MarkingError),
    /// Standard output.
    #[error("cannot write the result")]
    Output(#[from] io::Error),
}

impl Drain {
    /// Marks the target, and waits. True if it is safe to stop what was drained.
    ///
    /// # Errors
    /// When the mark cannot be set; nothing is waited for then.
    pub async fn run(
        &self,
        caller: &Caller,
        output: &mut Output<'_>,
    ) -> Result<bool, DrainFailure> {
        let reason = match self.reason.as_str() {
            "" => caller.reason()?,
            given => given.to_owned(),
        };
        let now = UnixTime::now().seconds();
        let expiration = self.lasts.and_then(|seconds| UnixTime::new(now + f64::from(seconds)));
        let wish = Wish { reason, expiration, creation: None };
        let marker = Marker::new(&self.place, &self.target);
        let marked = marker.down(wish).await?;
        let mut teller = Teller { quiet: self.json, output, last: String::new() };
        teller.tell(&format!("{} is marked down ({marked})", self.target))?;
        let outcome = self.wait(&marker, marked, &mut teller).await?;
        if self.json {
            writeln!(teller.output.out, "{}", outcome.json(&self.target))?;
        } else {
            teller.tell(&outcome.text(&self.target, self.wait))?;
        }
        Ok(outcome.is_safe())
    }

    async fn wait(
        &self,
        marker: &Marker,
        marked: Marked,
        teller: &mut Teller<'_, '_>,
    ) -> Result<Outcome, DrainFailure> {
        // Addresses do not change while somebody waits here.
        let (_task, local) = LocalAddressesTask::start().await;
        let end = Instant::now() + Duration::from_secs(self.wait.into());
        loop {
            let mut looks = Vec::new();
            for source in &self.haproxy {
                let found = source.servers().await;
                let found =
                    found.map(|servers| decide::meant(servers, &self.target, &local.borrow()));
                looks.push(Look { source: source.to_string(), found });
            }
            let in_force = marker.in_force().await;
            let outcome = Outcome { marked, in_force, looks };
            if outcome.is_safe() || Instant::now() >= end {
                return Ok(outcome);
            }
            teller.tell(&format!("waiting: {}", outcome.missing().join("; ")))?;
            time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Undrain {
    /// Removes the mark.
    ///
    /// # Errors
    /// When the mark stays.
    pub async fn run(&self, output: &mut Output<'_>) -> Result<(), DrainFailure> {
        let by = Marker::new(&self.place, &self.target).up().await?;
        if self.json {
            let document = serde_json::json!({
                "target": self.target.to_string(), "marked": false, "by": by.word(),
            });
            writeln!(output.out, "{document}")?;
        } else {
            writeln!(output.out, "{} may serve again ({by})", self.target)?;
        }
        Ok(())
    }
}

/// Tells how things stand, each state once.
struct Teller<'a, 'o> {
    quiet: bool,
    output: &'a mut Output<'o>,
    last: String,
}

impl Teller<'_, '_> {
    fn tell(&mut self, line: &str) -> io::Result<()> {
        if self.quiet || self.last == line {
            return Ok(());
        }
        line.clone_into(&mut self.last);
        writeln!(self.output.out, "{line}")?;
        self.output.out.flush()
    }
}

impl Target {
    fn key(&self) -> MarkKey {
        match self.port {
            Some(port) => MarkKey::Instance(self.service.clone(), Host::Local, port),
            None => MarkKey::service(self.service.clone()),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (service, port) = match text.rsplit_once(':') {
            Some((service, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (service, Some(port.ok_or(InvalidTarget)?))
            }
            None => (text, None),
        };
        Ok(Self { service: service.parse().map_err(|_| InvalidTarget)?, port })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.service),
            None => self.service.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
