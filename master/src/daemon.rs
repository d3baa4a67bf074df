//! Deploying all the time: one of several masters leads, notices what changes, and brings Marathon and Chronos
//! in line (marathon-sync.md §18).
//!
//! [`lead`] owns all that is known of Marathon, with the passes of [`crate::deploy`]; [`jobs`] all that is known
//! of Chronos, with those of [`crate::chronos::pass`]. Whatever is cut off in the middle, the next pass goes on
//! with.

pub mod jobs;
pub mod lead;
pub mod queue;
pub mod scan;
pub mod status;
