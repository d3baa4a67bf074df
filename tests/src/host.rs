//! One host: an agent, a HAProxy of its own, soa-configs and settings in a directory of its own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
    time,
};

use crate::{eventually, hacheck::heir, ports::Port, web};

/// The name of the host in records.
pub const NAME: &str = "host1-test";
/// The name of a second host.
pub const OTHER_NAME: &str = "host2-test";
/// The place of the host.
pub const REGION: &str = "uswest1-test";

/// One host. Dropping it kills what it runs and, if the test failed, shows the agent's log.
#[derive(Debug)]
pub struct Host {
    dir: TempDir,
    name: &'static str,
    address: &'static str,
    /// The same on all hosts of a fleet: HAProxy asks each server's own host there.
    pub hacheck: Arc<Port>,
    pub admin: Port,
    pub stats: Port,
    proxies: BTreeMap<String, Port>,
    /// `drain.hold`. Short, because in most tests no other host has to follow.
    pub hold: &'static str,
    /// More settings of `files`, as `, key: value`.
    pub files: String,
    /// More settings of the agent, as YAML.
    pub settings: String,
    agent: Option<Child>,
    haproxy: Option<Child>,
    /// hacheck's socket, if it outlives the agent.
    held: Option<TcpListener>,
}

/// A program of this workspace, built beside the tests.
///
/// # Panics
/// When it has not been built: `make test` does that first.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/test-… or target/release/bench
    let found =
        exe.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|file| file.exists());
    found.unwrap_or_else(|| {
        panic!("{name} is not built; run `make test` or `cargo build --workspace`")
    })
}

