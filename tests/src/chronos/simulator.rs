//! The handle that tests hold.

use std::{io, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
    http::request::Parts,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::broadcast,
    task::{AbortHandle, JoinHandle},
    time,
};

use super::{
    event::Event,
    faults::Fault,
    follower,
    machine::Machine,
    refusal::Refusal,
    routes::{self, decoded},
    script::Script,
    server::Shared,
    settings::Settings,
};
use crate::{
    eventually,
    listening::{self, Answer},
    marathon::{Harm, is_known},
    ports::Port,
};

/// Bodies beyond this are refused.
const MOST: usize = 1 << 20;

/// A request as it came, refused or not; once, though one server may have handed it on to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// As it was sent.
    pub path: String,
    pub query: String,
    pub body: String,
    pub content_type: Option<String>,
}

impl Call {
    /// The name of the job that it is about; empty if of none.
    #[must_use]
    pub fn job(&self) -> String {
        match serde_json::from_str::<Value>(&self.body)
            .ok()
            .and_then(|body| body.get("name").cloned())
        {
            Some(name) => name.as_str().unwrap_or_default().to_owned(),
            None if self.path.starts_with("/scheduler/job/") || self.path.contains("/kill/") => {
                decoded(self.path.rsplit('/').next().unwrap_or_default())
            }
            None => String::new(),
        }
    }

    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// A running simulator. Dropping it ends it.
#[derive(Debug)]
pub struct Chronos {
    shared: Arc<Shared>,
    port: u16,
    /// Nobody else is given them.
    reserved: Vec<Port>,
    driver: AbortHandle,
    server: Option<JoinHandle<()>>,
    /// More servers of the same Chronos.
    others: Vec<AbortHandle>,
}

impl Chronos {
    /// On a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let port = Port::free()?;
        let mut chronos = Self::start_on(port.number, settings).await?;
        chronos.reserved.push(port);
        Ok(chronos)
    }

    /// On this port of 127.0.0.1.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn start_on(port: u16, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let shared = Shared::new(port, settings);
        let driver = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.drive().await }).abort_handle()
        };
        let server = Some(serve(listener, port, &shared));
        let (reserved, others) = (Vec::new(), Vec::new());
        Ok(Self { shared, port, reserved, driver, server, others })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One more server of this Chronos, which hands everything on to the one that leads. Returns its port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn follower(&mut self) -> io::Result<u16> {
        let port = Port::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port.number)).await?;
        self.others.push(serve(listener, port.number, &self.shared).abort_handle());
        let number = port.number;
        self.reserved.push(port);
        Ok(number)
    }

    /// From now on runs fare like this.
    pub fn set_script(&self, script: Script) {
        self.change(|machine| machine.set_script(script));
    }

    /// Adds a fault behind those that are still to come.
    pub fn fault(&self, fault: Fault) {
        self.shared.with(|inner| inner.faults.push(fault));
    }

    pub fn clear_faults(&self) {
        self.shared.with(|inner| {
            inner.faults.clear();
            inner.writes_left = None;
            inner.delay = Duration::ZERO;
        });
    }

    /// After so many more changes it is dead: connections end without an answer, until faults are cleared.
    pub fn die_after_writes(&self, writes: usize) {
        self.shared.with(|inner| inner.writes_left = Some(writes));
    }

    /// From now on every answer takes so long.
    pub fn slow_down(&self, delay: Duration) {
        self.shared.with(|inner| inner.delay = delay);
    }

    /// All calls since the start or the last [`forget_calls`](Self::forget_calls), in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.with(|inner| inner.calls.clone())
    }

    pub fn forget_calls(&self) {
        self.shared.with(|inner| inner.calls.clear());
    }

    /// Looks at the state as it is now.
    pub fn read<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        self.shared.with(|inner| look(&inner.machine))
    }

    /// Changes the state past the interface.
    pub fn change<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.shared.with(|inner| act(&mut inner.machine))
    }

    /// Waits until the state is such that `look` finds something.
    ///
    /// # Panics
    /// With the names of all jobs, when that does not happen.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&Machine) -> Option<T>) -> T {
        let names = |machine: &Machine| machine.jobs().map(|(name, _)| name.to_owned()).collect();
        let seen =
            |machine: &Machine| look(machine).ok_or_else(|| -> Vec<String> { names(machine) });
        eventually(what, async || self.read(seen)).await
    }

    /// What happens from now on, with the time of its clock.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<(Timestamp, Event)> {
        self.shared.events.subscribe()
    }

    /// Stops listening and ends all connections. Runs go on.
    pub async fn die(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // Its end is what matters.
            let _ = server.await;
        }
    }

    /// Listens again, on the same port and with the same state.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn revive(&mut self) -> io::Result<()> {
        self.die().await;
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.server = Some(serve(listener, self.port, &self.shared));
        Ok(())
    }

    /// From now on the server on this port leads, or none does.
    pub fn set_leader(&self, port: Option<u16>) {
        self.shared.with(|inner| inner.leader = port);
    }
}

