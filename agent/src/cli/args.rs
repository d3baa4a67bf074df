//! Arguments as written.

use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand};

use super::updown::{Direction, Order, SETTLE_S};

/// SmartStack: service discovery for one host.
///
/// Run `smartstack agent` as a service; the other commands ask it.
#[derive(Debug, Parser)]
#[command(name = "smartstack", version, max_term_width = 100)]
pub struct Args {
    /// The agent's admin socket.
    #[arg(long, global = true, value_name = "PATH", env = "SMARTSTACK_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

pub const DEFAULT_SOCKET: &str = "/run/smartstack/agent.sock";
pub const DEFAULT_CONFIG: &str = "/etc/smartstack/agent.yaml";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: register local tasks, keep HAProxy right, answer health checks.
    Agent {
        /// Settings; without the file all are defaults, and the log says what was assumed.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// soa-configs, over the settings.
        #[arg(short = 'd', long, value_name = "DIR")]
        soa_dir: Option<PathBuf>,
    },
    /// Show tasks, health, marks, records, and backends as HAProxy sees them.
    ///
    /// Exit code: 0; 1 if the agent cannot be asked.
    Status {
        /// Everything, as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Explain one container, process, namespace or file: what became of it and why.
    Why {
        /// A container (name or id), a local process, SERVICE.NAMESPACE, or a service.
        what: String,
    },
    /// Take instances out of service before they are stopped.
    ///
    /// Marks them down, takes their records out of the registry and lets the local HAProxy finish
    /// what is under way. Exit code: 0 when they are safe to stop, 1 when not yet.
    Drain {
        /// SERVICE.NAMESPACE, SERVICE.NAMESPACE:PORT, a container (name or id), or a local process.
        target: String,
        /// Shown to everyone who asks why it is down.
        #[arg(short, long, default_value = "")]
        reason: String,
        /// Lift the mark by itself after this many seconds; default: `smartstack undrain` lifts it.
        #[arg(long = "for", value_name = "SECONDS")]
        lasts: Option<u32>,
        /// Wait at most this many seconds until it is safe to stop them.
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        wait: u32,
        #[arg(long)]
        json: bool,
    },
    /// Bring drained instances back.
    Undrain {
        /// As for `drain`.
        target: String,
        #[arg(long)]
        json: bool,
    },
    /// May these instances be stopped now? Exit code: 0 yes, 1 no.
    SafeToStop {
        /// As for `drain`.
        target: String,
        #[arg(long)]
        json: bool,
    },
    /// Take the service out of service on this host, as `hadown` does; with --wait until HAProxy shows it.
    ///
    /// Exit code: 0 done, or nobody should wait for it; 1 not reached in time.
    Down {
        /// SERVICE.NAMESPACE, or SERVICE.NAMESPACE:PORT.
        target: String,
        /// Shown to everyone who asks why it is down; default: who you are.
        #[arg(short, long, default_value = "")]
        reason: String,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Bring the service back on this host, as `haup` does; with --wait until HAProxy shows it.
    ///
    /// Exit codes as for `down`.
    Up {
        /// SERVICE.NAMESPACE, or SERVICE.NAMESPACE:PORT.
        target: String,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Take the whole host out of service, until `smartstack return` or a reboot.
    ///
    /// Every task is drained, and stays so if the agent is restarted. `smartstack-host.service` does
    /// this before a shutdown stops any container. Exit code: 0 when all tasks are safe to stop, 1 when
    /// not yet.
    Leave {
        /// Shown to everyone who asks why it is down.
        #[arg(short, long, default_value = "")]
        reason: String,
        /// Wait at most this many seconds until it is safe to stop them.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u32,
        #[arg(long)]
        json: bool,
    },
    /// Bring a host back that was told to leave.
    Return,
    /// Check the agent's settings and everything they point to; show every problem.
    CheckConfig {
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[arg(short = 'd', long, value_name = "DIR")]
        soa_dir: Option<PathBuf>,
    },
    /// See it work: two small services, an agent and HAProxy on free ports, until Ctrl-C.
    Demo {
        /// Use local processes even if Docker answers.
        #[arg(long)]
        no_docker: bool,
    },
    /// A small HTTP service, for the demo and for tests.
    #[command(hide = true)]
    DemoService {
        #[arg(long)]
        name: String,
        #[arg(long)]
        port: u16,
        /// Milliseconds it goes on serving after SIGTERM.
        #[arg(long, default_value_t = 0)]
        linger_ms: u64,
    },
}

/// How `up` and `down` wait.
#[derive(Debug, Arguments)]
pub struct Waiting {
    /// Wait until the local HAProxy shows the state.
    #[arg(long)]
    wait: bool,
    /// Give up after this many seconds; default: updown_timeout_s of the namespace, else 300.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// When the state is reached, give other hosts this many seconds to follow.
    #[arg(long, value_name = "SECONDS", default_value_t = SETTLE_S)]
    settle: u32,
    /// Change nothing, only wait.
    #[arg(long)]
    wait_only: bool,
}

impl Waiting {
    pub(super) fn order(self, target: String, direction: Direction, reason: String) -> Order {
        let Self { wait, timeout, settle, wait_only } = self;
        Order { target, direction, wait_only, wait: wait || wait_only, timeout, settle, reason }
    }
}
