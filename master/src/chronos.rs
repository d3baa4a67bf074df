//! Chronos: what soa-configs ask of it, what it has, and what is to be done about it (chronos-sync.md).
//!

pub mod check;
pub mod cleanup;
mod interval;
mod job;
mod listed;
mod name;
pub mod order;
pub mod rerun;
pub mod sync;

pub use interval::Interval;
pub use job::{Given, Job, JobError, parents};
pub use listed::{LastRun, Listed, Past, Starts};
pub use name::JobName;