impl Drop for Chronos {
    fn drop(&mut self) {
        self.driver.abort();
        self.server.iter().for_each(JoinHandle::abort);
        self.others.iter().for_each(AbortHandle::abort);
    }
}

fn serve(listener: TcpListener, port: u16, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    tokio::spawn(listening::serve(listener, move |request| {
        let shared = Arc::clone(&shared);
        async move {
            let (head, call) = read(request).await?;
            match shared.with(|inner| inner.leader) {
                Some(leader) if leader == port => respond(&shared, &head, call).await,
                Some(leader) => match follower::hand_on(leader, &call, &head.headers).await {
                    Some(reply) => Ok(reply),
                    None => Ok(alone(&shared, call)),
                },
                None => Ok(alone(&shared, call)),
            }
        }
    }))
}

async fn read(request: Request<Incoming>) -> io::Result<(Parts, Call)> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST).collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        content_type: head.headers.get(CONTENT_TYPE).map(text),
    };
    Ok((head, call))
}

fn alone(shared: &Shared, call: Call) -> Response<Answer> {
    shared.with(|inner| inner.record(call));
    follower::alone()
}

async fn respond(shared: &Shared, head: &Parts, call: Call) -> io::Result<Response<Answer>> {
    let delay = shared.with(|inner| {
        inner.record(call.clone());
        inner.delay
    });
    time::sleep(delay).await;
    if !is_known(shared.settings.login.as_ref(), &head.headers) {
        let refusal = Refusal::unknown_user();
        let mut reply = listening::reply(refusal.status, Some(&refusal.body));
        let realm = HeaderValue::from_static("Basic realm=\"Chronos\"");
        reply.headers_mut().insert(WWW_AUTHENTICATE, realm);
        return Ok(reply);
    }
    match shared.with(|inner| inner.faults.meet(&call.method, &call.path, &call.job())) {
        Some(Harm::Hang) => std::future::pending().await,
        Some(Harm::Answer(status, body)) => Ok(listening::reply(status, Some(&body))),
        None => act(shared, &call).await,
        Some(Harm::Cut) => act(shared, &call).await.map(|reply| reply.map(Answer::cut)),
        Some(Harm::Drop) => {
            act(shared, &call).await?;
            Err(io::Error::other("the answer is dropped"))
        }
    }
}

async fn act(shared: &Shared, call: &Call) -> io::Result<Response<Answer>> {
    shared.with(|inner| match &mut inner.writes_left {
        Some(0) => Err(io::Error::other("it is dead")),
        Some(left) if call.is_write() => {
            *left -= 1;
            Ok(())
        }
        _ => Ok(()),
    })?;
    let leader = shared.with(|inner| inner.leader);
    let leader = leader.map(|port| format!("127.0.0.1:{port}"));
    let (status, body) = match call.path.as_str() {
        "/leader" => (200, Some(json!({"leader": leader}))),
        "/info" => (200, Some(json!({"version": "2.5.0", "leader": leader}))),
        "/ping" => (200, Some(json!("pong"))),
        path => {
            let asked = (call.method.as_str(), path, call.query.as_str());
            shared.with(|inner| routes::answer(&mut inner.machine, asked, &call.body))
        }
    };
    Ok(listening::reply(status, body.as_ref()))
}
