//! How far tasks are drained: asked, and nothing changed (marathon-sync.md §13).

use std::time::Duration;

use futures_util::{StreamExt, stream};
use hacheck::{
    client::{self, DrainMethod, Fault, HttpSettings, InvalidHeader},
    names::ServiceName,
};
use hyper::Method as HttpMethod;

use super::{Method, http::Call};
use crate::{
    http::{self, Question},
    marathon::running::Task,
    url_format::Values,
};

/// As PaaSTA waits for those whom a service owner names.
const OF_OTHERS: Duration = Duration::from_secs(15);
/// What they say beyond a status is of no interest.
const MOST_BYTES: usize = 1 << 20;
/// Calls under way at once.
const AT_ONCE: usize = 20;

/// How far a task is drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// It is marked down. `None`: nobody could say.
    pub is_draining: Option<bool>,
    /// It has been down long enough.
    pub is_safe_to_kill: bool,
}

/// Whose tasks they are.
#[derive(Clone, Debug)]
pub struct Owner<'o> {
    pub service: &'o str,
    pub instance: &'o str,
    /// The namespace of the first registration.
    pub namespace: &'o str,
    /// Under the own service, `service.namespace`.
    pub registration: ServiceName,
}

impl Method {
    /// Asks about all tasks; the answers are in their order.
    ///
    /// # Errors
    /// When hacheck cannot be asked in this program's name.
    pub async fn states(
        &self,
        owner: &Owner<'_>,
        tasks: &[&Task],
    ) -> Result<Vec<Drained>, InvalidHeader> {
        let all = |drained: Drained| vec![drained; tasks.len()];
        match self {
            Self::Noop => Ok(all(Drained { is_draining: Some(false), is_safe_to_kill: true })),
            // It knows of what it did itself, and that is nothing.
            Self::Test => Ok(all(Drained { is_draining: Some(false), is_safe_to_kill: false })),
            Self::CrashyDrain => {
                Ok(all(Drained { is_draining: Some(false), is_safe_to_kill: true }))
            }
            Self::CrashyIsSafeToKill => {
                Ok(all(Drained { is_draining: Some(false), ..Drained::default() }))
            }
            Self::Hacheck(parameters) => {
                let agent = concat!("paasta-master ", env!("CARGO_PKG_VERSION"));
                let registrations = vec![owner.registration.clone()];
                let method =
                    DrainMethod::new(registrations, *parameters, HttpSettings::new(agent))?;
                Ok(of_hacheck(&method, tasks).await)
            }
            Self::Http(calls) => {
                let asked = stream::iter(tasks).map(async |task| Drained {
                    is_draining: answer(&calls.is_draining, owner, task).await,
                    is_safe_to_kill: answer(&calls.is_safe_to_kill, owner, task).await
                        == Some(true),
                });
                Ok(asked.buffered(AT_ONCE).collect().await)
            }
        }
    }
}

async fn of_hacheck(method: &DrainMethod, tasks: &[&Task]) -> Vec<Drained> {
    let asked: Vec<client::Task> = tasks
        .iter()
        .map(|task| client::Task { host: task.host.clone(), port: task.ports.first().copied() })
        .collect();
    let states = method.states_all(&asked).await.into_iter();
    let drained = states.map(|states| match states {
        Ok(states) => Drained {
            is_draining: Some(method.draining(&states)),
            is_safe_to_kill: method.safe_to_kill(&states),
        },
        // It has no mark, so nobody can take it out of service.
        Err(error) if matches!(error.fault, Fault::NoPort) => {
            Drained { is_draining: Some(false), is_safe_to_kill: false }
        }
        Err(_) => Drained::default(),
    });
    drained.collect()
}

/// Whether the answer has one of the good codes. `None`: there is none.
async fn answer(call: &Call, owner: &Owner<'_>, task: &Task) -> Option<bool> {
    let url = call.url.fill(&Values {
        host: &task.host,
        port: task.ports.first().copied(),
        service: owner.service,
        instance: owner.instance,
        namespace: owner.namespace,
    });
    let url = url.ok()?;
    let asked = Question {
        method: HttpMethod::from_bytes(call.method.as_str().as_bytes()).ok()?,
        url: &url,
        login: None,
        body: "",
        patience: OF_OTHERS,
        most: MOST_BYTES,
    };
    let (status, _) = http::ask(asked).await.ok()?;
    Some(call.success.contains(status.as_u16()))
}
