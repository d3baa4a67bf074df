//! A server of the same Marathon that does not lead: it hands requests on.

use std::{io, net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::json;
use tokio::{net::TcpListener, task::AbortHandle};

use super::{
    refusal::Refusal,
    server::Shared,
    simulator::{has_leader, refuse},
};
use crate::{
    listening::{self, Answer},
    ports::Port,
    web,
};

const MOST: usize = 1 << 20;
const LEADER: HeaderName = HeaderName::from_static("x-marathon-leader");
const VIA: HeaderName = HeaderName::from_static("x-marathon-via");
/// What is handed on, there and back.
const THERE: &[&str] = &["authorization", "content-type", "accept", "user-agent"];
const BACK: &[&str] = &["marathon-deployment-id", "www-authenticate"];

/// Dropping it ends it.
#[derive(Debug)]
pub struct Follower {
    port: Port,
    task: AbortHandle,
}

impl Follower {
    pub(super) async fn start(leader: Arc<Shared>) -> io::Result<Self> {
        let port = Port::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port.number)).await?;
        let number = port.number;
        let serving = listening::serve(listener, move |request| {
            let leader = Arc::clone(&leader);
            async move { hand_on(&leader, number, request).await }
        });
        Ok(Self { port, task: tokio::spawn(serving).abort_handle() })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_on(
    leader: &Shared,
    own: u16,
    request: Request<Incoming>,
) -> io::Result<Response<Answer>> {
    if !has_leader(leader).await {
        return Ok(refuse(&Refusal::no_leader()));
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST).collect().await.map_err(io::Error::other)?.to_bytes();
    let header = |name: &&'static str| Some((*name, head.headers.get(*name)?.to_str().ok()?));
    let headers: Vec<(&str, &str)> = THERE.iter().filter_map(header).collect();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let address = SocketAddr::from(([127, 0, 0, 1], leader.port));
    let text = String::from_utf8_lossy(&body);
    let answer = web::exchange(address, head.method, path, &headers, &text).await;
    let (status, given, text) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let body = json!({"message": format!("the leader does not answer: {error}")});
            return Ok(listening::reply(502, Some(&body)));
        }
    };
    let mut reply = Response::new(Answer::whole(text));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let headers = reply.headers_mut();
    for name in BACK.iter().copied().chain([CONTENT_TYPE.as_str()]) {
        if let Some(value) = given.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    let value = |text: String| HeaderValue::from_str(&text).map_err(io::Error::other);
    headers.insert(LEADER, value(format!("http://127.0.0.1:{}", leader.port))?);
    headers.insert(VIA, value(format!("1.1 127.0.0.1:{own}"))?);
    Ok(reply)
}
