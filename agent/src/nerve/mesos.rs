//! A second source for what Docker says of a Mesos task: the state of the Mesos agent on this host
//! (nerve.md §7.1). It names tasks whose labels are missing, and confirms the others. It takes nothing
//! away: a Mesos agent that is not there changes nothing.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, Uri, header};
use serde::Deserialize;
use tokio::{net::TcpStream, sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::containers::{Container, Containers};
use crate::{backoff::random, http_client, snapshot::renew};

/// As paasta_tools waits.
const LIMIT: Duration = Duration::from_secs(10);
/// The state of an agent with thousands of finished tasks.
const MAX_STATE: usize = 64 << 20;

/// Where the agent of this host is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://HOST:PORT`
    pub url: Uri,
    /// Between two looks, more or less; a container that nobody can name is a reason to look at once.
    pub poll: Duration,
}

/// What Mesos knows of one of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MesosTask {
    pub task_id: String,
    /// The first port of its resources.
    pub port: Option<u16>,
}

/// The running Marathon tasks of this host, by the UUID that ends the names of their containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mesos {
    pub tasks: BTreeMap<String, MesosTask>,
}

impl Mesos {
    /// The containers, with what Mesos knows of them.
    #[must_use]
    pub fn name<'a>(&self, containers: &'a Containers) -> Cow<'a, Containers> {
        if self.tasks.is_empty() {
            return Cow::Borrowed(containers);
        }
        let mut named = containers.clone();
        for container in named.running.values_mut() {
            let Some(task) = uuid(&container.name).and_then(|uuid| self.tasks.get(uuid)) else {
                continue;
            };
            let container: &mut Container = Arc::make_mut(container);
            container.mesos = Some(task.clone());
        }
        Cow::Owned(named)
    }
}

/// Of `mesos-<uuid>` and of `mesos-<agent id>.<uuid>`.
fn uuid(name: &str) -> Option<&str> {
    let id = name.strip_prefix("mesos-")?;
    Some(id.rsplit_once('.').map_or(id, |(_, uuid)| uuid))
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    frameworks: Vec<Framework>,
}

#[derive(Deserialize)]
struct Framework {
    #[serde(default)]
    name: String,
    #[serde(default)]
    executors: Vec<Executor>,
}

#[derive(Deserialize)]
struct Executor {
    #[serde(default)]
    id: String,
    #[serde(default)]
    container: String,
    #[serde(default)]
    resources: Resources,
    #[serde(default)]
    tasks: Vec<Task>,
}

#[derive(Default, Deserialize)]
struct Resources {
    ports: Option<String>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    state: String,
}

/// Reads a state. Several Marathons are `marathon`, `marathon1` and so on.
fn parse(state: &[u8]) -> Result<Mesos, String> {
    let state: State = serde_json::from_slice(state).map_err(|error| error.to_string())?;
    let ours = state.frameworks.into_iter().filter(|f| f.name.starts_with("marathon"));
    let running = ours.flat_map(|framework| framework.executors).filter(|executor| {
        executor.tasks.iter().any(|task| task.state == "TASK_RUNNING")
            && !executor.container.is_empty()
    });
    let task = |executor: Executor| {
        let port = executor.resources.ports.as_deref().and_then(first_port);
        (executor.container, MesosTask { task_id: executor.id, port })
    };
    Ok(Mesos { tasks: running.map(task).collect() })
}

/// `[31337-31337, 31400-31401]` → 31337.
fn first_port(ranges: &str) -> Option<u16> {
    let digits = ranges.trim_start_matches(['[', ' ']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|port| *port != 0)
}

