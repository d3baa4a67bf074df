//! Beside Marathon and Chronos: what soa-configs ask of a cluster, made into what these are sent.

pub mod app;
pub mod autoscaling;
pub mod bounce;
pub mod chronos;
pub mod cleanup;
pub mod daemon;
pub mod deploy;
pub mod deployments;
pub mod difference;
pub mod drain;
pub mod git;
pub mod http;
pub mod lock;
pub mod marathon;
pub mod mesos;
pub mod replication;
pub mod scaled;
pub mod step;
pub mod url_format;
pub mod work;
pub mod zookeeper;

pub use monitoring::{events, log_line};
