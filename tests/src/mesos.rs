//! A Mesos agent as far as its state goes. There is no package of the real one.

use std::{convert::Infallible, io};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

/// Answers `GET /state`, or `/state.json` as agents before 1.0 do; 404 elsewhere, 405 for other methods.
/// Dropping it ends it.
#[derive(Debug)]
pub struct MesosAgent {
    port: u16,
    frameworks: watch::Sender<Value>,
    task: AbortHandle,
}

impl MesosAgent {
    /// One without tasks.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(is_old: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (frameworks, shown) = watch::channel(json!([]));
        let task = tokio::spawn(serve(listener, is_old, shown)).abort_handle();
        Ok(Self { port, frameworks, task })
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs exactly these tasks of Marathon: container's UUID, task id, port.
    pub fn run(&self, tasks: &[(&str, &str, u16)]) {
        let executor = |(container, task, port): &(&str, &str, u16)| {
            json!({
                "id": task, "container": container, "source": task,
                "resources": {"cpus": 0.1, "ports": format!("[{port}-{port}]")},
                "tasks": [{"id": task, "state": "TASK_RUNNING"}],
            })
        };
        let executors: Vec<Value> = tasks.iter().map(executor).collect();
        let marathon = json!({"name": "marathon", "active": true, "executors": executors});
        self.frameworks.send_replace(json!([marathon]));
    }
}

impl Drop for MesosAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, is_old: bool, frameworks: watch::Receiver<Value>) {
    while let Ok((stream, _)) = listener.accept().await {
        let frameworks = frameworks.clone();
        let answer = service::service_fn(move |request: Request<Incoming>| {
            let reply = reply(&request, is_old, &frameworks);
            async move { Ok::<_, Infallible>(reply) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

fn reply(
    request: &Request<Incoming>,
    is_old: bool,
    frameworks: &watch::Receiver<Value>,
) -> Response<Full<Bytes>> {
    let is_state = match request.uri().path() {
        "/state" => !is_old,
        "/state.json" => true,
        _ => false,
    };
    let (status, body) = match (request.method(), is_state) {
        (_, false) => (StatusCode::NOT_FOUND, String::new()),
        (&Method::GET, true) => {
            let frameworks = frameworks.borrow().clone();
            (StatusCode::OK, json!({"version": "1.5.0", "frameworks": frameworks}).to_string())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
}
