//! What people are told of services: events for Sensu, and lines in the log of a service.
//!
//! One module for whoever tells: Marathon's and Chronos' side on the masters, and the agent on every host.
//! What is said is decided without network and clock; [`sensu`] and [`log_line`] hand it over, and nobody
//! waits for them.

pub mod events;
mod json;
pub mod log_line;
pub mod oom;
pub mod sensu;
