//! SmartStack's per-host daemon.
//!
//! Data flows one way, from snapshot to snapshot ([`tokio::sync::watch`]):
//!
//! ```text
//! nerve:    docker, local tasks, soa-configs → registrations → health → publish ─┐
//! registry:                                                  ZooKeeper or memory ┤
//! synapse:  haproxy ← catalog (guard, memory on disk) ← observed ────────────────┘
//! ```
//!
//! [`daemon`] opens the rooms and joins them; [`api`] lets people look and drain; everything else
//! decides ([`nerve::registrations`], [`synapse::guard`], [`synapse::haproxy`]'s `apply`) or does.

pub mod api;
pub mod atomic_file;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod file_hints;
mod http_client;
pub mod logging;
pub mod nerve;
pub mod oom;
pub mod probe;
pub mod registry;
mod snapshot;
pub mod soa;
pub mod statsd;
pub mod supervisor;
pub mod synapse;
pub mod tally;
