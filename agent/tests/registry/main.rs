//! The registry against a real ZooKeeper.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is tests")]

mod ensembles;
mod faults;
mod herd;
mod host;
mod interop;
mod reading;
mod restart;
mod writing;
