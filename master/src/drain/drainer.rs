//! Asks how far tasks are drained, takes them out of service and puts them back (marathon-sync.md §13).

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream};
use hacheck::{
    client::{self, DrainError, DrainMethod, Fault, HttpSettings, InvalidHeader},
    names::ServiceName,
};
use hyper::Method as HttpMethod;
use parking_lot::Mutex;

use super::{
    Method,
    http::{Call, Calls},
};
use crate::{
    http::{self, Failure, Question},
    marathon::running::Task,
    url_format::{Unfillable, Values},
};

/// As PaaSTA waits for those whom a service owner names.
const OF_OTHERS: Duration = Duration::from_secs(15);
/// What they say beyond a status is of no interest.
const MOST_BYTES: usize = 1 << 20;
/// Calls under way at once.
const AT_ONCE: usize = 20;

/// How far a task is drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// It is marked down. `None`: nobody could say.
    pub is_draining: Option<bool>,
    /// It has been down long enough. `None`: nobody could say.
    pub is_safe_to_kill: Option<bool>,
}

/// Whose tasks they are.
#[derive(Clone, Debug)]
pub struct Owner {
    pub service: String,
    pub instance: String,
    /// The namespace of the first registration.
    pub namespace: String,
    /// Under the own service, `service.namespace`.
    pub registration: ServiceName,
}

