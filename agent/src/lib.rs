//! SmartStack's per-host daemon.
pub mod backoff;
pub mod registry;
pub mod synapse;
