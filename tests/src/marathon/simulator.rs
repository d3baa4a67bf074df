//! The handle that tests hold.

use std::{io, sync::Arc};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::broadcast,
    task::{AbortHandle, JoinHandle},
    time,
};

use super::{
    event::Event,
    faults::{Fault, Harm},
    follower::Follower,
    machine::Machine,
    real::Ending,
    refusal::Refusal,
    routes::{self, Reply},
    script::Script,
    server::Shared,
    settings::Settings,
};
use crate::{
    eventually,
    listening::{self, Answer},
    ports::Port,
};

/// Bodies beyond this are refused.
const MOST: usize = 1 << 20;
/// Calls beyond so many are not recorded.
const CALLS: usize = 100_000;

/// A request as it came, refused or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    /// Without its question mark.
    pub query: String,
    pub body: String,
    pub user_agent: Option<String>,
}

/// A running simulator. Dropping it ends it, and its real tasks with it.
#[derive(Debug)]
pub struct Marathon {
    shared: Arc<Shared>,
    port: u16,
    /// Nobody else is given it.
    reserved: Option<Port>,
    driver: AbortHandle,
    server: Option<JoinHandle<()>>,
}

impl Marathon {
    /// On a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let port = Port::free()?;
        let mut marathon = Self::start_on(port.number, settings).await?;
        marathon.reserved = Some(port);
        Ok(marathon)
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
        let server = Some(serve(listener, &shared));
        Ok(Self { shared, port, reserved: None, driver, server })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on tasks fare like this, those that are there too.
    pub fn set_script(&self, script: Script) {
        self.change(|machine| machine.set_script(script));
    }

    /// Adds a fault behind those that are still to come.
    pub fn fault(&self, fault: Fault) {
        self.shared.with(|inner| inner.faults.push(fault));
    }

    pub fn clear_faults(&self) {
        self.shared.with(|inner| inner.faults.clear());
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

    /// Changes the state past the interface: lets a task fail, get lost, be found.
    pub fn change<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.shared.with(|inner| act(&mut inner.machine))
    }

    /// Waits until the state is such that `look` finds something.
    ///
    /// # Panics
    /// With all tasks, when that does not happen.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&Machine) -> Option<T>) -> T {
        let seen = |machine: &Machine| {
            look(machine).ok_or_else(|| machine.tasks().cloned().collect::<Vec<_>>())
        };
        eventually(what, async || self.read(seen)).await
    }

    /// What happens from now on. One that falls behind by a thousand events misses some.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Stops listening and ends all connections. Tasks live on.
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
        self.server = Some(serve(listener, &self.shared));
        Ok(())
    }

    /// From now on there is no leader, or there is one again.
    pub fn set_leader(&self, is_there: bool) {
        self.shared.leads.send_replace(is_there);
    }

    /// One more server of this Marathon, which hands everything on to this one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn follower(&self) -> io::Result<Follower> {
        Follower::start(Arc::clone(&self.shared)).await
    }
}

impl Drop for Marathon {
    fn drop(&mut self) {
        self.driver.abort();
        if let Some(server) = &self.server {
            server.abort();
        }
        if let Some(runner) = &self.shared.settings.runner {
            let tasks =
                self.read(|machine| machine.tasks().map(|t| t.id.clone()).collect::<Vec<_>>());
            // Nobody waits for their end, which is at once.
            tasks.iter().for_each(|task| drop(runner.stop(task, Ending::Died)));
        }
    }
}

fn serve(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    tokio::spawn(listening::serve(listener, move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(&shared, request).await }
    }))
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> io::Result<Response<Answer>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST).collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        user_agent: head.headers.get(USER_AGENT).map(text),
    };
    shared.with(|inner| {
        if inner.calls.len() < CALLS {
            inner.calls.push(call.clone());
        }
    });
    if !is_known(shared.settings.login.as_ref(), &head.headers) {
        let refusal = Refusal::unknown_user();
        let mut reply = listening::reply(refusal.status, Some(&refusal.body));
        let realm = HeaderValue::from_static("Basic realm=\"Mesosphere\"");
        reply.headers_mut().insert(WWW_AUTHENTICATE, realm);
        return Ok(reply);
    }
    match shared.with(|inner| inner.faults.meet(&call.method, &call.path)) {
        Some(Harm::Hang) => std::future::pending().await,
        Some(Harm::Answer(status, body)) => Ok(listening::reply(status, Some(&body))),
        None => Ok(act(shared, &call).await),
        Some(Harm::Cut) => Ok(act(shared, &call).await.map(Answer::cut)),
        Some(Harm::Drop) => {
            act(shared, &call).await;
            Err(io::Error::other("the answer is dropped"))
        }
    }
}

async fn act(shared: &Shared, call: &Call) -> Response<Answer> {
    let path = call.path.trim_end_matches('/');
    let is_leader_needed = !matches!(path, "/ping" | "/v2/leader" | "/v2/info");
    if is_leader_needed && !has_leader(shared).await {
        return refuse(&Refusal::no_leader());
    }
    let leader = Some(format!("127.0.0.1:{}", shared.port)).filter(|_| *shared.leads.borrow());
    let Reply { status, deployment, body } = match (path, call.method.as_str(), leader) {
        ("/v2/info", "GET", leader) => {
            let info = json!({
                "name": "marathon", "version": "1.4.10", "elected": leader.is_some(),
                "frameworkId": "20180123-120000-0-0000", "leader": leader, "marathon_config": {},
                "zookeeper_config": {}, "http_config": {"http_port": shared.port},
            });
            ok(200, info)
        }
        ("/v2/leader", "GET", Some(leader)) => ok(200, json!({"leader": leader})),
        ("/v2/leader", "GET", None) => ok(404, json!({"message": "There is no leader"})),
        _ => {
            let Call { method, path, query, body, .. } = call;
            let request = routes::Request { method, path, query, body };
            shared.with(|inner| routes::answer(&mut inner.machine, &request))
        }
    };
    let mut reply = listening::reply(status, body.as_ref());
    if let Some(id) = deployment.and_then(|id| HeaderValue::from_str(&id).ok()) {
        reply.headers_mut().insert(HeaderName::from_static("marathon-deployment-id"), id);
    }
    reply
}

/// Waits for one as long as the real one does.
pub(super) async fn has_leader(shared: &Shared) -> bool {
    let mut leads = shared.leads.subscribe();
    let waiting = leads.wait_for(|leads| *leads);
    matches!(time::timeout(shared.settings.leader_wait, waiting).await, Ok(Ok(_)))
}

pub(super) fn refuse(refusal: &Refusal) -> Response<Answer> {
    listening::reply(refusal.status, Some(&refusal.body))
}

fn ok(status: u16, body: Value) -> Reply {
    Reply { status, deployment: None, body: Some(body) }
}

/// Whether a request brings this user and password.
pub(crate) fn is_known(login: Option<&(String, String)>, headers: &HeaderMap) -> bool {
    login.is_none_or(|(user, password)| {
        let wanted = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        headers.get(AUTHORIZATION).is_some_and(|given| *given == *wanted)
    })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4_usize {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or_default();
            let used = digit <= chunk.len();
            text.push(if used { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn a_login_is_written_as_base64() {
        for (plain, coded) in [
            ("", ""),
            ("a", "YQ=="),
            ("ab", "YWI="),
            ("abc", "YWJj"),
            ("user:pass", "dXNlcjpwYXNz"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
