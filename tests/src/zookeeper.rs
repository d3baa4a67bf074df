//! A real ZooKeeper server of one's own.

pub mod quorum;
pub mod secured;

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{self, Instant},
};
use zookeeper_client::Client;

use crate::network::Namespace;

/// Those that the server's own archive does not name are for TLS.
const CLASSES: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar:\
    /usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar:\
    /usr/share/java/netty-transport-native-unix-common.jar";
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a free loopback port, with its data in a directory of its own. Dropping it kills the
/// server and removes the data.
#[derive(Debug)]
pub struct ZooKeeper {
    dir: TempDir,
    port: u16,
    /// Lines of the configuration, and arguments of Java, beyond the usual ones.
    config: String,
    properties: Vec<String>,
    /// Its number, if it is one of several.
    id: Option<usize>,
    server: Option<Child>,
    /// Where it runs, if not on this machine's own network.
    apart: Option<Namespace>,
}

impl ZooKeeper {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When ZooKeeper is not installed or does not come up.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(String::new(), Vec::new()).await
    }

    /// Starts a server in a network namespace, from which a test can [part](Self::part).
    ///
    /// # Errors
    /// When this user may not make one, or ZooKeeper does not come up.
    pub async fn start_apart() -> io::Result<Self> {
        let apart = Some(Namespace::make()?);
        Self { apart, ..Self::new(String::new(), Vec::new())? }.on_a_free_port().await
    }

    async fn start_with(config: String, properties: Vec<String>) -> io::Result<Self> {
        Self::new(config, properties)?.on_a_free_port().await
    }

    fn new(config: String, properties: Vec<String>) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        Ok(Self { dir, port: 0, config, properties, id: None, server: None, apart: None })
    }

    async fn on_a_free_port(self) -> io::Result<Self> {
        let mut zookeeper = self;
        for _ in 0..10 {
            zookeeper.port = free_port()?;
            zookeeper.spawn()?;
            // Another process may have been faster to bind the port.
            if zookeeper.ready().await? {
                return Ok(zookeeper);
            }
        }
        Err(io::Error::other("zookeeper found no port"))
    }

    /// One of several, which does not run yet.
    fn member(id: usize, port: u16, config: String) -> io::Result<Self> {
        Ok(Self { port, id: Some(id), ..Self::new(config, Vec::new())? })
    }

    /// Starts the server again with nothing of what it knew.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart_empty(&mut self) -> io::Result<()> {
        self.kill().await?;
        fs::remove_dir_all(self.dir.path().join("data"))?;
        self.restart().await
    }

    /// From now on packets between it and us vanish.
    ///
    /// # Errors
    /// When it does not run apart.
    pub fn part(&self) -> io::Result<()> {
        self.apart()?.part()
    }

    /// Ends the partition.
    ///
    /// # Errors
    /// When it does not run apart.
    pub fn join(&self) -> io::Result<()> {
        self.apart()?.join()
    }

    fn apart(&self) -> io::Result<&Namespace> {
        self.apart.as_ref().ok_or_else(|| io::Error::other("it runs on this machine's network"))
    }

    /// `ADDRESS:PORT`.
    #[must_use]
    pub fn hosts(&self) -> String {
        self.address().to_string()
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let apart = self.apart.as_ref().map(Namespace::address);
        (apart.unwrap_or(Ipv4Addr::LOCALHOST), self.port).into()
    }

    /// A client of the test's own, past any relay.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn client(&self) -> Result<Client, zookeeper_client::Error> {
        let connector = Client::connector().with_session_timeout(Duration::from_secs(60));
        connector.connect(&self.hosts()).await
    }

    /// Stops the server where it stands: connections stay open and nobody answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Kills the server. Its data stay, sessions and ephemerals among them.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> io::Result<()> {
        if let Some(mut server) = self.server.take() {
            server.start_kill()?;
            server.wait().await?;
        }
        Ok(())
    }

    /// Starts the server again, on the same port and with the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill().await?;
        self.spawn()?;
        if self.ready().await? {
            Ok(())
        } else {
            Err(io::Error::other("zookeeper has lost its port"))
        }
    }

    fn spawn(&mut self) -> io::Result<()> {
        let config = self.dir.path().join("zoo.cfg");
        let data = self.dir.path().join("data");
        fs::create_dir_all(&data)?;
        if let Some(id) = self.id {
            write!(File::create(data.join("myid"))?, "{id}")?;
        }
        let text = format!(
            "tickTime=500\nclientPort={}\nclientPortAddress={}\ndataDir={}\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n\
             minSessionTimeout=1000\nmaxSessionTimeout=60000\nforceSync=no\n{}",
            self.port,
            self.address().ip(),
            data.display(),
            self.config
        );
        File::create(&config)?.write_all(text.as_bytes())?;
        let log = File::create(self.dir.path().join("log"))?;
        let mut java = match &self.apart {
            Some(apart) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", apart.name(), "java"]);
                ip
            }
            None => Command::new("java"),
        };
        java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", CLASSES])
            .args(&self.properties)
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A signal to the group of the tests is not for it.
            .process_group(0)
            .kill_on_drop(true);
        self.server = Some(java.spawn()?);
        Ok(())
    }

    /// Waits until it serves; false if the server has ended instead.
    async fn ready(&mut self) -> io::Result<bool> {
        let end = Instant::now() + PATIENCE;
        let ours = self.dir.path().display().to_string();
        while Instant::now() < end {
            // Asked for its directory, because a server of someone else may answer on this port.
            if self.ask("conf").await.is_ok_and(|answer| answer.contains(&ours)) {
                return Ok(true);
            }
            let Some(server) = &mut self.server else { return Ok(false) };
            if server.try_wait()?.is_some() {
                return Ok(false);
            }
            time::sleep(Duration::from_millis(50)).await;
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "zookeeper does not come up"))
    }

    /// The answer to a four-letter command.
    ///
    /// # Errors
    /// When there is none within a second.
    pub async fn ask(&self, command: &str) -> io::Result<String> {
        let asking = async {
            let mut stream = TcpStream::connect(self.address()).await?;
            stream.write_all(command.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        time::timeout(Duration::from_secs(1), asking).await?
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = self.server.as_ref().and_then(Child::id).and_then(|pid| pid.try_into().ok());
        let pid = pid.ok_or_else(|| io::Error::other("zookeeper is not running"))?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }
}

/// A port below the range that the kernel gives to clients, so that a restart finds it free.
fn free_port() -> io::Result<u16> {
    for attempt in 0..1000_u32 {
        let random = RandomState::new().hash_one(attempt);
        let port = 12_000 + u16::try_from(random % 20_000).unwrap_or_default();
        if std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port"))
}
