//! SmartStack's per-host daemon.
pub mod atomic_file;
pub mod registry;
pub mod synapse;
