//! What the daemon is doing, over HTTP: `/status.json` for people and programs, `/metrics` for Prometheus.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time};

use super::jobs;

/// Connections at once; others wait.
const CONNECTIONS: usize = 64;
/// For one connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A snapshot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// This master acts; else another one does.
    pub leads: bool,
    pub cluster: String,
    /// Instances that there are.
    pub instances: usize,
    pub waiting: usize,
    pub under_way: Vec<String>,
    pub passes: u64,
    pub failures: u64,
    /// Why nothing new is begun. `None`: all is well.
    pub held: Option<String>,
    /// A line for each file of soa-configs that cannot be read.
    pub broken: Vec<String>,
    /// What was complained of in the last pass over an instance, by instance.
    pub complaints: BTreeMap<String, Vec<String>>,
}

/// Both snapshots.
#[derive(Serialize)]
struct Shown<'s> {
    #[serde(flatten)]
    status: &'s Status,
    /// Null: there is no Chronos here, or another master looks after it.
    chronos: Option<&'s jobs::Status>,
}

/// Where snapshots come from.
#[derive(Clone, Debug)]
pub struct Sources {
    pub status: watch::Receiver<Arc<Status>>,
    pub chronos: watch::Receiver<Option<Arc<jobs::Status>>>,
}

impl Shown<'_> {
    fn metrics(&self) -> String {
        let chronos = self.chronos.map(|chronos| {
            [
                ("chronos_jobs", "gauge", chronos.jobs as u64),
                ("chronos_complaints", "gauge", chronos.complaints.len() as u64),
                ("chronos_rounds_total", "counter", chronos.rounds),
                ("chronos_failures_total", "counter", chronos.failures),
                ("chronos_written_total", "counter", chronos.written),
                ("chronos_removed_total", "counter", chronos.removed),
            ]
        });
        let own = self.status.metrics();
        own.into_iter().chain(chronos.into_iter().flatten()).map(line).collect()
    }
}

type Metric = (&'static str, &'static str, u64);

fn line((name, kind, value): Metric) -> String {
    format!("# TYPE paasta_master_{name} {kind}\npaasta_master_{name} {value}\n")
}

impl Status {
    fn metrics(&self) -> [Metric; 9] {
        [
            ("leads", "gauge", self.leads.into()),
            ("instances", "gauge", self.instances as u64),
            ("waiting", "gauge", self.waiting as u64),
            ("under_way", "gauge", self.under_way.len() as u64),
            ("held", "gauge", self.held.is_some().into()),
            ("broken_files", "gauge", self.broken.len() as u64),
            ("faulty", "gauge", self.complaints.len() as u64),
            ("passes_total", "counter", self.passes),
            ("failures_total", "counter", self.failures),
        ]
    }
}

/// Answers until it is dropped.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, sources: Sources) -> std::io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, for instance: others may close theirs.
            time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let sources = sources.clone();
        let respond = service_fn(move |request: Request<Incoming>| {
            let status = Arc::clone(&sources.status.borrow());
            let chronos = sources.chronos.borrow().clone();
            let shown = Shown { status: &status, chronos: chronos.as_deref() };
            std::future::ready(Ok::<_, Infallible>(answer(&request, &shown)))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), respond);
        connections.spawn(time::timeout(PATIENCE, connection));
    }
}

fn answer(request: &Request<Incoming>, shown: &Shown<'_>) -> Response<Full<Bytes>> {
    let (code, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/status.json") => {
            let text = serde_json::to_string(shown).unwrap_or_default();
            (StatusCode::OK, "application/json", text)
        }
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4", shown.metrics())
        }
        (_, "/status.json" | "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, "text/plain", "/status.json and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
