//! Many services in one process: `/N` answers 200, or 503 while service N is sick.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

/// Dropping it ends all of its services.
#[derive(Debug)]
pub(crate) struct Responder {
    pub(crate) port: u16,
    well: Arc<[AtomicBool]>,
    task: AbortHandle,
}

impl Responder {
    /// `services` healthy ones on a free port of 127.0.0.1.
    pub(crate) async fn start(services: usize) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let well: Arc<[AtomicBool]> = (0..services).map(|_| AtomicBool::new(true)).collect();
        let task = tokio::spawn(accept(listener, Arc::clone(&well))).abort_handle();
        Ok(Self { port, well, task })
    }

    pub(crate) fn set(&self, service: usize, well: bool) {
        if let Some(state) = self.well.get(service) {
            state.store(well, Ordering::Relaxed);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, well: Arc<[AtomicBool]>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let well = Arc::clone(&well);
                let answer = service::service_fn(move |request| {
                    let status = status(&request, &well);
                    async move { Ok::<_, Infallible>(reply(status)) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                connections.spawn(connection);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn status(request: &Request<Incoming>, well: &[AtomicBool]) -> StatusCode {
    let number = request.uri().path().trim_start_matches('/').parse::<usize>().ok();
    match number.and_then(|number| well.get(number)) {
        Some(well) if well.load(Ordering::Relaxed) => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::NOT_FOUND,
    }
}

fn reply(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut reply = Response::new(Empty::new());
    *reply.status_mut() = status;
    reply
}
