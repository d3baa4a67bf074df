//! SmartStack's per-host daemon.
pub mod registry;
pub mod synapse;
