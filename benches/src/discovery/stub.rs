//! What plays the other hosts: their hacheck, and a service that says on which port it was asked.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    task: AbortHandle,
}

impl Stub {
    /// Answers 200 and its port to everything.
    pub(crate) async fn on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, address.port()));
            }
        });
        Ok(Self { address, task: task.abort_handle() })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, port: u16) -> io::Result<()> {
    let body = port.to_string();
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut request = Vec::new();
    loop {
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        request.clear();
        stream.write_all(reply.as_bytes()).await?;
    }
}
