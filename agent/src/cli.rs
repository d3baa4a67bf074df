//! The command line: what the operator types, apart from the daemon itself.

pub mod args;
mod check_config;
pub mod client;
mod drain;
mod output;
mod status;
pub mod updown;
mod why;

use std::process::ExitCode;

pub use args::{Args, Command};
pub use check_config::check_config;
use client::Client;

/// Exit codes: 0 done, 1 it failed or the answer is no, 64 bad arguments or settings.
pub const EXIT_FAILED: u8 = 1;
pub const EXIT_USAGE: u8 = 64;

/// Runs one of the commands that talk to a running agent.
///
/// # Errors
/// When the agent cannot be asked.
pub async fn run(client: &Client, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Status { json } => status::run(client, json).await,
        Command::Why { what } => why::run(client, &what).await,
        Command::Drain { target, reason, lasts, wait, json } => {
            let order = drain::Order { reason, lasts, wait };
            drain::drain(client, &target, &order, json).await
        }
        Command::Undrain { target, json } => drain::undrain(client, &target, json).await,
        Command::SafeToStop { target, json } => drain::safe_to_stop(client, &target, json).await,
        Command::Leave { reason, wait, json } => drain::leave(client, &reason, wait, json).await,
        Command::Return => drain::come_back(client).await,
        Command::Up { target, waiting } => {
            let order = waiting.order(target, updown::Direction::Up, String::new());
            updown::run(client, &order).await
        }
        Command::Down { target, reason, waiting } => {
            let order = waiting.order(target, updown::Direction::Down, reason);
            updown::run(client, &order).await
        }
        other => anyhow::bail!("{other:?} does not talk to an agent"),
    }
}
