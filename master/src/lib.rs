//! Beside Marathon and Chronos: what soa-configs ask of a cluster, made into what these are sent.

pub mod app;
pub mod deployments;
pub mod git;
pub mod marathon;
pub mod scaled;
pub mod work;