/// Asks again and again, until `stop`. What was answered last stands while the agent is away.
pub async fn follow(
    settings: Settings,
    mut containers: watch::Receiver<Arc<Containers>>,
    current: watch::Sender<Arc<Mesos>>,
    stop: CancellationToken,
) {
    let mut away = false;
    loop {
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = ask(&settings.url) => answer,
        };
        match answer.and_then(|state| parse(&state)) {
            Ok(mesos) => {
                if std::mem::take(&mut away) {
                    info!(url = %settings.url, "the mesos agent answers again");
                }
                renew(&current, mesos);
            }
            Err(error) if !away => {
                warn!(url = %settings.url, error, "the mesos agent does not answer; docker is enough");
                away = true;
            }
            Err(_) => {}
        }
        let pause = settings.poll.mul_f64(0.8 + 0.4 * random());
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(pause) => {}
            () = somebody_new(&mut containers, &current) => {
                // Mesos may hear of its task a moment later than we.
                time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Waits for a container of Mesos that it has not named yet.
async fn somebody_new(
    containers: &mut watch::Receiver<Arc<Containers>>,
    current: &watch::Sender<Arc<Mesos>>,
) {
    loop {
        if containers.changed().await.is_err() {
            return std::future::pending().await;
        }
        let known = current.borrow().clone();
        let running = containers.borrow_and_update().clone();
        let is_new =
            |c: &Arc<Container>| uuid(&c.name).is_some_and(|u| !known.tasks.contains_key(u));
        if running.running.values().any(is_new) {
            return;
        }
    }
}

async fn ask(url: &Uri) -> Result<Bytes, String> {
    let answer = async {
        // Agents before 1.0 know only the second one.
        match get(url, "/state").await? {
            (StatusCode::NOT_FOUND, _) => get(url, "/state.json").await,
            answer => Ok(answer),
        }
    };
    let answer = time::timeout(LIMIT, answer).await;
    match answer.unwrap_or_else(|_| Err("no answer within 10 s".into())) {
        Ok((StatusCode::OK, body)) => Ok(body),
        Ok((status, _)) => Err(format!("it answers {status}")),
        Err(error) => Err(error.to_string()),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn get(url: &Uri, path: &str) -> Result<(StatusCode, Bytes), Failure> {
    let host = url.host().ok_or("the url names no host")?;
    let port = url.port_u16().unwrap_or(5051);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let request = Request::get(path)
        .header(header::HOST, format!("{host}:{port}"))
        .body(Empty::<Bytes>::new())?;
    Ok(http_client::ask(stream, request, MAX_STATE).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nerve::containers::tests::container;

    const STATE: &str = r#"{"frameworks": [
        {"name": "marathon1", "executors": [
            {"id": "books.main.gitx.configy.u1", "container": "c1", "resources": {"ports": "[31337-31338]"},
             "tasks": [{"state": "TASK_RUNNING"}]},
            {"id": "books.main.gitx.configy.u2", "container": "c2", "tasks": [{"state": "TASK_STAGING"}]},
            {"id": "no.port", "container": "c3", "resources": {"cpus": 1}, "tasks": [{"state": "TASK_RUNNING"}]}]},
        {"name": "chronos", "executors": [
            {"id": "ct:1:0:x:", "container": "c4", "tasks": [{"state": "TASK_RUNNING"}]}]}]}"#;

    #[test]
    fn running_tasks_of_marathon_are_known_by_their_container() {
        let mesos = parse(STATE.as_bytes()).unwrap();
        let known: Vec<_> = mesos.tasks.iter().map(|(c, task)| (c.as_str(), task.port)).collect();
        assert_eq!(known, [("c1", Some(31337)), ("c3", None)]);
        assert!(parse(b"<html>").is_err());
        assert_eq!(parse(b"{}").unwrap(), Mesos::default());
    }

    #[test]
    fn a_container_is_named_by_the_end_of_its_name() {
        let mesos = parse(STATE.as_bytes()).unwrap();
        for (name, found) in
            [("mesos-c1", true), ("mesos-agent-S1.c1", true), ("mesos-c2", false), ("c1", false)]
        {
            let one = Arc::new(container(name, &[], &[]));
            let running = [(one.id.clone(), one)].into();
            let containers = Containers { running, ..Containers::default() };
            let named = mesos.name(&containers);
            let named = named.running.values().next().unwrap().mesos.is_some();
            assert_eq!(named, found, "{name}");
        }
    }

    #[test]
    fn the_first_port_is_read_from_any_ranges() {
        for (text, port) in
            [("[31337-31337]", Some(31337)), ("[1-2, 5-6]", Some(1)), ("[]", None), ("[0-1]", None)]
        {
            assert_eq!(first_port(text), port, "{text}");
        }
    }
}
