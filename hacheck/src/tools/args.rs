//! Arguments as written, the same for all tools.

use std::path::PathBuf;

use clap::{
    Parser, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};

use super::Failure;
use crate::marks::UnixTime;

#[derive(Debug, Parser)]
#[command(
    args_override_self = true,
    infer_long_args = true,
    max_term_width = 100,
    after_help = "One program under the names haup, hadown, hastatus, hashowdowned and halist; see also \
                  `hacheck drain`, which waits until nothing is sent to a service any more."
)]
pub(super) struct Args {
    /// Where marks are kept, one file each.
    #[arg(long, value_name = "DIR", default_value = "/var/spool/hacheck")]
    pub(super) spool_root: PathBuf,
    /// Do this instead of what the name of the tool says.
    #[arg(short, long, value_enum, hide_default_value = true)]
    pub(super) action: Option<Action>,
    /// Why; shown to everyone who asks about the service. Default: who you are.
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        // Whatever the terminal's encoding: a service that is to be down must not stay up for it.
        value_parser = OsStringValueParser::new().map(|text| text.to_string_lossy().into_owned())
    )]
    pub(super) reason: String,
    /// When the mark ends by itself, in seconds since 1970. Default: never.
    #[arg(short, long, value_name = "UNIXTIME", allow_negative_numbers = true)]
    pub(super) expiration: Option<UnixTime>,
    /// Only the instance on this port.
    #[arg(short = 'P', long, value_name = "N")]
    pub(super) service_port: Option<u16>,
    /// Only the instance on this host and that port, for instance a pod with an address of its own.
    #[arg(short = 'H', long, value_name = "ADDRESS")]
    pub(super) service_host: Option<String>,
    /// Where hacheck listens; only `list` asks it.
    #[arg(short, long, value_name = "N", default_value_t = 3333)]
    pub(super) port: u16,
    /// Services such as `web.main`, or `all` for everything on this host.
    #[arg(value_name = "SERVICE")]
    pub(super) names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Action {
    Up,
    Down,
    Status,
    StatusDowned,
    List,
}

impl Args {
    /// Whether the arguments fit the action.
    pub(super) fn check(&self, action: Action) -> Result<(), Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        let wants_names = matches!(action, Action::Up | Action::Down | Action::Status);
        match self.names.first() {
            None if wants_names => return usage("name at least one service; see --help"),
            Some(_) if !wants_names => return usage("this takes no services; see --help"),
            _ => {}
        }
        if self.service_host.is_some() && self.service_port.is_none() {
            return usage("--service-host needs --service-port");
        }
        Ok(())
    }
}
