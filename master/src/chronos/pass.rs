//! Whole passes over the Chronos of a cluster: one listing, what is to be done about it, and what people hear.
//!
//! For whoever has a look at soa-configs in hand, be it a command or a daemon. A pass that is dropped on the way
//! has done so far what it has done, and the next one goes on from there; its events are lost.

mod check;
mod clean_up;
mod deploy;
mod round;
mod trust;

pub use self::{
    check::Checked,
    clean_up::{Allowed, Cleaned},
    deploy::{Deployed, Written},
    round::Round,
};
use super::{
    Listed,
    client::{self, Chronos},
    soa::Soa,
    telling::Telling,
};
use crate::events::Status;

/// What a pass works with.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'p> {
    pub soa: Soa<'p>,
    pub chronos: &'p Chronos,
    /// The team that runs Chronos: it is told by an event whether that answers.
    pub team: Option<&'p str>,
    /// Nothing is changed and nobody is told: what would be done is found out.
    pub is_dry: bool,
}

impl<'p> Pass<'p> {
    #[must_use]
    pub fn telling(self) -> Telling<'p> {
        Telling::new(self.soa.settings, self.soa.cluster)
    }

    /// All jobs that Chronos has.
    ///
    /// # Errors
    /// See [`client::Error`].
    pub async fn list(self, telling: &mut Telling<'p>) -> Result<Vec<Listed>, client::Error> {
        let listed = self.chronos.jobs().await;
        match &listed {
            Ok(listed) => {
                let output = format!("Chronos answers; it has {} jobs.", listed.len());
                self.tell_team(Status::Ok, &output, telling);
            }
            Err(error) => {
                let output = format!("Chronos does not answer: {error}");
                self.tell_team(Status::Critical, &output, telling);
            }
        }
        listed
    }

    fn tell_team(self, status: Status, output: &str, telling: &mut Telling<'p>) {
        if let Some(team) = self.team {
            telling.event_of_chronos(team, (status, output));
        }
    }

    /// A line for all jobs that a Chronos that is gone leaves as they are, and the event for its team.
    fn give_up(self, reason: &str, left: usize, telling: &mut Telling<'p>) -> String {
        let output = format!("Chronos does not answer: {reason}");
        self.tell_team(Status::Critical, &output, telling);
        format!("{reason}; {left} jobs are left for the next pass")
    }

    /// Sends the events. What went wrong is added to the complaints.
    async fn finish(self, telling: Telling<'p>, complaints: &mut Vec<String>) {
        if !self.is_dry {
            complaints.extend(telling.send().await);
        }
    }
}

/// With everything that is behind it.
fn told(error: client::Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
