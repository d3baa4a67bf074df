//! A Mesos master and its agents, as far as a Marathon job asks them (marathon-sync.md §19, §23).
//! There is no package of the real one. The agent that SmartStack itself asks is
//! [`MesosAgent`](crate::MesosAgent).

mod shown;

use std::{collections::BTreeMap, io, net::Ipv4Addr, sync::Arc};

use hyper::{Method, Request, Response, body::Incoming};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    listening::{self, Answer},
    marathon::{Host, Task, TaskId},
    ports::Port,
};

/// What the CPU has done for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// As the agent counts it, with the 0.1 of the executor.
    pub cpus_limit: f64,
    pub user_seconds: f64,
    pub system_seconds: f64,
    /// Bytes.
    pub memory: u64,
}

/// What goes wrong with every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Hang,
    Status(u16),
}

/// How the machines under maintenance are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// `{"id": {"hostname": .., "ip": ..}}` for draining ones; no key when there are none.
    #[default]
    ById,
    /// The fields of each directly.
    Direct,
}

/// Everything there is to tell.
#[derive(Clone, Debug, Default)]
struct State {
    hosts: Vec<Host>,
    tasks: Vec<Task>,
    draining: Vec<String>,
    down: Vec<String>,
    listing: Listing,
    usage: BTreeMap<TaskId, Usage>,
    trouble: Option<Trouble>,
}

/// The leading master. Dropping it ends it.
#[derive(Debug)]
pub struct MesosMaster {
    port: Port,
    state: Arc<Mutex<State>>,
    server: AbortHandle,
}

/// The agent of one host. Dropping it ends it.
#[derive(Debug)]
pub struct AgentOfHost {
    address: Ipv4Addr,
    port: u16,
    server: AbortHandle,
}

impl MesosMaster {
    /// On a free port of 127.0.0.1, with an agent known for each host.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(hosts: &[Host]) -> io::Result<Self> {
        let port = Port::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port.number)).await?;
        let state = Arc::new(Mutex::new(State { hosts: hosts.to_vec(), ..State::default() }));
        let shared = Arc::clone(&state);
        let serving = listening::serve(listener, move |request| {
            let state = shared.lock().clone();
            async move { answer(&state, &request, shown::master).await }
        });
        Ok(Self { port, state, server: tokio::spawn(serving).abort_handle() })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// `HOST:PORT`, as the file of Mesos' clients names a leader.
    #[must_use]
    pub fn leader(&self) -> String {
        format!("127.0.0.1:{}", self.port.number)
    }

    /// Exactly these hosts, by name, are to be emptied.
    pub fn drain(&self, hosts: &[&str]) {
        self.state.lock().draining = hosts.iter().map(|&host| host.to_owned()).collect();
    }

    /// Exactly these hosts, by name, are down.
    pub fn take_down(&self, hosts: &[&str]) {
        self.state.lock().down = hosts.iter().map(|&host| host.to_owned()).collect();
    }

    pub fn list_machines(&self, listing: Listing) {
        self.state.lock().listing = listing;
    }

    /// Exactly these tasks run.
    pub fn run(&self, tasks: &[Task]) {
        self.state.lock().tasks = tasks.to_vec();
    }

    pub fn set_usage(&self, task: &TaskId, usage: Usage) {
        self.state.lock().usage.insert(task.clone(), usage);
    }

    /// From now on master and agents fail like this, or not any more.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.state.lock().trouble = trouble;
    }

    /// Starts the agent of a host on this port of its address; 0 for any.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn agent(&self, host: &Host, port: u16) -> io::Result<AgentOfHost> {
        let listener = TcpListener::bind((host.address, port)).await?;
        let port = listener.local_addr()?.port();
        let (shared, name) = (Arc::clone(&self.state), host.name.clone());
        let serving = listening::serve(listener, move |request| {
            let (state, name) = (shared.lock().clone(), name.clone());
            async move { answer(&state, &request, |state, path| shown::agent(state, &name, path)).await }
        });
        let server = tokio::spawn(serving).abort_handle();
        Ok(AgentOfHost { address: host.address, port, server })
    }
}

impl AgentOfHost {
    #[must_use]
    pub fn address(&self) -> (Ipv4Addr, u16) {
        (self.address, self.port)
    }
}

impl Drop for MesosMaster {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Drop for AgentOfHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    state: &State,
    request: &Request<Incoming>,
    tell: impl Fn(&State, &str) -> Option<Value>,
) -> io::Result<Response<Answer>> {
    match state.trouble {
        Some(Trouble::Hang) => std::future::pending().await,
        Some(Trouble::Status(status)) => return Ok(listening::reply(status, None)),
        None => {}
    }
    let told = tell(state, request.uri().path().trim_end_matches('/'));
    Ok(match (told, request.method()) {
        (None, _) => listening::reply(404, None),
        (Some(told), &Method::GET) => listening::reply(200, Some(&told)),
        (Some(_), _) => listening::reply(405, None),
    })
}
