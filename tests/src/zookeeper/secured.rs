//! A ZooKeeper that proves its name by TLS and asks for logins.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use tempfile::TempDir;

use super::{ZooKeeper, free_port};
use crate::certificates::{authority, certificate};

/// A server with a plain port, for the test itself, and a port for TLS, which takes only clients with a
/// certificate of its authority. Both know one login by SASL.
#[derive(Debug)]
pub struct Secured {
    pub server: ZooKeeper,
    tls_port: u16,
    files: TempDir,
}

/// Who may log in by SASL, with [`PASSWORD`].
pub const USER: &str = "smartstack";

/// The password of [`USER`].
pub const PASSWORD: &str = "open sesame";

impl Secured {
    /// Makes certificates and starts the server. `name`: the subject that its certificate proves, such
    /// as `IP:127.0.0.1`.
    ///
    /// # Errors
    /// When openssl or ZooKeeper is not installed, or the server does not come up.
    pub async fn start(name: &str) -> io::Result<Self> {
        let files = tempfile::tempdir()?;
        let dir = files.path();
        authority(dir, "ca").await?;
        authority(dir, "stranger").await?;
        certificate(dir, "server", &format!("subjectAltName={name}")).await?;
        certificate(dir, "client", "keyUsage=digitalSignature").await?;
        let jaas = format!(
            "Server {{ org.apache.zookeeper.server.auth.DigestLoginModule required user_{USER}=\"{PASSWORD}\"; }};\n"
        );
        File::create(dir.join("jaas"))?.write_all(jaas.as_bytes())?;
        // A key store in PEM is key and certificate in one file.
        let mut store = std::fs::read(dir.join("server.key"))?;
        store.extend(std::fs::read(dir.join("server.pem"))?);
        File::create(dir.join("store.pem"))?.write_all(&store)?;
        let tls_port = free_port()?;
        let dir = dir.display();
        let config = format!(
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             secureClientPort={tls_port}\nsecureClientPortAddress=127.0.0.1\n\
             ssl.keyStore.location={dir}/store.pem\nssl.keyStore.type=PEM\n\
             ssl.trustStore.location={dir}/ca.pem\nssl.trustStore.type=PEM\nssl.clientAuth=need\n\
             authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n"
        );
        let properties = vec![format!("-Djava.security.auth.login.config={dir}/jaas")];
        let server = ZooKeeper::start_with(config, properties).await?;
        Ok(Self { server, tls_port, files })
    }

    /// `127.0.0.1:port` of the TLS port.
    #[must_use]
    pub fn hosts(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port)
    }

    /// One of `ca.pem`, `stranger.pem` (another authority), `client.pem`, `client.key`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}
