//! A TCP relay on loopback that can be cut and mended.

use std::{io, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Copies both ways between its own port and a server until it is cut. Dropping it ends everything.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    open: watch::Sender<bool>,
    /// Connections that were closed at once because it is cut.
    refused: watch::Receiver<u64>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (open, state) = watch::channel(true);
        let (count, refused) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, server, state, count));
        Ok(Self { address, open, refused, accepting })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; new ones are closed at once.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Waits until so many more tries to connect were in vain.
    pub async fn refuses(&self, more: u64) {
        let mut refused = self.refused.clone();
        let goal = *refused.borrow() + more;
        // The relay outlives this call, and so does the other end.
        let _ = refused.wait_for(|refused| *refused >= goal).await;
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    open: watch::Receiver<bool>,
    refused: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if *open.borrow() {
            tokio::spawn(relay(client, server, open.clone()));
        } else {
            refused.send_modify(|refused| *refused += 1);
        }
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, mut open: watch::Receiver<bool>) {
    let copying = async {
        let mut server = TcpStream::connect(server).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        _ = copying => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
