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
    /// What was complained of in the last pass over an instance, by instance.
    pub complaints: BTreeMap<String, Vec<String>>,
}

impl Status {
    fn metrics(&self) -> String {
        let held = u8::from(self.held.is_some());
        let leads = u8::from(self.leads);
        let lines = [
            ("leads", "gauge", leads.to_string()),
            ("instances", "gauge", self.instances.to_string()),
            ("waiting", "gauge", self.waiting.to_string()),
            ("under_way", "gauge", self.under_way.len().to_string()),
            ("held", "gauge", held.to_string()),
            ("faulty", "gauge", self.complaints.len().to_string()),
            ("passes_total", "counter", self.passes.to_string()),
            ("failures_total", "counter", self.failures.to_string()),
        ];
        let line = |(name, kind, value): (&str, &str, String)| {
            format!("# TYPE paasta_master_{name} {kind}\npaasta_master_{name} {value}\n")
        };
        lines.into_iter().map(line).collect()
    }
}

/// Answers until it is dropped.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    status: watch::Receiver<Arc<Status>>,
) -> std::io::Result<Infallible> {
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
        let status = status.clone();
        let respond = service_fn(move |request: Request<Incoming>| {
            let status = Arc::clone(&status.borrow());
            async move { Ok::<_, Infallible>(answer(&request, &status)) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), respond);
        connections.spawn(time::timeout(PATIENCE, connection));
    }
}

fn answer(request: &Request<Incoming>, status: &Status) -> Response<Full<Bytes>> {
    let (code, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/status.json") => {
            let text = serde_json::to_string(status).unwrap_or_default();
            (StatusCode::OK, "application/json", text)
        }
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4", status.metrics())
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
