//! Deploying all the time: one of several masters leads, notices what changes, and bounces it
//! (marathon-sync.md §18).
//!
//! [`lead`] owns all state; the passes are those of [`crate::deploy`]. Whatever is cut off in the middle, the
//! next pass goes on with.

pub mod lead;
pub mod queue;
pub mod scan;
pub mod status;
