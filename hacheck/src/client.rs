//! The other end of the HTTP interface: PaaSTA's drain method `hacheck` (hacheck.md §14.1), for
//! programs that take tasks on many hosts out of service before they stop them.
//!
//! A [`DrainMethod`] asks the hacheck on a task's host about all registrations of the task at once.
//! Every answer is either understood or an error with a [`Fault`] that says what is known: whoever
//! stops tasks must never take "no answer" for "safe".

mod answer;
mod decide;
mod fault;
mod gone;
mod http;
mod parameters;

use std::{future::Future, sync::Arc};

use futures_util::{StreamExt, future, stream};
use tokio::sync::Semaphore;

use self::gone::Gone;
pub(crate) use self::http::{Ask, Client, Reply};
pub use self::{
    answer::{State, Unreadable},
    fault::{DrainError, Fault},
    http::{HttpSettings, InvalidHeader},
    parameters::{InvalidParameters, Parameters},
};
use crate::{marks::UnixTime, names::ServiceName};

/// The reason that PaaSTA's marks carry; an operator may look for it.
const REASON: &str = "Drained by Paasta";

/// One task as the drain method sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Name or address of the host it runs on.
    pub host: String,
    /// The first port of the task; `None` for a task without ports.
    pub port: Option<u16>,
}

/// Marks tasks down, and says when they may be stopped. Cheap to clone; clones share the bound on
/// requests under way.
#[derive(Clone, Debug)]
pub struct DrainMethod {
    registrations: Vec<ServiceName>,
    parameters: Parameters,
    http: Arc<Client>,
    turns: Arc<Semaphore>,
    tasks_at_once: usize,
}

impl DrainMethod {
    /// Drains tasks that have these registrations.
    ///
    /// # Errors
    /// When program name or token cannot stand in a header.
    pub fn new(
        registrations: Vec<ServiceName>,
        parameters: Parameters,
        settings: HttpSettings,
    ) -> Result<Self, InvalidHeader> {
        let tasks_at_once = settings.at_once.get();
        let turns = Arc::new(Semaphore::new(tasks_at_once));
        let http = Arc::new(Client::new(settings)?);
        Ok(Self { registrations, parameters, http, turns, tasks_at_once })
    }

    /// Marks the task down for the configured time. Done again, it prolongs the mark and keeps its
    /// beginning. A task without ports needs nothing.
    ///
    /// # Errors
    /// When not all registrations are known to be marked. Some may be; see [`Fault::may_have_worked`].
    pub async fn drain(&self, task: &Task) -> Result<(), DrainError> {
        self.mark(task, &self.down(), &Gone::default()).await
    }

    /// Removes the marks of the task; as [`Self::drain`] otherwise.
    ///
    /// # Errors
    /// As for [`Self::drain`].
    pub async fn stop_draining(&self, task: &Task) -> Result<(), DrainError> {
        self.mark(task, "status=up", &Gone::default()).await
    }

    /// Whether any registration of the task is held down, by whomever and for whatever reason.
    ///
    /// # Errors
    /// When that is not known of all registrations, or the task has no port.
    pub async fn is_draining(&self, task: &Task) -> Result<bool, DrainError> {
        Ok(decide::is_draining(&self.states(task, &Gone::default()).await?))
    }

    /// Whether the task has been down for at least the delay, in all its registrations.
    ///
    /// # Errors
    /// When that is not known of all registrations, or the task has no port.
    pub async fn is_safe_to_kill(&self, task: &Task) -> Result<bool, DrainError> {
        let states = self.states(task, &Gone::default()).await?;
        Ok(decide::is_safe_to_kill(&states, self.parameters.delay, UnixTime::now()))
    }

    /// [`Self::drain`] for many tasks at once; one result for each, in their order.
    pub async fn drain_all(&self, tasks: &[Task]) -> Vec<Result<(), DrainError>> {
        let (form, gone) = (self.down(), Gone::default());
        self.each(tasks, |task| self.mark(task, &form, &gone)).await
    }

    /// [`Self::stop_draining`] for many tasks at once; one result for each, in their order.
    pub async fn stop_draining_all(&self, tasks: &[Task]) -> Vec<Result<(), DrainError>> {
        let gone = Gone::default();
        self.each(tasks, |task| self.mark(task, "status=up", &gone)).await
    }

    /// The states of many tasks at once, one list in the order of the registrations for each task.
    /// [`Self::draining`] and [`Self::safe_to_kill`] say what they mean.
    pub async fn states_all(&self, tasks: &[Task]) -> Vec<Result<Vec<State>, DrainError>> {
        let gone = Gone::default();
        self.each(tasks, |task| self.states(task, &gone)).await
    }

    /// Whether these states of one task mean that it drains.
    #[must_use]
    pub fn draining(&self, states: &[State]) -> bool {
        decide::is_draining(states)
    }

    /// Whether these states of one task mean that it may be stopped now.
    #[must_use]
    pub fn safe_to_kill(&self, states: &[State]) -> bool {
        decide::is_safe_to_kill(states, self.parameters.delay, UnixTime::now())
    }

    async fn each<'a, T, F>(&self, tasks: &'a [Task], ask: impl Fn(&'a Task) -> F) -> Vec<T>
    where
        F: Future<Output = T>,
    {
        stream::iter(tasks).map(ask).buffered(self.tasks_at_once).collect().await
    }

    async fn mark(&self, task: &Task, form: &str, gone: &Gone) -> Result<(), DrainError> {
        if task.port.is_none() {
            return Ok(());
        }
        self.of_all(task, gone, Ask::Post(form), |reply| match reply.status {
            0..400 => Ok(()),
            _ => Err(Fault::refused(&reply)),
        })
        .await
        .map(|_| ())
    }

    async fn states(&self, task: &Task, gone: &Gone) -> Result<Vec<State>, DrainError> {
        self.of_all(task, gone, Ask::Get, |reply| Ok(State::read(&reply)?)).await
    }

    /// One request for each registration, all at once and all to the end: that one fails must not
    /// keep the others from being marked.
    async fn of_all<T>(
        &self,
        task: &Task,
        gone: &Gone,
        ask: Ask<'_>,
        read: impl Fn(Reply) -> Result<T, Fault>,
    ) -> Result<Vec<T>, DrainError> {
        let port = task.port.ok_or_else(|| DrainError::of(task, None, Fault::NoPort))?;
        let asked = self.registrations.iter().map(|registration| {
            let path = format!("/spool/{registration}/{port}/status");
            let read = &read;
            async move {
                let reply = self.exchange(&task.host, ask, &path, gone).await.and_then(read);
                reply.map_err(|fault| DrainError::of(task, Some(registration), fault))
            }
        });
        future::join_all(asked).await.into_iter().collect()
    }

    async fn exchange(
        &self,
        host: &str,
        ask: Ask<'_>,
        path: &str,
        gone: &Gone,
    ) -> Result<Reply, Fault> {
        // Never closed; waiting for a turn is not the host's fault and not part of its time.
        let _turn = self.turns.acquire().await.ok();
        if let Some(fault) = gone.known(host) {
            return Err(fault);
        }
        let replied = self.http.exchange(host, self.parameters.hacheck_port, ask, path).await;
        if let Err(fault) = &replied {
            gone.note(host, fault);
        }
        replied
    }

    fn down(&self) -> String {
        let expiration = UnixTime::now().seconds() + self.parameters.expires_after();
        let reason = REASON.replace(' ', "+");
        format!("status=down&expiration={expiration}&reason={reason}")
    }
}

#[cfg(test)]
mod tests;
