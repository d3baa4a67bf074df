//! In the place of Sensu's client: one that listens, and those that do not take an event.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time,
};

use crate::eventually;

/// A connection to this machine is either there by then, or there is no room for it.
const FULL: Duration = Duration::from_millis(300);

/// Reads what it is handed. Dropping it closes its port.
#[derive(Debug)]
pub struct Sensu {
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    _listening: JoinSet<()>,
}

impl Sensu {
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut reading = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                reading.spawn(async move {
                    let mut text = String::new();
                    if stream.read_to_string(&mut text).await.is_ok() {
                        heard.lock().push(text);
                    }
                });
            }
        });
        Ok(Self { port, lines, _listening: listening })
    }

    /// All events so far, in their order.
    ///
    /// # Panics
    /// When one is no JSON.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &String| match serde_json::from_str(line) {
            Ok(event) => event,
            Err(error) => panic!("{error}: {line}"),
        };
        self.lines.lock().iter().map(parse).collect()
    }

    /// The first event, once it is here, for which this holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            let events = self.events();
            events.iter().find(|event| holds(event)).cloned().ok_or(events)
        })
        .await
    }
}

/// Takes connections, and reads nothing: the system keeps what it is sent.
#[derive(Debug)]
pub struct Silent {
    pub port: u16,
    _listener: TcpListener,
}

impl Silent {
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { port: listener.local_addr()?.port(), _listener: listener })
    }
}

/// As many connections wait to be taken as may wait: another one gets no answer.
#[derive(Debug)]
pub struct Full {
    pub port: u16,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Full {
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut waiting = Vec::new();
        while let Ok(stream) = time::timeout(FULL, TcpStream::connect(address)).await {
            waiting.push(stream?);
        }
        Ok(Self { port: address.port(), _listener: listener, _waiting: waiting })
    }
}