impl Host {
    /// A host with these settings for `registry`, for instance `{kind: embedded}`; nothing runs yet.
    ///
    /// # Errors
    /// When files or ports cannot be had.
    pub fn new(registry: &str) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("smartstack-test-").tempdir()?;
        fs::create_dir_all(dir.path().join("soa"))?;
        Ok(Self {
            dir,
            name: NAME,
            address: "127.0.0.1",
            hacheck: Arc::new(Port::free()?),
            admin: Port::free()?,
            stats: Port::free()?,
            proxies: BTreeMap::new(),
            hold: "100ms",
            files: String::new(),
            settings: format!("registry: {registry}\n"),
            agent: None,
            haproxy: None,
            held: None,
        })
    }

    /// A second host of the fleet that `first` belongs to.
    ///
    /// # Errors
    /// When files or ports cannot be had.
    pub fn beside(first: &Self, registry: &str) -> io::Result<Self> {
        let mut host = Self::new(registry)?;
        host.hacheck = Arc::clone(&first.hacheck);
        (host.name, host.address) = (OTHER_NAME, "127.0.0.2");
        Ok(host)
    }

    /// A file or directory of this host.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a service's `smartstack.yaml`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn soa(&self, service: &str, text: &str) -> io::Result<()> {
        self.write(&format!("soa/{service}/smartstack.yaml"), text)
    }

    /// Writes a namespace with a proxy port of its own and returns that port.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn namespace(&mut self, service: &str, more: &str) -> io::Result<u16> {
        if !self.proxies.contains_key(service) {
            self.proxies.insert(service.to_owned(), Port::free()?);
        }
        let port = self.proxies[service].number;
        self.soa(service, &format!("main:\n  proxy_port: {port}\n{more}"))?;
        Ok(port)
    }

    /// Replaces a file of this host at once, as careful programs do.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let beside = self.path(".beside");
        File::create(&beside)?.write_all(text.as_bytes())?;
        fs::rename(beside, path)
    }

    /// Starts HAProxy on its own, as its systemd unit does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_haproxy(&mut self) -> io::Result<()> {
        let config = self.path("haproxy.cfg");
        if !config.exists() {
            let text = format!(
                "global\n\tstats socket {} level admin expose-fd listeners\ndefaults\n\
                 \ttimeout connect 1s\n\ttimeout client 1s\n\ttimeout server 1s\n",
                self.path("haproxy.sock").display()
            );
            self.write("haproxy.cfg", &text)?;
        }
        let log = File::create(self.path("haproxy.log"))?;
        let mut command = Command::new("haproxy");
        command
            .arg("-W")
            .arg("-S")
            .arg(format!("{},level,admin", self.path("master.sock").display()));
        command.arg("-f").arg(config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.haproxy =
            Some(command.process_group(0).kill_on_drop(true).spawn().map_err(|error| {
                io::Error::other(format!(
                    "these tests need HAProxy (apt-get install haproxy): {error}"
                ))
            })?);
        Ok(())
    }

    /// Starts the agent; its settings are written anew.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_agent(&mut self) -> io::Result<()> {
        self.start_agent_with(&[])
    }

    /// Starts the agent with more variables in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_agent_with(&mut self, env: &[(&str, &str)]) -> io::Result<()> {
        self.write("agent.yaml", &self.agent_settings())?;
        let log = File::options().create(true).append(true).open(self.path("agent.log"))?;
        let (mut command, stdin) = match &self.held {
            Some(held) => (heir("smartstack"), OwnedFd::from(held.try_clone()?).into()),
            None => (Command::new(program("smartstack")), Stdio::null()),
        };
        command.arg("agent").arg("--config").arg(self.path("agent.yaml"));
        command.env("SMARTSTACK_LOG", "info,agent=debug,zookeeper_client=warn");
        command.envs(env.iter().copied());
        command.stdin(stdin).stdout(log.try_clone()?).stderr(log);
        self.agent = Some(command.process_group(0).kill_on_drop(true).spawn()?);
        Ok(())
    }

    /// Holds hacheck's socket from now on, as a socket unit does, and hands it to every agent.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub fn hold_hacheck(&mut self) -> io::Result<()> {
        self.held = Some(TcpListener::bind(("127.0.0.1", self.hacheck.number))?);
        Ok(())
    }

    fn agent_settings(&self) -> String {
        let dir = self.dir.path().display();
        let (hacheck, admin, stats) = (self.hacheck.number, self.admin.number, self.stats.number);
        let more = &self.files;
        let files = format!("files: {{services_dir: {dir}/services{more}}}\n");
        let (name, address, hold) = (self.name, self.address, &self.hold);
        format!(
            "soa_dir: {dir}/soa\npaasta_dir: {dir}/paasta\nlocal_tasks: {dir}/tasks.yaml\n\
             state_dir: {dir}/state\nhost: {{name: {name}, address: {address}}}\n\
             drain: {{hold: {hold}}}\n\
             locations: {{fixed: {{superregion: norcal-test, region: {REGION}}}, \
             mapping_file: {dir}/location_mapping.json}}\n\
             hacheck: {{listen: '{address}:{hacheck}', spool: {dir}/spool}}\n\
             admin: {{listen: '127.0.0.1:{admin}', socket: {dir}/agent.sock}}\n\
             haproxy: {{stats: '127.0.0.1:{stats}', config_file: {dir}/haproxy.cfg, log: '', \
             socket: {dir}/haproxy.sock, master_socket: {dir}/master.sock, sockets_dir: '', \
             map_file: {dir}/ip_to_service.map, maxconn: 500}}\n\
             {files}{}",
            self.settings
        )
    }

    /// The agent's process, while it runs.
    #[must_use]
    pub fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().and_then(Child::id)
    }

    /// Kills the agent where it stands.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill_agent(&mut self) -> io::Result<()> {
        if let Some(mut agent) = self.agent.take() {
            agent.start_kill()?;
            agent.wait().await?;
        }
        Ok(())
    }

    /// Asks the agent to stop; its exit code.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop_agent(&mut self) -> io::Result<Option<i32>> {
        let Some(mut agent) = self.agent.take() else { return Ok(None) };
        signal(&agent, Signal::SIGTERM)?;
        let status = time::timeout(Duration::from_secs(30), agent.wait()).await??;
        Ok(status.code())
    }

    /// Waits until the agent ends by itself; its exit code.
    ///
    /// # Errors
    /// When it does not.
    pub async fn agent_ended(&mut self) -> io::Result<Option<i32>> {
        let Some(mut agent) = self.agent.take() else { return Ok(None) };
        let status = time::timeout(Duration::from_secs(30), agent.wait()).await??;
        Ok(status.code())
    }

    /// What the agent has said so far, in all its lives.
    #[must_use]
    pub fn agent_log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// Kills HAProxy, master and workers.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill_haproxy(&mut self) -> io::Result<()> {
        if let Some(mut haproxy) = self.haproxy.take() {
            signal(&haproxy, Signal::SIGTERM)?;
            haproxy.wait().await?;
        }
        Ok(())
    }

    /// Everything the agent knows.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<Value, web::Error> {
        let (_, body) = web::get(self.admin.number, "/status.json").await?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Waits until `holds` is true of the agent's report, and returns that report.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            let report = self.status().await.map_err(|error| error.to_string())?;
            if holds(&report) { Ok(report) } else { Err(format!("{report:#}")) }
        })
        .await
    }

    /// Waits until HAProxy shows `count` servers of `namespace` as up.
    pub async fn until_up(&self, namespace: &str, count: usize) -> Value {
        self.until(&format!("{count} servers of {namespace} are up"), |report| {
            let up = servers(report, namespace)
                .into_iter()
                .filter(|(_, status)| status.starts_with("UP"));
            up.count() == count && servers(report, namespace).len() == count
        })
        .await
    }

    /// One of our commands; exit code and what it printed.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn command(&self, arguments: &[&str]) -> io::Result<(i32, String)> {
        let mut command = Command::new(program("smartstack"));
        command.arg("--socket").arg(self.path("agent.sock")).args(arguments);
        let child =
            command.stdin(Stdio::null()).kill_on_drop(true).stdout(Stdio::piped()).spawn()?;
        let output = time::timeout(Duration::from_secs(60), child.wait_with_output()).await??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.code().unwrap_or(-1), text))
    }

    /// One command on HAProxy's statistics socket.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn haproxy(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(self.path("haproxy.sock")).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }

    /// What HAProxy is and does, without what changes by itself: a change means somebody touched it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn haproxy_picture(&self) -> io::Result<Vec<String>> {
        let info = self.haproxy("show info").await?;
        let pid = info.lines().find(|line| line.starts_with("Pid:")).unwrap_or_default().to_owned();
        let state = self.haproxy("show servers state").await?;
        // Backend, server, address, administrative state, weights; not times and check results.
        let stable = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            [1, 3, 4, 6, 7, 8, 18]
                .iter()
                .filter_map(|n| words.get(*n))
                .copied()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let servers = state.lines().skip(2).filter(|line| !line.is_empty()).map(stable);
        Ok([pid].into_iter().chain(servers).collect())
    }
}

