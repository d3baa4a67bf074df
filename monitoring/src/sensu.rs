//! Hands events to Sensu's client: one connection each, no answer, and nobody waits.

mod outbox;

use std::{io, time::Duration};

use parking_lot::Mutex;
use soa_configs::paasta::Settings;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{self, Instant},
};

pub use self::outbox::Outbox;
use crate::events::Event;

/// For everything that one event takes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Sensu is left alone for so long after it did not take an event: a thousand instances must not wait for
/// it one after the other.
const QUIET: Duration = Duration::from_secs(30);

impl Event {
    /// Hands it to Sensu's client.
    ///
    /// # Errors
    /// When it is not there or does not take the event in two seconds.
    pub async fn send(&self, host: &str, port: u16) -> io::Result<()> {
        let line = self.line();
        let send = async {
            let mut stream = TcpStream::connect((host, port)).await?;
            stream.write_all(line.as_bytes()).await?;
            stream.shutdown().await
        };
        time::timeout(PATIENCE, send).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Sensu did not take an event, and hears nothing for a while.
#[derive(Debug, thiserror::Error)]
#[error("Sensu at {host}:{port} hears nothing for {} s, as it does not take {event}", QUIET.as_secs())]
pub struct Untold {
    host: String,
    port: u16,
    event: String,
    source: io::Error,
}

/// Sensu's client, as the system configuration names it.
#[derive(Debug)]
pub struct Sensu {
    host: String,
    port: u16,
    quiet_until: Mutex<Option<Instant>>,
}

impl Sensu {
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, quiet_until: Mutex::new(None) }
    }

    /// `None`: nobody is to be told (`sensu_host: null`).
    #[must_use]
    pub fn of(settings: &Settings) -> Option<Self> {
        Some(Self::new(settings.sensu_host.clone()?, settings.sensu_port))
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is_at(&self, host: &str, port: u16) -> bool {
        (self.host.as_str(), self.port) == (host, port)
    }

    /// Tells of an event; of a Sensu that is left alone nothing is said again. Returns whether it was taken.
    ///
    /// # Errors
    /// When it was not.
    pub async fn tell(&self, event: &Event) -> Result<bool, Untold> {
        if self.quiet_until.lock().is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let Self { host, port, .. } = self;
        match event.send(host, *port).await {
            Ok(()) => Ok(true),
            Err(source) => {
                *self.quiet_until.lock() = Some(Instant::now() + QUIET);
                let (host, port, event) = (host.clone(), *port, event.name().to_owned());
                Err(Untold { host, port, event, source })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use soa_configs::{documents::ServiceDocuments, paasta, yaml::Node};
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;
    use crate::events::{Check, Status};

    fn event(output: &str) -> Event {
        let overrides = [("team", Node::made("t"))].into_iter().collect();
        let (name, status, cluster) = ("a.b.c", Status::Ok, "c1");
        let check = Check { name, status, output, cluster, overrides: &overrides };
        Event::of(&ServiceDocuments::default(), check).unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_event_is_one_line_of_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sensu = Sensu::new("127.0.0.1", listener.local_addr().unwrap().port());
        let listen = async {
            let mut text = String::new();
            listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
            text
        };
        let event = event("x");
        let (taken, heard) = tokio::join!(sensu.tell(&event), listen);
        assert!(taken.unwrap());
        assert_eq!(heard, event.line());
    }

    #[tokio::test]
    async fn one_that_does_not_take_an_event_is_left_alone_and_told_of_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sensu = Sensu::new("127.0.0.1", listener.local_addr().unwrap().port());
        // It never reads, and more than this fits into no socket.
        let event = event(&"x".repeat(64 << 20));
        let error = sensu.tell(&event).await.unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "timed out");
        drop(listener);
        for _ in 0..1000 {
            assert!(!sensu.tell(&event).await.unwrap());
        }
    }

    fn settings(port: u16) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{{\"sensu_host\": \"127.0.0.1\", \"sensu_port\": {port}}}");
        let mut file = std::fs::File::create(dir.path().join("a.json")).unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        Settings::read(&paasta::load(dir.path()).unwrap().unwrap(), dir.path()).unwrap()
    }

    #[tokio::test]
    async fn what_is_posted_comes_in_its_order_behind_whoever_posts_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outbox = Outbox::of(&settings(listener.local_addr().unwrap().port())).unwrap();
        let outputs = ["one", "two", "three"];
        // Nobody takes them yet.
        outputs.map(event).into_iter().for_each(|event| outbox.post(event).unwrap());
        let listen = async {
            let mut lines = Vec::new();
            for _ in outputs {
                let mut text = String::new();
                listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
                lines.push(text);
            }
            lines
        };
        let (complaints, lines) = tokio::join!(outbox.finish(), listen);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(lines, outputs.map(|output| event(output).line()));
    }

    #[tokio::test]
    async fn a_sensu_that_is_away_is_one_complaint_however_many_events_there_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let outbox = Outbox::of(&settings(port)).unwrap();
        ["one", "two"].map(event).into_iter().for_each(|event| outbox.post(event).unwrap());
        let complaints = outbox.finish().await;
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("does not take a.b.c"), "{complaints:?}");
    }
}
