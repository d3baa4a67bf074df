//! Chronos: what soa-configs ask of it, and what it has (chronos-sync.md).

mod job;
mod name;

pub use job::{Given, Job, JobError};
pub use name::JobName;