/// Name and HAProxy status of every server of a namespace, from a report.
#[must_use]
pub fn servers(report: &Value, namespace: &str) -> Vec<(String, String)> {
    let backends = report["backends"].as_array().into_iter().flatten();
    let of = backends.filter(|backend| backend["namespace"] == namespace);
    let servers = of.flat_map(|backend| backend["servers"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    servers.map(|server| (text(&server["name"]), text(&server["status"]))).collect()
}

/// State of every task of this host by title, from a report.
#[must_use]
pub fn states(report: &Value) -> BTreeMap<String, String> {
    let tasks = report["tasks"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    tasks.map(|task| (text(&task["title"]), text(&task["state"]))).collect()
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = child.id().and_then(|pid| pid.try_into().ok());
    let pid = pid.ok_or_else(|| io::Error::other("it is not running"))?;
    Ok(kill(Pid::from_raw(pid), signal)?)
}

impl Drop for Host {
    fn drop(&mut self) {
        // A master that is killed leaves its workers behind; asked to end, it takes them along.
        if let Some(mut haproxy) = self.haproxy.take()
            && signal(&haproxy, Signal::SIGTERM).is_ok()
        {
            let end = std::time::Instant::now() + Duration::from_secs(5);
            while haproxy.try_wait().is_ok_and(|status| status.is_none())
                && std::time::Instant::now() < end
            {
                std::thread::yield_now();
            }
        }
        if std::thread::panicking() {
            let log = self.agent_log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            let haproxy = fs::read_to_string(self.path("haproxy.log")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "the agent's log ends so:\n{tail}\nhaproxy:\n{haproxy}");
        }
    }
}
