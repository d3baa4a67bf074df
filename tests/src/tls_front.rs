//! TLS in front of a simulator, by a real HAProxy.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    certificates::{authority, certificate},
    eventually,
    ports::Port,
};

/// Proves the name `localhost`, not its address, by a certificate of an authority that nobody knows. Dropping
/// it ends it.
#[derive(Debug)]
pub struct TlsFront {
    dir: TempDir,
    pub port: Port,
    _child: Child,
}

impl TlsFront {
    /// In front of a port of this host.
    ///
    /// # Errors
    /// When openssl or HAProxy is not installed.
    pub async fn of(plain: u16) -> io::Result<Self> {
        let (files, port) = (tempfile::tempdir()?, Port::free()?);
        let dir = files.path();
        authority(dir, "ca").await?;
        certificate(dir, "server", "subjectAltName=DNS:localhost").await?;
        let mut both = fs::read(dir.join("server.pem"))?;
        both.extend(fs::read(dir.join("server.key"))?);
        File::create(dir.join("both.pem"))?.write_all(&both)?;
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen front\n bind localhost:{} ssl crt {}/both.pem\n server s 127.0.0.1:{plain}\n",
            port.number,
            dir.display(),
        );
        File::create(dir.join("haproxy.cfg"))?.write_all(text.as_bytes())?;
        let mut haproxy = Command::new("/usr/sbin/haproxy");
        haproxy.args(["-db", "-f"]).arg(dir.join("haproxy.cfg")).stdin(Stdio::null());
        haproxy.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        let child = haproxy.spawn()?;
        eventually("HAProxy listens for TLS", async || {
            let connected = TcpStream::connect(("localhost", port.number)).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Ok(Self { dir: files, port, _child: child })
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}
