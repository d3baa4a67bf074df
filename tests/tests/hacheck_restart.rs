//! A restart of the stand-alone program under load, with the listening socket handed on.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use end_to_end::{Hacheck, Host, eventually, web};
use tokio::task::JoinHandle;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

const OF_EACH_KIND: usize = 4;
const PATH: &str = "/spool/web.main/80/status";

#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
    /// Kept connections that the server has closed between two requests.
    closed: AtomicUsize,
}

/// A new connection for each request, as nerve and HAProxy do.
async fn checker(load: Arc<Load>, port: u16) -> std::result::Result<(), web::Error> {
    while !load.over.load(Ordering::SeqCst) {
        let (status, _) = web::get(port, PATH).await?;
        assert_eq!(status, 200);
        load.answered.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// One connection for as long as the server keeps it. A request on a connection that was kept may
/// meet its end; on a new connection every request is answered.
async fn keeper(load: Arc<Load>, port: u16) -> std::result::Result<(), web::Error> {
    while !load.over.load(Ordering::SeqCst) {
        let mut connection = web::Connection::open(port).await?;
        assert_eq!(connection.get(PATH).await?.0, 200);
        while !load.over.load(Ordering::SeqCst) && connection.is_open() {
            match connection.get(PATH).await {
                Ok((status, _)) => assert_eq!(status, 200),
                Err(_) => break,
            }
            load.answered.fetch_add(1, Ordering::SeqCst);
        }
        load.closed.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Clients of both kinds that do not stop asking.
struct Crowd {
    load: Arc<Load>,
    clients: Vec<JoinHandle<std::result::Result<(), web::Error>>>,
}

impl Crowd {
    fn gather(port: u16) -> Self {
        let load = Arc::new(Load::default());
        let mut clients = Vec::new();
        for _ in 0..OF_EACH_KIND {
            clients.push(tokio::spawn(checker(Arc::clone(&load), port)));
            clients.push(tokio::spawn(keeper(Arc::clone(&load), port)));
        }
        Self { load, clients }
    }

    /// Waits until so many more requests are answered.
    async fn until_served(&self, more: usize) {
        let goal = self.load.answered.load(Ordering::SeqCst) + more;
        eventually("requests are answered", async || {
            let answered = self.load.answered.load(Ordering::SeqCst);
            if answered >= goal { Ok(()) } else { Err(answered) }
        })
        .await;
    }

    /// Ends, and says whether all were answered.
    async fn disperse(self) -> Result {
        self.load.over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await??;
        }
        // Each keeper ends once by itself; more ends than that were the restarts'.
        let closed = self.load.closed.load(Ordering::SeqCst);
        assert!(closed > OF_EACH_KIND, "the restarts have touched nobody");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_refuses_nobody_and_loses_no_answer() -> Result {
    let hacheck = Hacheck::new()?;
    let socket = TcpListener::bind(("127.0.0.1", hacheck.port.number))?;
    let mut old = hacheck.start_on(&socket, &["-n", "2"])?;
    hacheck.until_it_answers().await;
    let crowd = Crowd::gather(hacheck.port.number);
    for _ in 0..3 {
        crowd.until_served(200).await;
        assert!(old.stop().await?.success());
        // Nobody serves now; connections wait in the socket.
        let mut new = hacheck.start_on(&socket, &["-n", "2"])?;
        crowd.until_served(200).await;
        std::mem::swap(&mut old, &mut new);
    }
    crowd.disperse().await?;
    assert!(old.stop().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_agent_under_load_refuses_nobody_either() -> Result {
    let mut host = Host::new("{kind: embedded}")?;
    host.hold_hacheck()?;
    host.start_agent()?;
    let port = host.hacheck.number;
    eventually("hacheck answers", async || web::get(port, "/status").await).await;
    let crowd = Crowd::gather(port);
    for _ in 0..2 {
        crowd.until_served(200).await;
        host.stop_agent().await?;
        host.start_agent()?;
        crowd.until_served(200).await;
    }
    crowd.disperse().await
}

#[tokio::test]
async fn a_socket_on_another_address_is_not_taken_for_the_port_that_is_asked_for() -> Result {
    let hacheck = Hacheck::new()?;
    let other = TcpListener::bind("127.0.0.1:0")?;
    let mut running = hacheck.start_on(&other, &[])?;
    hacheck.until_it_answers().await;
    assert!(hacheck.log().contains("a socket was handed over"), "{}", hacheck.log());
    assert!(running.stop().await?.success());
    Ok(())
}
