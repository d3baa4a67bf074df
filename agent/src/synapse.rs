//! The synapse wing: from records to a running HAProxy.
//!
//! [`watch`] says which namespaces matter; [`keeper`] takes what the registry sees through the
//! [`guard`], remembers it ([`memory`]) and assembles the [`catalog`]; [`haproxy`] makes it so, and
//! [`files`] writes it down for others.

pub mod catalog;
pub mod files;
pub mod guard;
pub mod haproxy;
#[cfg(test)]
mod hostile;
pub mod keeper;
pub mod memory;
pub mod watch;