/// Why a task is not drained, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    #[error(transparent)]
    Hacheck(#[from] DrainError),
    #[error(transparent)]
    Url(#[from] Unfillable),
    #[error(transparent)]
    Unreached(#[from] Failure),
    #[error("{url} answers {status}")]
    Refused { url: String, status: u16 },
    #[error("the drain method fails on purpose")]
    OnPurpose,
}

/// What the drain method `test` did in this process.
static TESTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A drain method for the tasks of one instance.
#[derive(Debug)]
pub struct Drainer {
    owner: Owner,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Noop,
    Test,
    CrashyDrain,
    CrashyIsSafeToKill,
    Hacheck(DrainMethod),
    Http(Box<Calls>),
}

impl Drainer {
    /// # Errors
    /// When hacheck cannot be asked in this program's name.
    pub fn new(method: &Method, owner: Owner) -> Result<Self, InvalidHeader> {
        let way = match method {
            Method::Noop => Way::Noop,
            Method::Test => Way::Test,
            Method::CrashyDrain => Way::CrashyDrain,
            Method::CrashyIsSafeToKill => Way::CrashyIsSafeToKill,
            Method::Hacheck(parameters) => {
                let agent = concat!("paasta-master ", env!("CARGO_PKG_VERSION"));
                let registrations = vec![owner.registration.clone()];
                let settings = HttpSettings::new(agent);
                Way::Hacheck(DrainMethod::new(registrations, *parameters, settings)?)
            }
            Method::Http(calls) => Way::Http(calls.clone()),
        };
        Ok(Self { owner, way })
    }

    /// Asks about all tasks; the answers are in their order.
    pub async fn states(&self, tasks: &[&Task]) -> Vec<State> {
        let all = |is_draining, is_safe_to_kill| {
            vec![State { is_draining, is_safe_to_kill }; tasks.len()]
        };
        match &self.way {
            Way::Noop | Way::CrashyDrain => all(Some(false), Some(true)),
            Way::CrashyIsSafeToKill => all(Some(false), None),
            // Only PaaSTA's tests ever say that one of these may go.
            Way::Test => {
                let tested = TESTED.lock();
                let state = |task: &&Task| State {
                    is_draining: Some(tested.contains(&task.id)),
                    is_safe_to_kill: Some(false),
                };
                tasks.iter().map(state).collect()
            }
            Way::Hacheck(method) => of_hacheck(method, tasks).await,
            Way::Http(calls) => {
                let asked = stream::iter(tasks).map(async |task| State {
                    is_draining: self.answer(&calls.is_draining, task).await.ok(),
                    is_safe_to_kill: self.answer(&calls.is_safe_to_kill, task).await.ok(),
                });
                asked.buffered(AT_ONCE).collect().await
            }
        }
    }

    /// Takes tasks out of service; what became of each is in their order.
    pub async fn drain(&self, tasks: &[&Task]) -> Vec<Result<(), Undone>> {
        match &self.way {
            Way::Noop | Way::CrashyIsSafeToKill => tasks.iter().map(|_| Ok(())).collect(),
            Way::CrashyDrain => tasks.iter().map(|_| Err(Undone::OnPurpose)).collect(),
            Way::Test => {
                TESTED.lock().extend(tasks.iter().map(|task| task.id.clone()));
                tasks.iter().map(|_| Ok(())).collect()
            }
            Way::Hacheck(method) => marked(method.drain_all(&known(tasks)).await),
            Way::Http(calls) => self.call_all(&calls.drain, tasks).await,
        }
    }

    /// Puts tasks back into service; what became of each is in their order.
    pub async fn stop_draining(&self, tasks: &[&Task]) -> Vec<Result<(), Undone>> {
        match &self.way {
            Way::Noop | Way::CrashyDrain | Way::CrashyIsSafeToKill => {
                tasks.iter().map(|_| Ok(())).collect()
            }
            Way::Test => {
                let mut tested = TESTED.lock();
                tested.retain(|id| tasks.iter().all(|task| task.id != *id));
                tasks.iter().map(|_| Ok(())).collect()
            }
            Way::Hacheck(method) => marked(method.stop_draining_all(&known(tasks)).await),
            Way::Http(calls) => self.call_all(&calls.stop_draining, tasks).await,
        }
    }

    async fn call_all(&self, call: &Call, tasks: &[&Task]) -> Vec<Result<(), Undone>> {
        let called = stream::iter(tasks).map(async |task| {
            let (url, status) = self.call(call, task).await?;
            let is_good = call.success.contains(status);
            if is_good { Ok(()) } else { Err(Undone::Refused { url, status }) }
        });
        called.buffered(AT_ONCE).collect().await
    }

    /// Whether the answer has one of the good codes.
    async fn answer(&self, call: &Call, task: &Task) -> Result<bool, Undone> {
        let (_, status) = self.call(call, task).await?;
        Ok(call.success.contains(status))
    }

    async fn call(&self, call: &Call, task: &Task) -> Result<(String, u16), Undone> {
        let Owner { service, instance, namespace, .. } = &self.owner;
        let port = task.ports.first().copied();
        let url =
            call.url.fill(&Values { host: &task.host, port, service, instance, namespace })?;
        // A word of letters is always a method.
        let method = HttpMethod::from_bytes(call.method.as_str().as_bytes()).unwrap_or_default();
        let (patience, most) = (OF_OTHERS, MOST_BYTES);
        let asked = Question { method, url: &url, login: None, body: "", patience, most };
        let (status, _) = http::ask(asked).await?;
        Ok((url, status.as_u16()))
    }
}

fn known(tasks: &[&Task]) -> Vec<client::Task> {
    let known =
        |task: &&Task| client::Task { host: task.host.clone(), port: task.ports.first().copied() };
    tasks.iter().map(known).collect()
}

/// A task without a port has no mark, and nothing is asked for it.
fn marked(results: Vec<Result<(), DrainError>>) -> Vec<Result<(), Undone>> {
    let marked = |result: Result<(), DrainError>| match result {
        Err(error) if matches!(error.fault, Fault::NoPort) => Ok(()),
        result => Ok(result?),
    };
    results.into_iter().map(marked).collect()
}

async fn of_hacheck(method: &DrainMethod, tasks: &[&Task]) -> Vec<State> {
    let states = method.states_all(&known(tasks)).await.into_iter();
    let state = states.map(|states| match states {
        Ok(states) => State {
            is_draining: Some(method.draining(&states)),
            is_safe_to_kill: Some(method.safe_to_kill(&states)),
        },
        // It has no mark, so nobody can take it out of service.
        Err(error) if matches!(error.fault, Fault::NoPort) => {
            State { is_draining: Some(false), is_safe_to_kill: Some(false) }
        }
        Err(_) => State::default(),
    });
    state.collect()
}
