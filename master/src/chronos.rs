//! Chronos: what soa-configs ask of it, what it has, and what is to be done about it (chronos-sync.md).
//!
//! All but [`client`], [`pass`] and [`telling`] is pure: [`pass::Pass`] does the whole work.

pub mod check;
pub mod cleanup;
pub mod client;
mod interval;
mod job;
mod listed;
mod name;
pub mod order;
pub mod pass;
pub mod rerun;
pub mod soa;
pub mod status;
pub mod sync;
pub mod telling;

pub use interval::Interval;
pub use job::{Given, Job, JobError, parents};
pub use listed::{Details, LastRun, Listed, Past, Starts};
pub use name::JobName;
