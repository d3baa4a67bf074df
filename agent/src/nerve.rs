//! The nerve wing: from running containers to wanted records.
//!
//! Docker → [`containers`] → [`identity`] → [`registrations`] → [`health`] → [`publish`]. Each room
//! takes the newest snapshot of the one before it and publishes its own.

pub mod checks;
pub mod containers;
pub mod damper;
pub mod docker;
pub mod health;
pub mod host_leave;
pub mod identity;
pub mod judge;
mod leavers;
pub mod local_tasks;
pub mod mesos;
pub mod nerve_conf;
pub mod owner;
pub mod publish;
pub mod puppet_services;
pub mod records;
pub mod registrar;
pub mod registrations;
mod rounds;
pub mod stale_marks;
pub mod turnover;
pub mod written_file;

/// A task that cannot be registered (somewhere), and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Refusal {
    pub task: String,
    pub title: String,
    pub reason: String,
}
