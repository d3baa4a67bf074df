//! A small HTTP service for the demo and the tests.
//!
//! | path | answer |
//! | --- | --- |
//! | `/status` | 200, or 503 after `POST /sick` (until `POST /well`) |
//! | `/slow?MS` | its name after that many milliseconds |
//! | anything else | its name |

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use hacheck::server::{Limits, listen, serve};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};
use tokio_util::sync::CancellationToken;

/// Serves until SIGTERM or SIGINT, and `linger` longer.
///
/// # Errors
/// When the port is taken.
pub async fn run(name: String, port: u16, linger: Duration) -> anyhow::Result<()> {
    let listener = listen(([0, 0, 0, 0], port).into())
        .with_context(|| format!("cannot listen on port {port}"))?;
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        time::sleep(linger).await;
        token.cancel();
    });
    let service = Arc::new(Service { name, well: AtomicBool::new(true) });
    let handle = move |_, request| {
        let service = Arc::clone(&service);
        async move { service.answer(&request).await }
    };
    serve(listener, Limits::default(), handle, stop).await;
    Ok(())
}

struct Service {
    name: String,
    well: AtomicBool,
}

impl Service {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let name = || format!("hello from {}\n", self.name);
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::POST, path @ ("/sick" | "/well")) => {
                self.well.store(path == "/well", Ordering::Relaxed);
                (StatusCode::OK, name())
            }
            (_, "/status") if !self.well.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "sick\n".to_owned())
            }
            (_, "/slow") => {
                let ms = request.uri().query().and_then(|ms| ms.parse().ok()).unwrap_or(1000);
                time::sleep(Duration::from_millis(ms)).await;
                (StatusCode::OK, name())
            }
            _ => (StatusCode::OK, name()),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response
    }
}
