//! `smartstack demo`: the main job on one host, with nothing to set up.
//!
//! Two small services (containers where Docker answers, else local processes), an agent with the
//! embedded registry, and a HAProxy of its own, all on free ports and in a directory of its own.

mod containers;
mod processes;
pub mod service;

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use hacheck::server::Inherited;
use tokio::time;

use crate::{
    api::View,
    config::Config,
    daemon, logging,
    supervisor::{Exit, Signals},
};

const NAMESPACE: &str = "web.main";
/// Two services, so that there is something to balance over.
const NAMES: [&str; 2] = ["smartstack-demo-1", "smartstack-demo-2"];
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the demo until Ctrl-C, then removes everything it started.
///
/// # Errors
/// When HAProxy is missing, or a piece cannot be started.
pub async fn run(no_docker: bool) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let scene = Scene::set()?;
    logging::start(&crate::config::Log {
        format: crate::config::LogFormat::Auto,
        level: "warn".to_owned(),
    })?;
    let services = Services::start(&scene, no_docker).await?;
    // Services that are half started could not be removed for certain.
    let exit =
        if signals.came() { Ok(Exit::Asked) } else { play(&scene, &services, signals).await };
    say("stopping: the services, HAProxy and the agent");
    services.stop().await;
    exit
}

async fn play(scene: &Scene, services: &Services, signals: Signals) -> anyhow::Result<Exit> {
    let config = scene.config(services)?;
    let (open, view) = tokio::sync::oneshot::channel();
    let daemon = daemon::run(config, Inherited::default(), signals, |view| {
        let _ = open.send(view);
    });
    let guide = async {
        let Ok(view) = view.await else { return };
        match time::timeout(PATIENCE, both_serve(view)).await {
            Ok(true) => say(&scene.guide(services)),
            Ok(false) => {}
            Err(_) => {
                say(&format!("not ready after {PATIENCE:?}; ask: {} status", scene.command()))
            }
        }
    };
    let (exit, ()) = tokio::join!(daemon, guide);
    exit
}

/// False if the agent has ended before they did.
async fn both_serve(mut view: View) -> bool {
    say("waiting for the health checks, and for HAProxy to take both in");
    let up = |status: &crate::synapse::haproxy::Status| {
        let servers = status.backends.get(NAMESPACE).map_or(&[][..], |servers| servers.as_slice());
        servers.iter().filter(|server| server.status.starts_with("UP")).count() >= NAMES.len()
    };
    view.haproxy.wait_for(|status| up(status)).await.is_ok()
}

/// The services of the demo.
enum Services {
    Containers(containers::Containers),
    Processes(processes::Processes),
}

impl Services {
    async fn start(scene: &Scene, no_docker: bool) -> anyhow::Result<Self> {
        if no_docker {
            return Ok(Self::Processes(processes::start(scene)?));
        }
        match containers::start(scene).await {
            Ok(containers) => Ok(Self::Containers(containers)),
            Err(error) => {
                say(&format!(
                    "Docker cannot be used ({error:#}); the services run as local processes"
                ));
                Ok(Self::Processes(processes::start(scene)?))
            }
        }
    }

    async fn stop(self) {
        match self {
            Self::Containers(containers) => containers.stop().await,
            Self::Processes(processes) => processes.stop().await,
        }
    }
}

/// Directory and ports of one run.
struct Scene {
    dir: tempfile::TempDir,
    program: PathBuf,
    proxy: u16,
    hacheck: u16,
    admin: u16,
    stats: u16,
    services: [u16; 2],
}

impl Scene {
    fn set() -> anyhow::Result<Self> {
        if find_program("haproxy").is_none() {
            bail!("haproxy is not installed; `make demo` installs it, or: apt-get install haproxy");
        }
        let ports = free_ports()?;
        let [proxy, hacheck, admin, stats, first, second] = ports;
        let dir = tempfile::Builder::new().prefix("smartstack-demo-").tempdir()?;
        let service = dir.path().join("soa/web");
        std::fs::create_dir_all(&service)?;
        let namespace = format!("main:\n  proxy_port: {proxy}\n  timeout_server_ms: 5000\n");
        crate::atomic_file::write(&service.join("smartstack.yaml"), namespace.as_bytes())?;
        let program = std::env::current_exe().context("cannot find this program")?;
        Ok(Self { dir, program, proxy, hacheck, admin, stats, services: [first, second] })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, services: &Services) -> anyhow::Result<Config> {
        let Self { proxy: _, hacheck, admin, stats, .. } = self;
        let dir = self.dir.path().display();
        let docker = matches!(services, Services::Containers(_));
        let text = format!(
            "soa_dir: {dir}/soa\npaasta_dir: {dir}/paasta\nlocal_tasks: {dir}/tasks.yaml\n\
             state_dir: {dir}/state\nhost: {{name: demo, address: 127.0.0.1}}\n\
             files: {{services_dir: {dir}/services}}\n\
             locations: {{fixed: {{region: demo}}}}\nregistry: {{kind: embedded}}\n\
             docker: {{enabled: {docker}, socket: {socket}}}\n\
             hacheck: {{listen: '127.0.0.1:{hacheck}', spool: {dir}/spool}}\n\
             admin: {{listen: '127.0.0.1:{admin}', socket: {dir}/agent.sock}}\n\
             haproxy: {{manage: true, stats: '127.0.0.1:{stats}', config_file: {dir}/haproxy.cfg, \
             socket: {dir}/haproxy.sock, master_socket: {dir}/master.sock, sockets_dir: '', \
             log: '', maxconn: 200}}\n",
            socket = containers::SOCKET,
        );
        Ok(Config::parse(&text, Path::new("the demo's settings"))?)
    }

    fn command(&self) -> String {
        format!("{} --socket {}", self.program.display(), self.path("agent.sock").display())
    }

    fn guide(&self, services: &Services) -> String {
        let kind = match services {
            Services::Containers(_) => "containers",
            Services::Processes(_) => "local processes",
        };
        let (proxy, admin, command) = (self.proxy, self.admin, self.command());
        format!(
            "\n{NAMESPACE} is served by two {kind}, through HAProxy:\n\n\
             \x20 http://127.0.0.1:{proxy}/   the service\n\
             \x20 http://127.0.0.1:{admin}/   the status page\n\n\
             Try in another terminal:\n\n\
             \x20 {command} status\n\
             \x20 {command} drain {first}\n\
             \x20 while sleep 0.2; do curl -s http://127.0.0.1:{proxy}/; done\n\n\
             The loop shows the traffic move; `undrain` instead of `drain` brings it back.\n\
             Ctrl-C stops and removes everything.\n",
            first = NAMES[0],
        )
    }
}

/// Six ports nobody listens on; held together so that they differ.
fn free_ports() -> anyhow::Result<[u16; 6]> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = (0..6).map(bind).collect::<Result<Vec<_>, _>>()?;
    let mut ports = [0; 6];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // HAProxy lives in /usr/sbin, which users other than root do not search.
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A line for the person watching.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
