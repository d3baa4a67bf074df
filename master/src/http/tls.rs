//! TLS to servers that have to prove their names.

use std::{io, sync::Arc};

use tokio::{net::TcpStream, sync::OnceCell, task};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, Error, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// The authorities of this host are read once: that takes some 10 ms.
static CONNECTOR: OnceCell<TlsConnector> = OnceCell::const_new();

/// Shakes hands with a server that is reached by this name, or address.
///
/// # Errors
/// When this host knows no authority, the server does not prove the name, or the connection breaks.
pub(super) async fn open(name: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let connector = CONNECTOR.get_or_try_init(connector).await?;
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    connector.connect(name, stream).await
}

async fn connector() -> io::Result<TlsConnector> {
    let found = task::spawn_blocking(rustls_native_certs::load_native_certs).await?;
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(found.certs);
    if authorities.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(io::Error::other(format!(
            "this host knows no certificate authority (package ca-certificates, or SSL_CERT_FILE){why}"
        )));
    }
    let config = config(authorities).map_err(io::Error::other)?;
    Ok(Arc::new(config).into())
}

fn config(authorities: RootCertStore) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(authorities).with_no_client_auth())
}
