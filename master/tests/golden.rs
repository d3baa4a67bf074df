//! Marathon apps beside those that PaaSTA made of the same files.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "golden/apps.rs"]
mod apps;
#[path = "golden/autoscaling.rs"]
mod autoscaling;
#[path = "golden/bounces.rs"]
mod bounces;
#[path = "../../soa-configs/tests/golden/cases.rs"]
mod cases;
#[path = "golden/chronos_sync.rs"]
mod chronos_sync;
#[path = "golden/cleanup.rs"]
mod cleanup;
#[path = "golden/daemon.rs"]
mod daemon;
#[path = "golden/deployments.rs"]
mod deployments;
#[path = "golden/jobs.rs"]
mod jobs;
#[path = "golden/refused.rs"]
mod refused;
#[path = "golden/replication.rs"]
mod replication;
#[path = "golden/sensu.rs"]
mod sensu;
#[path = "golden/steps.rs"]
mod steps;
