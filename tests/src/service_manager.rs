//! What systemd hears from a service of `Type=notify`.

use std::{io, path::Path, time::Duration};

use tokio::{net::UnixDatagram, sync::mpsc, task::JoinHandle, time};

const PATIENCE: Duration = Duration::from_secs(60);
/// A message of systemd's protocol is shorter.
const LONGEST: usize = 4096;
const QUEUE: usize = 1024;

/// The socket named by `NOTIFY_SOCKET`.
#[derive(Debug)]
pub struct ServiceManager {
    path: String,
    messages: mpsc::Receiver<String>,
    reading: JoinHandle<()>,
}

impl ServiceManager {
    /// Listens at `path` from now on. As systemd does, it reads at once: a sender never waits.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let (sender, messages) = mpsc::channel(QUEUE);
        let reading = tokio::spawn(async move {
            let mut buffer = [0; LONGEST];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if sender.send(text).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { path: path.display().to_string(), messages, reading })
    }

    /// For the environment of the service.
    #[must_use]
    pub fn variable(&self) -> (&str, &str) {
        ("NOTIFY_SOCKET", &self.path)
    }

    /// Waits for a message with this line; the messages before it.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn until(&mut self, line: &str) -> Vec<String> {
        let mut before = Vec::new();
        while let Ok(Some(message)) = time::timeout(PATIENCE, self.messages.recv()).await {
            if message.lines().any(|found| found == line) {
                return before;
            }
            before.push(message);
        }
        panic!("no {line} after {before:?}");
    }

    /// Everything that has come and was not asked for.
    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
