//! Arguments of the program, as written.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    thread,
};

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::drain::{Drain, Undrain};

/// Where hacheck listens unless told otherwise; fleets use 6666.
const DEFAULT_PORT: u16 = 3333;

/// Answer health checks for every service on this host, from a cache.
///
/// HAProxy, nerve and PaaSTA ask `GET /http/SERVICE/PORT/PATH` and the like. The answer is 503 while a
/// mark holds the service down (see hadown and haup), else what the service itself says.
#[derive(Debug, Parser)]
#[command(
    name = "hacheck",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = "Usual start: hacheck -p 6666 -c /etc/hacheck.conf.yaml\n\
                  Stops on SIGTERM, SIGINT and SIGQUIT, when requests under way are answered. Takes over \
                  listening sockets from systemd. HACHECK_LOG sets the log's levels, such as \
                  `debug` or `warn,hacheck::marks=info`."
)]
pub struct Args {
    #[command(flatten)]
    /// How to serve.
    pub serve: Serve,
    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does beside serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take a service out on this host, and wait until nobody sends to it any more.
    ///
    /// Marks it down, then asks HAProxy until no server of it on this host is up and none has
    /// sessions or requests in its queue. Exit code: 0 safe to stop, 1 not in time, or it failed.
    Drain(Drain),
    /// Bring a drained service back.
    Undrain(Undrain),
}

/// Flags of the daemon (hacheck.md §2.1).
#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// Settings, in YAML; without it all have their defaults.
    #[arg(short, long, value_name = "PATH")]
    pub config_file: Option<PathBuf>,
    /// A port to listen on; may be given several times [default: 3333]
    #[arg(short, long = "port", value_name = "N")]
    pub ports: Vec<u16>,
    /// Threads that answer requests, all from one cache; 0: one for each processor. One is usually
    /// enough.
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub num_procs: usize,
    /// The address to listen on.
    #[arg(short = 'B', long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Where marks are kept, one file each; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "/var/spool/hacheck")]
    pub spool_root: PathBuf,
    /// Log more: every connection that ends oddly, every mark that waits for the disk.
    #[arg(short, long)]
    pub verbose: bool,
}

impl Serve {
    /// The addresses that were asked for.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.iter().map(|port| (self.bind_address, *port).into()).collect()
    }

    /// The address if none was.
    pub(super) fn default_address(&self) -> SocketAddr {
        (self.bind_address, DEFAULT_PORT).into()
    }

    /// How many threads answer.
    pub(super) fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.num_procs)
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_flags_are_understood() {
        let words = "hacheck -c /etc/hacheck.conf.yaml -p 6666 --port 6667 -n 4 -B 127.0.0.1 --spool-root /s -v";
        let Args { serve, .. } = Args::try_parse_from(words.split(' ')).unwrap();
        assert_eq!(serve.config_file, Some("/etc/hacheck.conf.yaml".into()));
        let addresses = ["127.0.0.1:6666", "127.0.0.1:6667"].map(|text| text.parse().unwrap());
        assert_eq!(serve.addresses(), addresses);
        assert_eq!(serve.threads().get(), 4);
        assert_eq!(serve.spool_root, PathBuf::from("/s"));
        assert!(serve.verbose);
        let words = "hacheck --config-file x --num-procs 0 --bind-address :: --verbose";
        let Args { serve, .. } = Args::try_parse_from(words.split(' ')).unwrap();
        assert!(serve.addresses().is_empty());
        assert_eq!(serve.default_address().to_string(), "[::]:3333");
        assert_eq!(serve.threads(), thread::available_parallelism().unwrap());
        let Args { serve, .. } = Args::try_parse_from(["hacheck"]).unwrap();
        assert_eq!(serve.default_address().to_string(), "0.0.0.0:3333");
        assert_eq!(serve.threads().get(), 1);
        for words in ["hacheck -p 65536", "hacheck -n -1", "hacheck -B everywhere", "hacheck -x"] {
            let error = Args::try_parse_from(words.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
        }
    }
}
